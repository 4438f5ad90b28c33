import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NO_RESOURCES } from '../../src/protocol/resources.ts';
import { MAX_DEPENDENCIES, mergeDefaults, parseBundle, parseTask, type TaskSpec } from '../../src/protocol/task.ts';
import { formatProblem } from '../../src/protocol/validation.ts';

function spec(value: unknown, id = 'x'): TaskSpec {
  const parsed = parseTask(value, id);
  if (!parsed.ok) assert.fail(parsed.problems.map(formatProblem).join('\n'));
  return parsed.spec;
}

function complaints(value: unknown, id = 'x'): string[] {
  const parsed = parseTask(value, id);
  assert.ok(!parsed.ok, 'it was taken for a task');
  return parsed.problems.map(formatProblem);
}

const refuses = (value: unknown, ...messages: string[]) => assert.deepEqual(complaints(value), messages);

/** Lists nested `depth` deep; JSON.parse has no limit, JSON.stringify has. */
const deep = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));

test('the smallest task has every default', () => {
  assert.deepEqual(spec({ command: 'true' }), {
    argv: ['true'],
    shell: undefined,
    dependencies: [],
    parent: undefined,
    ancestors: [],
    priority: 0,
    bestEffort: false,
    retry: { max: 0, delay: 0, backoff: 1, maxDelay: undefined, jitter: 0, maxTime: undefined, on: undefined },
    timeout: undefined,
    killAfter: undefined,
    onLost: 'retry',
    runIf: 'success',
    cwd: undefined,
    env: {},
    envFile: undefined,
    envFrom: undefined,
    inheritEnv: undefined,
    stdin: undefined,
    resources: NO_RESOURCES,
    notBefore: undefined,
    description: undefined,
    extra: {},
  } satisfies TaskSpec);
});

test('a task that says everything is taken as it says', () => {
  const full = spec({
    $schema: 'https://example.org/task.json',
    id: 'x',
    command: 'prog',
    args: ['-v', ''],
    dependencies: ['a', 'b', 'a'],
    parent: 'p',
    ancestors: ['p', 'q'],
    priority: 'best_effort',
    retry: {
      max: 3,
      delay: '10s',
      backoff: 'exponential',
      max_delay: '5m',
      jitter: true,
      max_time: '1h',
      on: ['timeout', 75, '64-78'],
    },
    timeout: 'none',
    kill_after: 0,
    on_lost: 'fail',
    run_if: 'always',
    cwd: '/srv',
    env: { A: 'x', B: 1, C: true },
    env_file: '.env',
    env_from: 'a'.repeat(64),
    inherit_env: ['PATH'],
    stdin: { file: 'in.txt' },
    resources: { gpu: 1, mem: '4GB' },
    not_before: '2030-01-31T09:00:00+01:00',
    description: 'all of it',
    'x-owner': { team: 1 },
  });
  assert.deepEqual(full.argv, ['prog', '-v', '']);
  assert.deepEqual(full.dependencies, ['a', 'b']);
  assert.deepEqual([full.priority, full.bestEffort], [-1000, true]);
  assert.deepEqual(full.retry, {
    max: 3,
    delay: 10,
    backoff: 2,
    maxDelay: 300,
    jitter: 0.5,
    maxTime: 3600,
    on: {
      kinds: ['timeout'],
      statuses: [
        [75, 75],
        [64, 78],
      ],
    },
  });
  assert.deepEqual([full.timeout, full.killAfter, full.inheritEnv], ['none', 0, ['PATH']]);
  assert.deepEqual(full.env, { A: 'x', B: '1', C: 'true' });
  assert.deepEqual(
    [...full.resources],
    [
      ['gpu', { unit: 'pieces', n: 1 }],
      ['mem', { unit: 'bytes', n: 4_000_000_000 }],
    ],
  );
  assert.deepEqual(full.notBefore, { at: '2030-01-31T09:00:00+01:00' });
  assert.deepEqual(full.extra, { 'x-owner': { team: 1 } });
  assert.deepEqual(spec({ command: ['a b', 'c'] }).argv, ['a b', 'c']);
  assert.deepEqual(spec({ shell: 'exit 7', not_before: '10m' }).notBefore, { delay: 600 });
});

