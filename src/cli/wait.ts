// A placeholder, to be replaced.
import { BaseCommand } from './base.ts';

export class WaitCommand extends BaseCommand {
  static override paths = [['wait']];
  override async execute(): Promise<void> {}
}
