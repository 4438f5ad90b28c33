// A placeholder, to be replaced.
import { BaseCommand } from './base.ts';

export class CancelCommand extends BaseCommand {
  static override paths = [['cancel']];
  override async execute(): Promise<void> {}
}