test('a task needs exactly one of command and shell', () => {
  refuses({}, 'nothing to run: write "command": ["program", "argument"] or "shell": "script"');
  refuses({ command: 'a', shell: 'b' }, 'shell: is given beside command; keep one of them');
  refuses({ shell: 'b', args: [] }, 'args: goes with command, not with shell');
  refuses(
    { command: ['a'], args: ['b'] },
    'args: is given beside a command that is a whole list; put all into one of them',
  );
  refuses({ command: [] }, 'command: is empty: it needs at least a program');
  refuses({ command: [''] }, 'command: begins with an empty program name');
  refuses({ command: '' }, 'command: is empty');
  refuses({ shell: ' \n' }, 'shell: is empty');
});

test('a command with spaces is refused with both right forms, unless it is a file or has args', () => {
  refuses(
    { command: 'echo hi' },
    'command: "echo hi" is no file; write "command": ["echo","hi"] to run it as it is, or "shell": "echo hi" to have a shell read it',
  );
  assert.match(complaints({ command: `sh -c 'a "b"'` })[0] ?? '', /write "command": \["sh","-c","a \\"b\\""\]/);
  assert.deepEqual(spec({ command: '/opt/my prog', args: [] }).argv, ['/opt/my prog']);
  assert.ok(parseTask({ command: '/opt/my prog' }, 'x', { isFile: (path) => path === '/opt/my prog' }).ok);
});

test('an unknown key is refused with the right one, by meaning, by spelling, by letters', () => {
  refuses({ shell: 'x', needs: [] }, 'needs: there is no such key; it is called "dependencies" here');
  refuses({ shell: 'x', depends_on: [] }, 'depends_on: there is no such key; it is called "dependencies" here');
  refuses({ shell: 'x', working_dir: '' }, 'working_dir: there is no such key; it is called "cwd" here');
  refuses({ shell: 'x', environment: {} }, 'environment: there is no such key; it is called "env" here');
  refuses({ shell: 'x', 'timeout-minutes': 5 }, 'timeout-minutes: there is no such key; write "timeout": "5m"');
  refuses(
    { shell: 'x', attempts: 3 },
    'attempts: there is no such key; write "retry": 2, which counts the attempts after the first',
  );
  refuses({ shell: 'x', killAfter: 3 }, 'killAfter: there is no such key; it is written "kill_after"');
  refuses({ shell: 'x', timeuot: 3 }, 'timeuot: there is no such key; did you mean "timeout"?');
  refuses({ shell: 'x', retry: { max: 1, dealy: 3 } }, 'retry.dealy: there is no such key; did you mean "delay"?');
  refuses({ shell: 'x', scratch: true }, 'scratch: this version of spoold does not have it yet');
  assert.match(complaints({ run: 'echo hi' }).join(), /^run: there is no such key; write "command": .* or "shell": /);
  assert.match(
    complaints({ shell: 'x', constructor: 1, zzzzzzzz: 1 }).join(),
    /zzzzzzzz: there is no such key; the keys are id, command/,
  );
});

