// `spoold schema KIND`: the JSON Schema of a file that people write, for editors.
import { Option } from 'clipanion';
import { BaseCommand } from './base.ts';
import { printJson, usageError } from './print.ts';

export class SchemaCommand extends BaseCommand {
  static override paths = [['schema']];
  static override usage = BaseCommand.Usage({
    description: 'Print the JSON Schema of task files, job.json, workflows or config.yaml.',
    details: 'Kinds: task, job, workflow, config.',
  });

  kind = Option.String({ name: 'KIND' });

  override async execute(): Promise<void> {
    const { jsonSchema, SCHEMA_KINDS } = await import('../protocol/schema.ts');
    const kind = SCHEMA_KINDS.find((name) => name === this.kind);
    if (kind === undefined)
      throw usageError(`There is no schema ${JSON.stringify(this.kind)}.`, `There are ${SCHEMA_KINDS.join(', ')}.`);
    printJson(jsonSchema(kind));
  }
}
