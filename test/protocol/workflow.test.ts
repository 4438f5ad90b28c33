import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cyclesIn, parseWorkflow, type Workflow } from '../../src/protocol/workflow.ts';

function workflow(text: string, file = 'flow.yaml'): Workflow {
  const parsed = parseWorkflow(text, file);
  if (!parsed.ok) assert.fail(parsed.problems.join('\n'));
  return parsed.workflow;
}

function problems(text: string, file = 'flow.yaml'): string[] {
  const parsed = parseWorkflow(text, file);
  assert.ok(!parsed.ok, 'it was taken for a workflow');
  return parsed.problems;
}

const good = `
name: etl
max_parallel: 2
defaults: {timeout: 5m, env: {A: "1"}}
tasks:
  fetch: {command: [curl, x]}
  merge:
    shell: cat *
    dependencies: [fetch]
    env: {B: 2}
`;

test('a workflow is its settings, its tasks as written, and their specs with the defaults', () => {
  const { name, rawSettings, settings, tasks, specs } = workflow(good);
  assert.equal(name, 'etl');
  assert.deepEqual(rawSettings, { max_parallel: 2, defaults: { timeout: '5m', env: { A: '1' } } });
  assert.equal(settings.maxParallel, 2);
  assert.deepEqual(
    [...tasks],
    [
      ['fetch', { command: ['curl', 'x'] }],
      ['merge', { shell: 'cat *', dependencies: ['fetch'], env: { B: 2 } }],
    ],
  );
  assert.deepEqual([specs.get('merge')?.timeout, specs.get('merge')?.env], [300, { A: '1', B: '2' }]);
});

test('the same in JSON, in braces that are YAML, and with anchors, reads alike', () => {
  const json = '{"job": "j", "tasks": {"a": {"id": "a", "shell": "x"}}}';
  assert.deepEqual(workflow(json, 'flow.json'), workflow(json, 'flow.yaml'));
  assert.deepEqual([...workflow('{tasks: {a: {shell: x}}}').tasks], [['a', { shell: 'x' }]]);
  const anchors = 'x-base: &base {cwd: /srv}\ntasks:\n  a: {<<: *base, shell: x}\n  b: {<<: *base, shell: y}\n';
  assert.deepEqual(
    [...workflow(anchors).tasks.values()],
    [
      { cwd: '/srv', shell: 'x' },
      { cwd: '/srv', shell: 'y' },
    ],
  );
});

test('all problems are named at once, each with its line and column', () => {
  const text = `max_parallel: 0
defaults: {timeout: 5q}
tasks:
  a: {command: [x], dependencies: [c, bb]}
  bx: {shell: hi, dependencies: [a], retry: {max: x}}
  c: {shell: hi, dependencies: [bx]}
  A: {shell: hi}
  d e: {shell: hi}
  f: {shell: hi, dependencies: [f], needs: [a], parent: a}
  g: 7
`;
  assert.deepEqual(problems(text), [
    'flow.yaml:1:1: max_parallel: expected a whole number ≥ 1, or "none" for no limit but the global one, got 0',
    'flow.yaml:2:12: defaults.timeout: expected a duration: seconds, or text as "90s", "5m", "1h30m"; or "none", got "5q"',
    'flow.yaml:7:3: tasks.A: differs from "a" only in case, which some file systems do not keep apart',
    'flow.yaml:8:3: tasks."d e": "d e" is no task id: a space is not allowed in it; letters, digits and . _ = + @ : - are',
    'flow.yaml:9:49: tasks.f.parent: is set by the daemon for tasks that a task queued; leave it out',
    'flow.yaml:10:3: tasks.g: expected a task, as {command: [echo, hi]}, got 7',
    'flow.yaml:5:46: tasks.bx.retry.max: expected a whole number ≥ 0, got "x"',
    'flow.yaml:9:37: tasks.f.needs: there is no such key; it is called "dependencies" here',
    'flow.yaml:9:18: tasks.f.dependencies: "f" depends on itself; remove it',
    'flow.yaml:4:39: tasks.a.dependencies[1]: there is no task "bb" in this workflow',
    'flow.yaml:4:21: tasks.a.dependencies: the tasks wait for one another: a → c → bx → a; remove one of these dependencies',
  ]);
});

test('a workflow without tasks, and one that is none, say what a workflow looks like', () => {
  assert.deepEqual(problems('tasks: {}'), ['flow.yaml:1:1: tasks: there are none; a workflow needs at least one']);
  assert.match(problems('')[0] ?? '', /^flow\.yaml:1:1: the file is empty; a workflow is a map with its tasks/);
  assert.match(problems('name: x')[0] ?? '', /tasks: is missing: expected a map of tasks/);
  assert.match(problems('tasks: [{shell: x}]')[0] ?? '', /tasks: expected a map of tasks, .* got a list/);
  assert.match(
    problems('steps: {}\ntasks: {a: {shell: x}}')[0] ?? '',
    /steps: there is no such key; it is called "tasks" here/,
  );
  assert.match(problems('name: a b\ntasks: {a: {shell: x}}')[0] ?? '', /name: "a b" is no name of a job: a space/);
});

test('a key that is there twice is an error with its line, in YAML and in JSON', () => {
  assert.deepEqual(problems('tasks:\n  a: {shell: x}\n  a: {shell: y}\n'), [
    'flow.yaml:3:3: "a": this key is there twice; keep one',
  ]);
  assert.deepEqual(problems('{"tasks": {\n "a": {"shell": "x"},\n "a": {"shell": "y"}}}', 'f.json'), [
    'f.json:3:2: tasks.a: this key is there twice; keep one',
  ]);
});

