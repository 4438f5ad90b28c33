// A placeholder, to be replaced.
import { BaseCommand } from './base.ts';

export class CompletionCommand extends BaseCommand {
  static override paths = [['completion']];
  override async execute(): Promise<void> {}
}
