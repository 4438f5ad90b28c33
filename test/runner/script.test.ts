import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { LauncherKind } from '../../src/runner/launcher.ts';
import { type ScriptSpec, renderScript, shellArgv } from '../../src/runner/script.ts';
import { hasPython } from '../helpers/place.ts';
import { type Attempt, KINDS, Served, program } from './attempts.ts';

interface Seen {
  status: number | null;
  output: string;
}

/** What a command comes to, by a launcher of each kind and by `sh run` in the run directory: all must agree. */
async function everyWay(argv: string[], spec: Partial<ScriptSpec> = {}): Promise<Seen> {
  const ways = await Promise.all(KINDS.map((kind) => launchedAndByHand(kind, argv, spec)));
  const [first, ...others] = ways.flat();
  assert.ok(first);
  for (const other of others) assert.deepEqual(other, first);
  return first;
}

async function launchedAndByHand(kind: LauncherKind, argv: string[], spec: Partial<ScriptSpec>): Promise<Seen[]> {
  const served = new Served(kind);
  try {
    const attempt = served.start(argv, spec);
    const launched = { status: await attempt.status(), output: attempt.log };
    return [launched, byHand(attempt)].map((seen) => ({
      ...seen,
      output: seen.output.replaceAll(served.dir, 'STATE'),
    }));
  } finally {
    served.end();
  }
}

function byHand(attempt: Attempt): Seen {
  const { status, stdout, stderr } = spawnSync('sh', ['run'], { cwd: attempt.runDir, encoding: 'utf8' });
  return { status, output: stdout + stderr };
}

/** Prints its arguments and the variables `names` as JSON. */
function show(names: readonly string[]): string[] {
  const values = `${JSON.stringify(names)}.map((name) => process.env[name] ?? null)`;
  return [process.execPath, '-e', `console.log(JSON.stringify([process.argv.slice(1), ${values}]))`, '--'];
}

async function valuesOf(names: readonly string[], spec: Partial<ScriptSpec>): Promise<(string | null)[]> {
  const { status, output } = await everyWay(show(names), spec);
  assert.equal(status, 0, output);
  return (JSON.parse(output) as [string[], (string | null)[]])[1];
}

async function assertReaches(setEnv: Record<string, string>): Promise<void> {
  const names = Object.keys(setEnv);
  const values = await valuesOf(names, { setEnv });
  assert.deepEqual(Object.fromEntries(names.map((name, index) => [name, values[index]])), setEnv);
}

const ODD = [
  ...['', ' ', "it's", '"quoted"', '$HOME `id` $(id)', 'two\nlines\n', '\\', '-n', '*', '~', '#', '!x', 'a=b'],
  ...['ümläut ✓', '\x01\x7f'],
];

test('every argument arrives as it was given', async () => {
  const { output } = await everyWay([...show([]), ...ODD]);
  assert.deepEqual(JSON.parse(output), [ODD, []]);
});

test('every value of a variable arrives as it was given', async () => {
  await assertReaches(Object.fromEntries(ODD.map((value, index) => [`ODD_${index}`, value])));
});

test('variables that a shell keeps for itself, or has no name for, reach the command', async () => {
  await assertReaches({
    ...{ UID: '12', EUID: '13', PPID: '14', SHELLOPTS: 'x', BASHOPTS: 'y', RANDOM: 'r', SECONDS: 's', LINENO: 'l' },
    ...{ OPTIND: 'none', POSIXLY_CORRECT: '1', PWD: '/elsewhere', OLDPWD: '/before', SHLVL: '41', BASH_VERSION: 'b' },
    ...{ IFS: ':', 'BASH_FUNC_x%%': '() { :; }', 'with.dot': '1', 'with space': '2', '1st': '3', toString: '4' },
  });
});

test('variables that steer shells and programs are set without a word in the log', async () => {
  const PATH = '/usr/bin:/bin';
  await assertReaches({
    BASH_ENV: '/no/such',
    ENV: '/no/such',
    CDPATH: '/usr',
    LC_ALL: 'xx_YY.UTF-8',
    TMOUT: '1',
    PATH,
  });
});

test('variables are taken away, whatever they are called', async () => {
  const unsetEnv = ['HOME', 'UID', 'PATH', 'with.dot'];
  assert.deepEqual(await valuesOf(unsetEnv, { unsetEnv }), [null, null, null, null]);
});

