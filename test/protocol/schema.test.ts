// docs/schema/ is generated: UPDATE_SCHEMAS=1 makes this test write it instead of comparing.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { jsonSchema, SCHEMA_KINDS } from '../../src/protocol/schema.ts';
import { TASK_KEYS } from '../../src/protocol/task.ts';
import { projectRoot } from './root.ts';

const folder = join(projectRoot(), 'docs', 'schema');

for (const kind of SCHEMA_KINDS) {
  test(`docs/schema/${kind}.json is what the parser accepts`, () => {
    const file = join(folder, `${kind}.json`);
    const text = `${JSON.stringify(jsonSchema(kind), undefined, 2)}\n`;
    if (process.env.UPDATE_SCHEMAS === '1') {
      mkdirSync(folder, { recursive: true });
      writeFileSync(file, text);
    }
    assert.equal(readFileSync(file, 'utf8'), text, 'run this test with UPDATE_SCHEMAS=1 and commit docs/schema');
  });
}

test('every key of every schema is described', () => {
  for (const kind of SCHEMA_KINDS) {
    for (const [key, schema] of Object.entries(jsonSchema(kind).properties ?? {})) {
      assert.match(JSON.stringify(schema), /^\{.*"description":"[^"]/, `${kind}: ${key}`);
    }
  }
});

test('nothing but command, shell or tasks is required, and unknown keys are refused', () => {
  const task = jsonSchema('task');
  assert.equal(task.required, undefined);
  assert.equal(task.additionalProperties, false);
  assert.deepEqual(Object.keys(task.properties ?? {}), TASK_KEYS);
  assert.deepEqual(jsonSchema('workflow').required, ['tasks']);
});
