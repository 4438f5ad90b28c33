// A placeholder, to be replaced.
import { BaseCommand } from './base.ts';

export class StatusCommand extends BaseCommand {
  static override paths = [['status']];
  override async execute(): Promise<void> {}
}
