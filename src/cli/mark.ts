// A placeholder, to be replaced.
import { BaseCommand } from './base.ts';

export class MarkCommand extends BaseCommand {
  static override paths = [['mark']];
  override async execute(): Promise<void> {}
}