test('a wrong value is told what was expected, in the words of the file', () => {
  refuses({ shell: 'x', retry: { max: 'three' } }, 'retry.max: expected a whole number ≥ 0, got "three"');
  refuses({ shell: 'x', retry: { delay: 1 } }, 'retry.max: is missing: expected a whole number ≥ 0');
  refuses({ shell: 'x', retry: -1 }, 'retry: expected a whole number ≥ 0, got -1');
  refuses(
    { shell: 'x', retry: null },
    'retry: expected a whole number ≥ 0, or an object as {"max": 3, "delay": "10s", "backoff": 2}, got nothing (null)',
  );
  refuses({ shell: 'x', dependencies: 'a' }, 'dependencies: expected a list of task ids, as ["a", "b"], got "a"');
  refuses(
    { shell: 'x', dependencies: ['a b'] },
    'dependencies[0]: "a b" is no task id: a space is not allowed in it; letters, digits and . _ = + @ : - are',
  );
  refuses({ shell: 'x', timeout: 0 }, 'timeout: must be longer than 0; for no limit write "none"');
  refuses(
    { shell: 'x', priority: 1.5 },
    'priority: expected foreground, background, best_effort, or a whole number (higher first), got 1.5',
  );
  refuses(
    { shell: 'x', not_before: '2030-01-31T09:00:00' },
    'not_before: "2030-01-31T09:00:00" does not say which clock it is by; add Z for UTC, or an offset as +01:00',
  );
  refuses(
    { shell: 'x', retry: { max: 1, on: ['78-64'] } },
    'retry.on[0]: expected failed, timeout, checks, an exit status from 1 to 255, or a range of them as "64-78", got "78-64"',
  );
  assert.match(complaints({ shell: 'x', kill_after: 'none' })[0] ?? '', /^kill_after: expected a duration/);
  assert.equal(complaints({ shell: 1, cwd: 2, env: { A: [] } }).length, 3);
});

test('a task agrees with its file name and does not depend on itself', () => {
  refuses({ shell: 'x', id: 'y' }, 'id: says "y", but the file is named "x.json"; make them agree, or leave id out');
  refuses({ shell: 'x', dependencies: ['x'] }, 'dependencies: "x" depends on itself; remove it');
  refuses({ shell: 'x', parent: 'x' }, 'parent: "x" is its own parent');
});

test('an argument, a script or a variable that Linux hands to no program is refused', () => {
  const most = 'é'.repeat(65_535);
  for (const task of [{ command: ['a', `${most}x`] }, { shell: `${most}x` }, { shell: 'x', env: { V: most.slice(1) } }])
    assert.ok(parseTask(task, 'x').ok);
  const argument = 'is longer than one argument can be (131071 bytes): put it into a file';
  refuses({ command: ['a', `${most}xy`] }, `command[1]: ${argument}`);
  refuses({ command: 'a', args: [`${most}xy`] }, `args[0]: ${argument}`);
  refuses({ shell: `${most}xy` }, `shell: ${argument}`);
  const variable = 'is longer than one variable with its name can be (131071 bytes): put it into a file';
  refuses({ shell: 'x', env: { V: most } }, `env.V: ${variable}`);
});

test('what no process can be given is refused: NUL, half characters, impossible variables', () => {
  refuses(
    { command: ['a', 'b\0'] },
    'command[1]: has a NUL character in it, which no argument, variable or path can hold',
  );
  refuses({ shell: 'a\ud800' }, 'shell: has half of a character in it (a lone surrogate), which is no valid text');
  refuses({ shell: 'x', cwd: '\0' }, 'cwd: has a NUL character in it, which no argument, variable or path can hold');
  refuses(
    JSON.parse('{"shell": "x", "env": {"A=B": "", "": "", "__proto__": "", "V": "\\u0000", "SPOOLD_DIR": "/"}}'),
    'env."A=B": is no name that a variable can have',
    'env."": a variable needs a name',
    'env.__proto__: is no name that a variable can have',
    'env.V: has a NUL character in it, which no argument, variable or path can hold',
    'env.SPOOLD_DIR: is set by spoold for every attempt and cannot be given',
  );
  assert.deepEqual(spec({ shell: 'x', env: { constructor: '1', toString: '2' } }).env, {
    constructor: '1',
    toString: '2',
  });
});

