// validate, schema, completion.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { bin, speak } from '../helpers/place.ts';

let root: string;
before(() => {
  root = mkdtempSync(join(tmpdir(), 'spoold-test-'));
});
after(() => rmSync(root, { recursive: true, force: true }));

const write = (name: string, text: string) => {
  mkdirSync(join(root, name, '..'), { recursive: true });
  writeFileSync(join(root, name), text);
  return name;
};
const spoold = (...args: string[]) => speak(args, { cwd: root });

/** What bash would offer after `line`, by the script that it is given. */
const offers = (line: string): string[] => {
  const folder = join(root, 'bin');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'spoold'), `#!/bin/sh\nexec '${process.execPath}' '${bin}' "$@"\n`);
  chmodSync(join(folder, 'spoold'), 0o755);
  const script =
    'eval "$(spoold completion bash)"; compopt() { :; }; COMP_LINE=$1; COMP_POINT=${#1}; _spoold; printf "%s\\n" "${COMPREPLY[@]}"';
  const env = { ...process.env, PATH: `${folder}:${process.env.PATH}`, SPOOLD_DIR: join(root, 'state') };
  return spawnSync('bash', ['-c', script, 'bash', line], { env, cwd: root, encoding: 'utf8' })
    .stdout.split('\n')
    .filter(Boolean);
};

describe('validate', () => {
  it('tells each kind of file by its name and by what is in it', async () => {
    const files = [
      write('one.json', '{"command": ["echo", "hi"]}'),
      write('many.json', '[{"id": "a", "shell": "true"}]'),
      write('job.json', '{"max_parallel": 2}'),
      write('flow.yaml', 'tasks: {a: {shell: "true"}}'),
      write('config.yaml', 'poll_interval: 2s\n'),
    ];
    const { status, out } = await spoold('validate', '--json', ...files);
    assert.equal(status, 0);
    const found = JSON.parse(out) as { path: string; kind: string; valid: boolean }[];
    assert.deepEqual(
      found.map(({ kind, valid }) => [kind, valid]),
      ['task', 'bundle', 'job', 'workflow', 'config'].map((kind) => [kind, true]),
    );
  });

  it('names the line where a file is not UTF-8, and so does who takes lines of one', async () => {
    writeFileSync(join(root, 'latin.json'), Buffer.from('{\n"command": ["echo",\n"caf\xe9"]}', 'latin1'));
    const { status, out } = await spoold('validate', 'latin.json');
    assert.equal(status, 2);
    assert.match(out, /latin\.json:3: there is something in this line that is not UTF-8/);
    writeFileSync(join(root, 'latin.txt'), Buffer.from('a\ncaf\xe9\n', 'latin1'));
    const added = await spoold('add', '--dir', join(root, 'none'), 'echo', '::::', 'latin.txt');
    assert.equal(added.status, 2);
    assert.match(added.err, /latin\.txt:2: /);
    assert.equal((await spoold('validate', write('replaced.json', '{"command": ["echo", "\ufffd"]}'))).status, 0);
  });

  it('gives each problem its line and the word that was meant, and ends with 2', async () => {
    const { status, out } = await spoold(
      'validate',
      write('bad.json', '{\n  "comand": ["x"],\n  "retry": "three"\n}'),
      write('good.json', '{"shell": "true"}'),
    );
    assert.equal(status, 2);
    assert.match(out, /^bad\.json:2:3: comand: .*"command"/m);
    assert.match(out, /^bad\.json:3:3: retry: .*"three"/m);
    assert.match(out, /^good\.json: ok/m);
  });

  it('says where half a file ends, and that a folder is none', async () => {
    assert.match(
      (await spoold('validate', write('half.json', '{"command": ['))).out,
      /^half\.json:1:\d+: it ends in the middle/,
    );
    const { status, err } = await spoold('validate', '.');
    assert.equal(status, 2);
    assert.match(err, /is a folder/);
    assert.match((await spoold('validate', 'none.json')).err, /There is no file none\.json/);
  });

  it('knows the id that a file in a job has by its name, and the defaults of the job', async () => {
    write('jobs/j/job.json', '{"defaults": {"shell": "true"}}');
    const right = write('jobs/j/pending/x.json', '{"priority": 3}');
    const wrong = write('jobs/j/pending/y.json', '{"id": "z"}');
    const { out } = await spoold('validate', right, wrong);
    assert.match(out, /x\.json: ok/);
    assert.match(out, /y\.json:1:2: id: .*"z"/);
  });
});

describe('schema', () => {
  it('prints a JSON Schema of each kind of file', async () => {
    for (const kind of ['task', 'job', 'workflow', 'config']) {
      const schema = JSON.parse((await spoold('schema', kind)).out) as { type: string; properties: object };
      assert.equal(schema.type, 'object');
      assert.ok(Object.keys(schema.properties).length > 3);
    }
    assert.equal((await spoold('schema', 'nothing')).status, 2);
  });
});

const hasBash = spawnSync('bash', ['--version']).status === 0;

describe('completion', { skip: hasBash ? false : 'there is no bash here' }, () => {
  before(async () => {
    for (const [job, id] of [
      ['etl', 'load'],
      ['etl', 'check'],
      ['web', 'a:b=c'],
    ] as const) {
      await speak(['add', '--dir', join(root, 'state'), '-J', job, '--id', id, 'true'], { cwd: root });
    }
  });

  it('completes verbs and their options', () => {
    assert.deepEqual(offers('spoold sta').sort(), ['start', 'status']);
    assert.ok(offers('spoold stop --').includes('--drain'));
    assert.deepEqual(offers('spoold schema '), ['task', 'job', 'workflow', 'config']);
  });

  it('completes jobs, and tasks after a slash or beside --job', () => {
    assert.deepEqual(offers('spoold status '), ['etl', 'web']);
    assert.deepEqual(offers('spoold logs etl/'), ['etl/check', 'etl/load']);
    assert.deepEqual(offers('spoold logs -J etl l'), ['load']);
    assert.deepEqual(offers('spoold add -J etl -a check,l'), ['check,load']);
  });

  it('completes names with = and : in them, where bash would break them', () => {
    assert.deepEqual(offers('spoold logs web/a:b'), ['b=c']);
  });

  it('completes files where a file is wanted', () => {
    write('zz-flow.yaml', 'tasks: {}');
    assert.deepEqual(offers('spoold submit zz'), ['zz-flow.yaml']);
  });

  it('has a script for zsh and for fish', async () => {
    assert.match((await spoold('completion', 'zsh')).out, /^#compdef spoold/);
    assert.match((await spoold('completion', 'fish')).out, /complete -c spoold/);
    assert.equal((await spoold('completion', 'tcsh')).status, 2);
  });
});
