// A placeholder, to be replaced.
import { BaseCommand } from './base.ts';

export class ValidateCommand extends BaseCommand {
  static override paths = [['validate']];
  override async execute(): Promise<void> {}
}
