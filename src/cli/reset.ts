// A placeholder, to be replaced.
import { BaseCommand } from './base.ts';

export class ResetCommand extends BaseCommand {
  static override paths = [['reset']];
  override async execute(): Promise<void> {}
}
