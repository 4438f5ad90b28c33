// for_each: a task of a workflow becomes a family.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { levelsOf } from '../../src/client/levels.ts';
import { parseWorkflow, type Workflow, type WorkflowOptions } from '../../src/protocol/workflow.ts';

const files: Record<string, string[]> = { 'parts.txt': ['a/1.csv', '', '  ', 'a/2.csv', ''], none: [''] };
const options: WorkflowOptions = {
  linesOf: (path) => {
    const lines = files[path];
    return lines === undefined ? { problem: `There is no file ${path}.` } : { lines };
  },
};

function workflow(text: string, vars: Record<string, string> = {}): Workflow {
  const parsed = parseWorkflow(text, 'flow.yaml', { ...options, vars: new Map(Object.entries(vars)) });
  if (!parsed.ok) assert.fail(parsed.problems.join('\n'));
  return parsed.workflow;
}

function problems(text: string): string[] {
  const parsed = parseWorkflow(text, 'flow.yaml', options);
  assert.ok(!parsed.ok, 'it was taken for a workflow');
  return parsed.problems;
}

test('there is a task for each entry, with the id as its parent, and nobody runs under the id itself', () => {
  const { tasks, heads, specs } = workflow(`
vars: {OUT: /out}
tasks:
  get: {shell: x}
  train:
    for_each: [0.1, deep net, "\${OUT}"]
    command: [train, "\${item}", "n\${index}", "\${OUT}"]
    dependencies: [get]
  report: {shell: y, dependencies: [train]}
`);
  assert.deepEqual([...tasks.keys()], ['get', 'train.0.1', 'train.deep-net', 'train.out', 'report']);
  assert.deepEqual(tasks.get('train.deep-net'), {
    command: ['train', 'deep net', 'n1', '/out'],
    dependencies: ['get'],
    parent: 'train',
    ancestors: ['train'],
  });
  assert.deepEqual([...heads.keys()], ['train']);
  assert.deepEqual(heads.get('train')?.command, ['true']);
  assert.match(String(heads.get('train')?.description), /waits for its 3 tasks, train\.0\.1 and so on/);
  assert.deepEqual(specs.get('report')?.dependencies, ['train']);
  assert.deepEqual(levelsOf(specs).get('report'), 3);
});

test('entries may be maps, whose keys are named, and their ids say what they are', () => {
  const { tasks, specs } = workflow(
    'tasks: {t: {for_each: [{lr: 0.1, n: 2}, {lr: 0.2, n: 3}], shell: "x ${item.lr} ${item.n}", retry: "${item.n}"}}',
  );
  assert.deepEqual([...tasks.keys()], ['t.lr=0.1+n=2', 't.lr=0.2+n=3']);
  assert.equal(tasks.get('t.lr=0.2+n=3')?.shell, 'x 0.2 3');
  assert.equal(specs.get('t.lr=0.2+n=3')?.retry.max, 3);
});

test('entries may be the lines of a file, blank ones passed over', () => {
  const { tasks } = workflow(
    'vars: {F: parts.txt}\ntasks: {t: {for_each: {lines_of: "${F}"}, command: [c, "${item}"]}}',
  );
  assert.deepEqual(
    [...tasks].map(([id, { command }]) => [id, command]),
    [
      ['t.a-1.csv', ['c', 'a/1.csv']],
      ['t.a-2.csv', ['c', 'a/2.csv']],
    ],
  );
});

test('a member may depend on one member of another family, and ids that clash are told apart', () => {
  const { tasks } = workflow(`
tasks:
  build.b: {shell: own}
  build: {for_each: [a, A, b, "a/", ""], shell: "build \${item}"}
  test: {for_each: [a, A.2, b.2], shell: "test \${item}", dependencies: ["build.\${item}"]}
`);
  assert.deepEqual([...tasks.keys()].slice(0, 6), [
    'build.b',
    'build.a',
    'build.A.2',
    'build.b.2',
    'build.a.3',
    'build.4',
  ]);
  assert.deepEqual(tasks.get('test.b.2')?.dependencies, ['build.b.2']);
});

test('an empty list is one task that does nothing, in its turn, so that what depends on it neither hangs nor hurries', () => {
  const { tasks, heads } = workflow(`
tasks:
  get: {shell: x}
  none: {for_each: {lines_of: none}, shell: "y \${item}", dependencies: [get, "part.\${item}"], run_if: always}
  after: {shell: z, dependencies: [none]}
`);
  assert.equal(heads.size, 0);
  assert.deepEqual(tasks.get('none'), {
    command: ['true'],
    description: 'for_each of an empty list: there was nothing to do',
    dependencies: ['get'],
    run_if: 'always',
  });
});

