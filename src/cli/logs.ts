// A placeholder, to be replaced.
import { BaseCommand } from './base.ts';

export class LogsCommand extends BaseCommand {
  static override paths = [['logs']];
  override async execute(): Promise<void> {}
}
