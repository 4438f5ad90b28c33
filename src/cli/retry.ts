// A placeholder, to be replaced.
import { BaseCommand } from './base.ts';

export class RetryCommand extends BaseCommand {
  static override paths = [['retry']];
  override async execute(): Promise<void> {}
}