test('of an empty list all is filled in as well, so that what is right or wrong does not hang on the list', () => {
  const flow =
    'tasks: {a: {for_each: [], shell: "do ${item} ${OUT}", dependencies: ["${G}"], run_if: "${WHEN}"}, get: {shell: x}}';
  const { tasks } = workflow(flow, { OUT: '/x', G: 'get', WHEN: 'always' });
  assert.deepEqual([tasks.get('a')?.dependencies, tasks.get('a')?.run_if], [['get'], 'always']);
  assert.match(problems(flow)[0] ?? '', /tasks\.a\.shell: \$\{OUT\} is not defined/);
});

test('what is wrong is said once for all of a family, at the place in the file', () => {
  assert.deepEqual(
    problems(`tasks:
  a:
    for_each: [1, 2, 3]
    shell: x \${itm} \${item.key}
    retry: many
    dependencies: [b, "c.\${item}"]
  b: {shell: x, dependencies: [a]}
`),
    [
      'flow.yaml:4:14: tasks.a.shell: ${itm} is not defined; did you mean ${item}? If it is for the shell, write $itm or $${itm}',
      'flow.yaml:4:21: tasks.a.shell: ${item.key} is not defined: the item "1" has no keys; write ${item}. If it is for the shell, write $${item.key}',
      'flow.yaml:4:21: tasks.a.shell: ${item.key} is not defined: the item "2" has no keys; write ${item}. If it is for the shell, write $${item.key}',
      'flow.yaml:4:21: tasks.a.shell: ${item.key} is not defined: the item "3" has no keys; write ${item}. If it is for the shell, write $${item.key}',
      'flow.yaml:5:5: tasks.a.retry: expected a whole number ≥ 0, or an object as {"max": 3, "delay": "10s", "backoff": 2}, got "many"',
      'flow.yaml:6:23: tasks.a.dependencies[1]: there is no task "c.1" in this workflow; did you mean "a.1"?',
      'flow.yaml:6:23: tasks.a.dependencies[1]: there is no task "c.2" in this workflow; did you mean "a.2"?',
      'flow.yaml:6:23: tasks.a.dependencies[1]: there is no task "c.3" in this workflow; did you mean "a.3"?',
      'flow.yaml:6:5: tasks.a.dependencies: the tasks wait for one another: a → a.1 → b → a; remove one of these dependencies',
    ],
  );
});

test('a list that is none is told what one looks like, with its place', () => {
  const of = (text: string) => problems(`tasks:\n  a:\n    shell: x\n    for_each: ${text}\n`)[0];
  assert.equal(of('abc'), 'flow.yaml:4:5: tasks.a.for_each: expected a list as [a, b], or {lines_of: FILE}, got "abc"');
  assert.equal(
    of('{lines: x}'),
    'flow.yaml:4:16: tasks.a.for_each.lines: there is no such key here; expected a list as [a, b], or {lines_of: FILE}',
  );
  assert.equal(of('{lines_of: 7}'), 'flow.yaml:4:16: tasks.a.for_each.lines_of: expected the path of a file, got 7');
  assert.equal(of('{lines_of: gone}'), 'flow.yaml:4:16: tasks.a.for_each.lines_of: There is no file gone.');
  assert.equal(
    of('[a, [b]]'),
    'flow.yaml:4:19: tasks.a.for_each[1]: expected text, a number, or a map of these as {lr: 0.1}, got a list',
  );
  assert.match(
    problems('tasks: {a: {shell: x, matrix: {a: [1]}}}')[0] ?? '',
    /give a task of a workflow .* "for_each": \[a, b\]/,
  );
  assert.match(
    problems('tasks: {a: {shell: x, dependencies: [a], for_each: [1]}}')[0] ?? '',
    /wait for one another: a → a\.1 → a/,
  );
});

test('a list that would fill the memory is refused before it does', () => {
  const long = `[${'"x", '.repeat(20_000)}"\${item}"]`;
  const list = Array.from({ length: 2_000 }, (_, i) => i).join(', ');
  assert.deepEqual(
    problems(`tasks: {a: {for_each: [${list}], command: ${long}}}`).map((line) => line.replace(/^.*: /, '')),
    ['makes tasks of more than 64 MB together'],
  );
  const many = Array.from({ length: 100_001 }, () => '1').join(',');
  assert.match(problems(`tasks: {a: {shell: x, for_each: [${many}]}}`)[0] ?? '', /has 100001 entries; at most 100000/);
});
