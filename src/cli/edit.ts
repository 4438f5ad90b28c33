// A placeholder, to be replaced.
import { BaseCommand } from './base.ts';

export class EditCommand extends BaseCommand {
  static override paths = [['edit']];
  override async execute(): Promise<void> {}
}