test('hostile values get one clear message each, quickly', () => {
  const many = complaints({ shell: 'x', dependencies: Array.from({ length: 1_000_000 }, () => 7) });
  assert.deepEqual(many, [
    `dependencies: has 1000000 entries; at most ${MAX_DEPENDENCIES} ids; let a task in between depend on a part of them`,
  ]);
  assert.match(
    complaints({ shell: 'x', dependencies: deep(100_000) }).join(),
    /^dependencies\[0\]: expected a task id, got a list$/,
  );
  assert.equal(complaints({ command: Array.from({ length: 100_000 }, () => 7) }).length, 200);
  refuses({ shell: 'x', 'x-deep': deep(100_000) }, 'x-deep: is nested deeper than 100 levels');
  assert.match(
    complaints(JSON.parse('{"shell":"x","__proto__":{"shell":"y"}}')).join(),
    /^__proto__: there is no such key/,
  );
  const keys = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, i]));
  assert.equal(complaints(keys).at(-1), '100000 keys are unknown; the first 20 of them are named');
  refuses({ shell: 'x', retry: { max: 1, ...keys } }, 'retry: has 100001 keys; at most 100 are allowed');
  const some = Object.fromEntries(Object.entries(keys).slice(0, 90));
  assert.equal(complaints({ shell: 'x', retry: { max: 1, ...some } }).length, 20);
  for (const value of [1e300, -0.5, Number.MAX_SAFE_INTEGER])
    assert.equal(complaints({ shell: 'x', retry: value }).length, 1);
  assert.ok(
    complaints({ shell: 'x', ['\u001b[2J'.repeat(1000)]: 1 }).every(
      (line) => line.length < 500 && !line.includes('\u001b'),
    ),
  );
});

test('something that is no object is told what a task looks like', () => {
  refuses([], 'expected one task, got a list; a task is an object, as {"command": ["echo", "hi"]}');
  refuses(
    'echo hi',
    'a task is an object, as {"command": ["echo", "hi"]} or {"shell": "echo hi"}, not "echo hi" alone',
  );
  refuses(null, 'a task is an object, as {"command": ["echo", "hi"]}, not nothing (null)');
});

const anyJson = fc.oneof(
  fc.jsonValue(),
  fc.record(
    {
      command: fc.jsonValue(),
      shell: fc.oneof(fc.string(), fc.jsonValue()),
      retry: fc.jsonValue(),
      env: fc.jsonValue(),
      dependencies: fc.oneof(fc.array(fc.string()), fc.jsonValue()),
      not_before: fc.jsonValue(),
      stdin: fc.jsonValue(),
    },
    { requiredKeys: [] },
  ),
);

test('any JSON at all gives a task or a reason, never an exception', () => {
  fc.assert(
    fc.property(anyJson, (value) => {
      const parsed = parseTask(JSON.parse(JSON.stringify(value)), 'x');
      if (parsed.ok) assert.equal((parsed.spec.argv === undefined) !== (parsed.spec.shell === undefined), true);
      else
        assert.ok(
          parsed.problems.length > 0 &&
            parsed.problems.every(({ message }) => message.length > 0 && !/invalid input|unrecognized/i.test(message)),
        );
    }),
    { numRuns: 500 },
  );
});

test('a task goes before the defaults of its job, env name by name', () => {
  const defaults = { timeout: '5m', env: { A: '1', B: '2' }, retry: { max: 1 } };
  assert.deepEqual(mergeDefaults(defaults, { shell: 'x', env: { B: '3' }, retry: 2 }), {
    timeout: '5m',
    env: { A: '1', B: '3' },
    retry: 2,
    shell: 'x',
  });
  assert.deepEqual(mergeDefaults(undefined, { shell: 'x' }), { shell: 'x' });
});

