// `${NAME}` in the texts of a workflow, as the whole parser hands it on or complains about it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Filler } from '../../src/protocol/variables.ts';
import { parseWorkflow, type Workflow } from '../../src/protocol/workflow.ts';

const given = (vars: Record<string, string>) => ({ vars: new Map(Object.entries(vars)) });

function workflow(text: string, vars: Record<string, string> = {}, file = 'flow.yaml'): Workflow {
  const parsed = parseWorkflow(text, file, given(vars));
  if (!parsed.ok) assert.fail(parsed.problems.join('\n'));
  return parsed.workflow;
}

function problems(text: string, vars: Record<string, string> = {}, file = 'flow.yaml'): string[] {
  const parsed = parseWorkflow(text, file, given(vars));
  assert.ok(!parsed.ok, 'it was taken for a workflow');
  return parsed.problems;
}

test('a variable stands in any text: name, settings, defaults, commands, dependencies, lists and maps', () => {
  const { name, rawSettings, tasks } = workflow(`
name: etl-\${DAY}
description: of \${DAY}
vars: {DAY: 2030-01-31, ROOT: /srv, DATA: "\${ROOT}/data", FIRST: fetch}
defaults: {cwd: "\${DATA}", env: {DAY: "\${DAY}"}}
tasks:
  fetch: {command: [get, "--day=\${DAY}", "\${ROOT}:\${DATA}"], stdin: {file: "\${DATA}/in"}}
  load: {shell: "load \${DAY}", dependencies: ["\${FIRST}"]}
`);
  assert.equal(name, 'etl-2030-01-31');
  assert.deepEqual(rawSettings, {
    description: 'of 2030-01-31',
    defaults: { cwd: '/srv/data', env: { DAY: '2030-01-31' } },
  });
  assert.deepEqual(tasks.get('fetch'), {
    command: ['get', '--day=2030-01-31', '/srv:/srv/data'],
    stdin: { file: '/srv/data/in' },
  });
  assert.deepEqual(tasks.get('load'), { shell: 'load 2030-01-31', dependencies: ['fetch'] });
});

test('in the defaults it depends on the key as anywhere: text stays text, and keys of your own stay as they are', () => {
  const { settings, rawSettings } = workflow(
    `
defaults:
  env: {VERSION: "\${V}"}
  cwd: "\${D}"
  shell: "\${YES}"
  retry: "\${N}"
  x-mine: "\${V}"
tasks: {a: {description: a}}
`,
    { V: '1.10', D: '2024', YES: 'true', N: '3' },
  );
  const texts = { env: { VERSION: '1.10' }, cwd: '2024', shell: 'true' };
  assert.deepEqual(rawSettings.defaults, { ...texts, retry: 3, 'x-mine': '${V}' });
  assert.equal(settings.defaults.retry, 3);
});

test('--var goes above the file, and may bring a name that the file only uses', () => {
  const text = 'vars: {A: one, B: "${A}-b"}\ntasks: {x: {command: [echo, "${A}", "${B}", "${C}"]}}';
  assert.deepEqual(workflow(text, { A: 'two', C: 'three' }).tasks.get('x')?.command, ['echo', 'two', 'two-b', 'three']);
});

test('a text that is one reference and nothing else is a number where one is wanted, and text where text is', () => {
  const { settings, tasks, specs } = workflow(
    'vars: {N: 3}\nmax_parallel: "${N}"\ntasks: {x: {command: [head, "-n", "${N}"], retry: {max: "${N}"}, timeout: "${T}s", priority: "${P}"}}',
    { T: '90', P: 'foreground' },
  );
  assert.equal(settings.maxParallel, 3);
  assert.deepEqual(tasks.get('x')?.command, ['head', '-n', '3']);
  assert.deepEqual([specs.get('x')?.retry.max, specs.get('x')?.timeout, specs.get('x')?.priority], [3, 90, 1000]);
  assert.match(
    problems('tasks: {x: {shell: a, retry: "${N}"}}', { N: 'many' })[0] ?? '',
    /^flow\.yaml:1:23: tasks\.x\.retry: expected a whole number .*, got "many"$/,
  );
});

test('$${ is a plain ${, $NAME is left alone, and keys of the owner stay as they are', () => {
  const { tasks, rawSettings } = workflow(
    'x-note: ${item}\ntasks: {x: {shell: "echo $HOME $${HOME} $$ $$${A} {} $(x)", x-own: "${no}"}}',
  );
  assert.deepEqual(tasks.get('x'), { shell: 'echo $HOME ${HOME} $$ $${A} {} $(x)', 'x-own': '${no}' });
  assert.deepEqual(rawSettings, { 'x-note': '${item}' });
});

test('one that is not defined is an error at its own place, which says what to do, in YAML and in JSON', () => {
  const yaml = `vars:
  DATA: /srv
tasks:
  a:
    shell: |
      for f in *; do
        echo $\${f} \${f} \${DAT}/x
      done
`;
  assert.deepEqual(problems(yaml), [
    'flow.yaml:7:20: tasks.a.shell: ${f} is not defined: add it to vars, or give --var f=VALUE. If it is for the shell, write $f or $${f}',
    'flow.yaml:7:25: tasks.a.shell: ${DAT} is not defined; did you mean ${DATA}? If it is for the shell, write $DAT or $${DAT}',
  ]);
  assert.deepEqual(problems('{"tasks": {"a": {\n "command": ["echo",\n  "x ${A}"]}}}', {}, 'f.json'), [
    'f.json:3:6: tasks.a.command[1]: ${A} is not defined: add it to vars, or give --var A=VALUE. If it is for the shell, write $A or $${A}',
  ]);
});

