// A placeholder, to be replaced.
import { BaseCommand } from './base.ts';

export class ResumeCommand extends BaseCommand {
  static override paths = [['resume']];
  override async execute(): Promise<void> {}
}