test('a command sees where it is and which attempt it is, whatever its task sets', async () => {
  const names = ['SPOOLD_DIR', 'SPOOLD_JOB', 'SPOOLD_TASK', 'SPOOLD_ATTEMPT', 'SPOOLD_RUN_DIR', 'SPOOLD_PENDING'];
  const spec = { cwd: '/usr', setEnv: { CDPATH: '/', SPOOLD_TASK: 'other' } };
  const run = 'STATE/jobs/demo/runs/x.1';
  const expected = ['STATE', 'demo', 'x', '1', run, `${run}/pending`, '/usr', null];
  assert.deepEqual(await valuesOf([...names, 'PWD', 'OLDPWD'], spec), expected);
});

test('a working directory that is missing ends the attempt with 125 and a clear line', async () => {
  const { status, output } = await everyWay(['true'], { cwd: "/no/such/it's" });
  assert.deepEqual([status, output], [125, "spoold: cannot enter the working directory /no/such/it's\n"]);
});

test('a file for standard input that cannot be read does too', async () => {
  const { status, output } = await everyWay(['cat'], { stdin: '/no/such/input' });
  assert.deepEqual([status, output], [125, 'spoold: cannot read standard input from /no/such/input\n']);
});

test('standard input is the file that was asked for, else empty', async () => {
  assert.equal((await everyWay(['cat'])).output, '');
  assert.equal((await everyWay(['cat'], { stdin: '/proc/sys/kernel/ostype' })).output, 'Linux\n');
});

test('a task that asks to be nice is', async () => {
  assert.equal((await everyWay(['nice'], { nice: 19 })).output, '19\n');
  const lowered = ['/usr/bin/env', 'LOWERED=1']; // in the place of ionice
  assert.equal((await everyWay(shellArgv('echo $LOWERED; nice'), { nice: 19, lowered })).output, '1\n19\n');
});

test('a program whose name begins with a dash or holds an equals sign is started', async (context) => {
  const bin = mkdtempSync(join(tmpdir(), 'spoold-bin-'));
  context.after(() => rmSync(bin, { recursive: true }));
  const PATH = `${bin}:/usr/bin:/bin`;
  for (const name of ['-x', 'a=b']) {
    writeFileSync(join(bin, name), '#!/bin/sh\necho "this is $0"\n');
    chmodSync(join(bin, name), 0o755);
    for (const more of [{}, { nice: 3 }, { setEnv: { PATH, 'with.dot': '1' } }]) {
      const { output } = await everyWay([name], { setEnv: { PATH }, ...more });
      assert.equal(output, `this is ${bin}/${name}\n`);
    }
  }
});

test('a directory with odd characters in its name is entered', async (context) => {
  const parent = mkdtempSync(join(tmpdir(), 'spoold-odd-'));
  context.after(() => rmSync(parent, { recursive: true }));
  const odd = join(parent, "a b'$c\nd");
  mkdirSync(odd);
  assert.equal((await everyWay(['pwd', '-P'], { cwd: odd })).output, `${odd}\n`);
});

test('a shell task stops at its first failure', async () => {
  const { status, output } = await everyWay(shellArgv('echo one\nfalse\necho two'));
  assert.deepEqual([status, output], [1, 'one\n']);
});

test('the script says what it is and how to repeat it', () => {
  const spec = { job: 'etl', task: 'load', attempt: 3, stateDir: '/s', runDir: '/s/jobs/etl/runs/load.3', boot: 'b-1' };
  const text = renderScript({ ...spec, argv: ['true'], cwd: '/', setEnv: {}, unsetEnv: [] });
  assert.match(
    text,
    /^#!\/bin\/sh\n# Attempt 3 of task load of job etl\. `sh run` repeats it by hand\.\n# boot: b-1\n/,
  );
});

for (const name of ['drop-children.sh', 'drop-children.py', 'drop-children.mjs']) {
  test(`${name} drops children where its attempt takes them in`, {
    skip: name.endsWith('.py') && !hasPython ? 'there is no python3 here' : false,
  }, async (context) => {
    const served = new Served();
    context.after(() => served.end());
    const attempt = served.start([program(name), '2']);
    assert.equal(await attempt.status(), 0, attempt.log);
    assert.deepEqual(JSON.parse(attempt.read('pending/x-2.json')), { command: ['echo', '2'] });
  });
}
