// A placeholder, to be replaced.
import { BaseCommand } from './base.ts';

export class SchemaCommand extends BaseCommand {
  static override paths = [['schema']];
  override async execute(): Promise<void> {}
}