test('an alias bomb, a deep file and a broken one end quickly, with one message', () => {
  let bomb = 'a0: &a0 [x, x, x, x, x, x, x, x, x]\n';
  for (let i = 1; i < 10; i++) bomb += `a${i}: &a${i} [${Array.from({ length: 9 }, () => `*a${i - 1}`).join(', ')}]\n`;
  assert.deepEqual(problems(bomb), ['flow.yaml: has too many anchors (&name) and aliases (*name): at most 10000']);
  assert.deepEqual(problems('tasks: '.concat('[', '['.repeat(20_000))), ['flow.yaml: is nested too deeply']);
  assert.deepEqual(problems('{"tasks": {', 'f.json'), ['f.json:1:12: it ends in the middle of an object']);
  assert.equal(workflow(`tasks: {a: {command: cat, stdin: ": ${'x'.repeat(400_000)}"}}\n`).tasks.size, 1);
  assert.equal(
    workflow(`tasks: {a: {command: cat, stdin: ": ${'-'.repeat(400_000)}x", for_each: ["${'-'.repeat(400_000)}x"]}}\n`)
      .tasks.size,
    1,
  );
});

test('a key is a word, however many maps are put in its place', () => {
  const [first = ''] = problems(`tasks: {a: true}\n${'? '.repeat(400)}x\n`);
  assert.equal(first, 'flow.yaml:2:3: a key is a word, and this is a map or a list');
  assert.deepEqual(problems('x-a: &a [1]\ntasks:\n  *a : true\n'), [
    'flow.yaml:3:3: a key is a word, and this is a map or a list',
  ]);
});

test('thirty thousand anchors and as many aliases are not compared each with each', () => {
  const all = Array.from({ length: 30_000 }, (_, n) => n);
  const text = `x-a: [${all.map((n) => `&a${n} x`).join(', ')}]\nx-b: [${all.map((n) => `*a${n} `).join(', ')}]\n`;
  assert.deepEqual(problems(text), ['flow.yaml: has too many anchors (&name) and aliases (*name): at most 10000']);
});

test('a long map on one line is no deep one', () => {
  const env = Array.from({ length: 600 }, (_, n) => `V${n}: x`).join(',');
  assert.equal(workflow(`tasks: {a: {command: ["true"], env: {${env}}}}\n`).tasks.size, 1);
});

test('large defaults are not checked anew for each of very many tasks', () => {
  const args = Array.from({ length: 50_000 }, () => 'x');
  const items = Array.from({ length: 50_000 }, (_, n) => n);
  const text = JSON.stringify({ defaults: { args }, tasks: { a: { command: 'true', for_each: items } } });
  assert.deepEqual(problems(text, 'f.json'), [
    'f.json:1:2: defaults: are more than 256 MB in all 50000 tasks together',
  ]);
});

test('a long cycle is told by its beginning and its end', () => {
  const tasks: Record<string, object> = {};
  for (let n = 0; n < 1000; n++) tasks[`t${n}`] = { command: 'true', dependencies: [`t${(n + 1) % 1000}`] };
  const [first = ''] = problems(JSON.stringify({ tasks }), 'f.json');
  assert.match(first, /t0 → t1 → .* → t19 → … 961 more … → t981 → .* → t999 → t0; remove/);
});

test('a thousand tasks may share one anchor', () => {
  const text = `x-b: &b {cwd: /srv}\ntasks:\n${Array.from({ length: 1000 }, (_, i) => `  t${i}: {<<: *b, shell: x}`).join('\n')}\n`;
  assert.equal(workflow(text).tasks.size, 1000);
});

const graph = fc
  .array(fc.array(fc.nat({ max: 7 }), { maxLength: 4 }), { minLength: 1, maxLength: 8 })
  .map((lists) => new Map(lists.map((list, i) => [`t${i}`, list.filter((j) => j < lists.length).map((j) => `t${j}`)])));

test('a graph has a cycle exactly if its tasks cannot be put in an order, and each cycle given is one', () => {
  fc.assert(
    fc.property(graph, (edges) => {
      const cycles = cyclesIn(edges);
      for (const cycle of cycles) {
        cycle.forEach((id, i) => assert.ok(edges.get(id)?.includes(cycle[(i + 1) % cycle.length] ?? '')));
      }
      const left = new Map(edges);
      for (let before = -1; before !== left.size; ) {
        before = left.size;
        for (const [id, needs] of left) if (!needs.some((need) => left.has(need))) left.delete(id);
      }
      assert.equal(cycles.length > 0, left.size > 0);
    }),
    { numRuns: 500 },
  );
});

test('a chain of 100,000 tasks is looked through without a deep stack', () => {
  const edges = new Map(Array.from({ length: 100_000 }, (_, i) => [`t${i}`, [`t${i + 1}`]]));
  assert.deepEqual(cyclesIn(edges), []);
  edges.set('t99999', ['t0']);
  assert.equal(cyclesIn(edges)[0]?.length, 100_000);
});

test('settings and tasks that aliases blow up are refused before they are written', () => {
  const large = `x-l: &l ${'x'.repeat(100_000)}\n`;
  const many = `[${Array.from({ length: 2000 }, () => '*l').join(', ')}]`;
  assert.match(
    problems(`${large}x-m: ${many}\ntasks: {a: {shell: x}}\n`)[0] ?? '',
    /the settings of the job: is larger than 1 MB/,
  );
  assert.match(
    problems(`${large}tasks: {a: {shell: x, x-m: ${many}}, b: {shell: x, dependencies: [a]}}\n`)[0] ?? '',
    /tasks\.a: is larger than 1 MB/,
  );
});