test('what only a shell understands, and what has no end, is told how to be written', () => {
  assert.deepEqual(problems('tasks: {a: {shell: "x ${A:-1} ${#b}"}, b: {shell: "y ${"}, c: {shell: "${item}"}}'), [
    'flow.yaml:1:23: tasks.a.shell: ${A:-1} is no name of a variable of the workflow; if it is for the shell, write $${A:-1}',
    'flow.yaml:1:31: tasks.a.shell: ${#b} is no name of a variable of the workflow; if it is for the shell, write $${#b}',
    'flow.yaml:1:54: tasks.b.shell: "${" has no "}" on its line; for a plain "${" write "$${"',
    'flow.yaml:1:72: tasks.c.shell: ${item} is not defined here: a task with for_each has it. If it is for the shell, write $item or $${item}',
  ]);
});

test('a value that could not be filled in is not complained about twice', () => {
  assert.equal(problems('tasks: {a: {shell: x, retry: "${N}"}}').length, 1);
});

test('variables that are wrong, have no value, or are given for nothing, are told of', () => {
  assert.deepEqual(problems('vars:\n  a-b: 1\n  item: 2\n  DATE:\n  L: [1]\ntasks: {a: {shell: "x ${DATE}"}}'), [
    'flow.yaml:2:3: vars.a-b: "a-b" is no name of a variable: letters, digits and _ make one',
    'flow.yaml:3:3: vars.item: is what for_each sets for each task; take another name',
    'flow.yaml:4:3: vars.DATE: has no value, so it must be given: --var DATE=VALUE',
    'flow.yaml:5:3: vars.L: expected text, a number, or true or false, got a list',
  ]);
  assert.match(problems('vars: [A]\ntasks: {a: {shell: x}}')[0] ?? '', /^flow\.yaml:1:1: vars: expected a map/);
  assert.match(
    problems('vars: {ALPHA: 1}\ntasks: {a: {shell: "x ${ALPHA}"}}', { ALPA: '2' })[0] ?? '',
    /--var ALPA: nothing in this workflow refers to \$\{ALPA\}; did you mean ALPHA\?/,
  );
  assert.match(problems('vars: {A: "${B}", B: x}\ntasks: {a: {shell: x}}')[0] ?? '', /vars\.A: \$\{B\} is not defined/);
});

test('a few references cannot be made to fill the memory', () => {
  const tasks = Array.from({ length: 200 }, (_, i) => `  t${i}: {shell: "${'${A}'.repeat(50)}"}`).join('\n');
  const text = `vars: {A: ${'x'.repeat(10_000)}}\ntasks:\n${tasks}\n`;
  const found = problems(text);
  assert.ok(found.some((line) => /larger than 64 MB together/.test(line)));
});

test('filling in: every reference is replaced once, nothing else is touched, and $${ never is a reference', () => {
  const piece = fc.oneof(
    fc.constantFrom('${A}', '${B}', '$${A}', '$${', '$', '{', '}', 'x', '$$', '${'),
    fc.string({ maxLength: 3 }).filter((text) => !text.includes('$') && !text.includes('{')),
  );
  const values: Record<string, string> = { A: '${B}', B: '$' };
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const filler = new Filler();
      const scope = { valueOf: (name: string) => values[name], names: () => Object.keys(values) };
      const text = pieces.join('');
      const filled = filler.fill(text, scope, [], true);
      let expected = '';
      let unknown = 0;
      for (let at = 0; at < text.length; ) {
        const rest = text.slice(at);
        const reference = /^\$\{([^}\n]*)\}/.exec(rest);
        if (rest.startsWith('$${')) [expected, at] = [`${expected}\${`, at + 3];
        else if (reference?.[1] !== undefined && values[reference[1]] !== undefined)
          [expected, at] = [expected + (values[reference[1]] as string), at + reference[0].length];
        else if (rest.startsWith('${')) {
          const whole = reference?.[0] ?? /^\$\{[^}\n]*/.exec(rest)?.[0] ?? '';
          [expected, at, unknown] = [expected + whole, at + whole.length, unknown + 1];
        } else [expected, at] = [expected + (text[at] as string), at + 1];
      }
      assert.equal(filled, expected);
      assert.equal(filler.problems.length, unknown);
    }),
    { numRuns: 1000 },
  );
});

test('a variable without quotes where a { opens a map is told so, once', () => {
  assert.deepEqual(problems('tasks:\n  a: {command: [echo, x ${A}]}\n'), [
    'flow.yaml:2:25: quotes are missing: between { } or [ ], a text with ${…} in it is written "…"',
  ]);
});

test('ten thousand references that name nothing are not compared with each of ten thousand variables', () => {
  const vars = Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`some_variable_${n}`, 'x']));
  const shell = Array.from({ length: 10_000 }, (_, n) => `\${some_voriable_${n}}`).join(' ');
  const all = problems(JSON.stringify({ vars, tasks: { a: { shell } } }), {}, 'f.json');
  assert.match(all[0] ?? '', /did you mean \$\{some_variable_0\}\?/);
  assert.equal(all.at(-1), '… and 9950 more');
});

test('texts that would be longer than any can be are refused, not made', () => {
  const shell = `\${big}`.repeat(600);
  const [first = ''] = problems(
    JSON.stringify({ vars: { big: 'x'.repeat(1_000_000) }, tasks: { a: { shell } } }),
    {},
    'f.json',
  );
  assert.match(first, /tasks\.a\.shell: the texts of this workflow are larger than 64 MB together/);
});
