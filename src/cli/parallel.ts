// A placeholder, to be replaced.
import { BaseCommand } from './base.ts';

export class ParallelCommand extends BaseCommand {
  static override paths = [['parallel']];
  override async execute(): Promise<void> {}
}
