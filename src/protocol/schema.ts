// JSON Schemas of the files that people write, made from the schemas that check them: for editors, and for `schema`.
import * as z from 'zod';
import { configSchema } from './config.ts';
import { JOB_KEYS_LATER, jobShape } from './job.ts';
import { taskSchema } from './task.ts';
import { workflowSchema } from './workflow.ts';

export const SCHEMA_KINDS = ['task', 'job', 'workflow', 'config'] as const;
export type SchemaKind = (typeof SCHEMA_KINDS)[number];

type JsonSchema = Record<string, unknown> & { properties?: Record<string, unknown> };

const SOURCES: Record<SchemaKind, { title: string; schema: z.ZodObject; later: readonly string[] }> = {
  task: { title: 'A task of spoold: pending/<id>.json', schema: taskSchema, later: [] },
  job: { title: "A job's settings of spoold: job.json", schema: z.object(jobShape), later: JOB_KEYS_LATER },
  workflow: { title: 'A workflow of spoold', schema: workflowSchema, later: JOB_KEYS_LATER },
  config: { title: 'The settings of a state directory of spoold: config.yaml', schema: configSchema, later: [] },
};

/** The JSON Schema (draft 2020-12) of what may be written in such a file. */
export function jsonSchema(kind: SchemaKind): JsonSchema {
  const { title, schema, later } = SOURCES[kind];
  const generated = z.toJSONSchema(schema, { io: 'input', override: ({ jsonSchema: made }) => close(made) });
  const { $schema, ...rest } = generated as JsonSchema;
  for (const key of later) delete rest.properties?.[key];
  return { $schema, title, ...rest };
}

/** No key but those named, and the owner's own where the parser takes them. */
function close(made: JsonSchema): void {
  if (made.type !== 'object' || made.properties === undefined) return;
  made.additionalProperties = false;
  if (made.properties.$schema !== undefined) made.patternProperties = { '^x-': {} };
  if (made.properties.command !== undefined) made.not = { required: ['command', 'shell'] };
}