test('a task that says what to run takes no part of that from the defaults', () => {
  assert.deepEqual(mergeDefaults({ command: ['a'] }, { shell: 'x' }), { shell: 'x' });
  assert.deepEqual(mergeDefaults({ shell: 'a' }, { command: ['x'] }), { command: ['x'] });
  assert.deepEqual(mergeDefaults({ command: 'a', args: ['1'] }, { command: 'x' }), { command: 'x' });
  assert.deepEqual(mergeDefaults({ command: 'a' }, { args: ['1'] }), { command: 'a', args: ['1'] });
  assert.deepEqual(mergeDefaults({ args: ['1'] }, { command: 'x' }), { command: 'x', args: ['1'] });
  assert.deepEqual(mergeDefaults({ args: ['1'] }, { command: ['x'] }), { command: ['x'] });
});

test('merging keeps what the task says and adds only what it does not', () => {
  const raw = fc.dictionary(fc.constantFrom('timeout', 'cwd', 'retry', 'x-a', '__proto__', 'priority'), fc.jsonValue());
  fc.assert(
    fc.property(raw, raw, (defaults, task) => {
      const merged = mergeDefaults(defaults, task);
      assert.deepEqual(new Set(Object.keys(merged)), new Set([...Object.keys(defaults), ...Object.keys(task)]));
      for (const key of Object.keys(task)) assert.equal(merged[key], task[key]);
    }),
  );
});

test('a bundle is taken as a whole, each entry by its id and with the defaults under it', () => {
  const parsed = parseBundle(
    [
      { id: 'a', shell: 'x' },
      { id: 'b', args: ['1'] },
    ],
    { defaults: { command: 'c' } },
  );
  assert.ok(parsed.ok);
  assert.deepEqual(
    parsed.tasks.map(({ id, raw, spec: { argv, shell } }) => ({ id, raw, argv, shell })),
    [
      { id: 'a', raw: { id: 'a', shell: 'x' }, argv: undefined, shell: 'x' },
      { id: 'b', raw: { id: 'b', args: ['1'] }, argv: ['c', '1'], shell: undefined },
    ],
  );
});

test('a bundle is refused with every problem named by its place', () => {
  const entries = [
    { id: 'a', shell: 'x' },
    { shell: 'x' },
    { id: 'A', shell: 'x' },
    7,
    { id: 'a', shell: '' },
    { id: '../x', shell: 'x' },
  ];
  const parsed = parseBundle(entries);
  assert.ok(!parsed.ok);
  assert.deepEqual(parsed.problems.map(formatProblem), [
    '[1].id: is missing: expected the id of this task, which every task of a list needs',
    '[2].id: "A" differs from "a" (entry 0) only in case, which some file systems do not keep apart',
    '[3]: a task is an object, as {"command": ["echo", "hi"]}, not 7',
    '[4].shell: is empty',
    '[4].id: "a" is also the id of entry 0',
    '[5].id: "../x" is no task id: it must begin with a letter or a digit',
  ]);
});

test('a bundle holds no task over 1 MB, none that is too deep, and is no empty list', () => {
  const large = parseBundle([
    { id: 'a', shell: 'x'.repeat(1_000_001) },
    { id: 'b', shell: 'x', 'x-d': deep(50_000) },
  ]);
  assert.ok(!large.ok);
  assert.deepEqual(large.problems.map(formatProblem), [
    '[0]: is larger than 1 MB; put what it carries into a file',
    '[1]: is nested deeper than 100 levels',
  ]);
  assert.ok(!parseBundle([]).ok);
  assert.ok(!parseBundle({}).ok);
});

test('a task that names tens of thousands of resources is refused before any of them is looked at', () => {
  const resources = Object.fromEntries(Array.from({ length: 60_000 }, (_, n) => [`r${n}`, 1]));
  const parsed = parseTask({ command: 'true', resources }, 'a');
  assert.deepEqual(parsed.ok ? [] : parsed.problems.map(({ path, message }) => `${path.join('.')} ${message}`), [
    'resources has 60000 keys; at most 100 are allowed',
  ]);
});
