// A placeholder, to be replaced.
import { BaseCommand } from './base.ts';

export class PauseCommand extends BaseCommand {
  static override paths = [['pause']];
  override async execute(): Promise<void> {}
}
