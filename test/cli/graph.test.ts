// graph: of a job by its folders, of a workflow file, as a tree, for Mermaid and for Graphviz.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { drawn } from '../../src/cli/drawing.ts';
import { dotText } from '../../src/cli/graph-dot.ts';
import { mermaidText } from '../../src/cli/graph-mermaid.ts';
import { treeText } from '../../src/cli/graph-tree.ts';
import type { GraphTask, TaskGraph } from '../../src/client/graph.ts';
import { readFlowchart } from '../helpers/flowchart.ts';
import { type Folder, Place } from '../helpers/place.ts';
import { projectRoot } from '../protocol/root.ts';

const demo = join(projectRoot(), 'fixtures', 'jobs', 'inventory.yaml');

describe('graph of the demo', () => {
  let place: Place;
  before(async () => {
    place = new Place({ config: 'max_parallel: 4\n' });
    await place.start();
    const { status, err } = await place.spoold('submit', '--wait', demo);
    assert.equal(status, 0, err);
  });
  after(() => place.close());

  it('of the file is valid Mermaid', async () => {
    const { nodes, edges } = readFlowchart((await place.spoold('graph', demo, '--format', 'mermaid')).out);
    assert.deepEqual(
      [...nodes.values()],
      [
        { lines: ['discover'], className: undefined },
        { lines: ['report'], className: undefined },
      ],
    );
    assert.deepEqual(edges, [{ from: 'n0', to: 'n1', dotted: false, text: undefined }]);
  });

  it('of the job is valid Mermaid, with states and with what was queued while it ran', async () => {
    const whole = readFlowchart((await place.spoold('graph', 'inventory', '-f', 'mermaid', '--all')).out);
    const ids = place.job('inventory').ids('succeeded').sort();
    assert.ok(ids.length > 10);
    assert.deepEqual([...whole.nodes.values()].map(({ lines }) => lines[0] ?? '').sort(), ids);
    assert.ok(
      [...whole.nodes.values()].every(({ className, lines }) => className === 'succeeded' && lines[1] === 'succeeded'),
    );
    assert.equal(whole.edges.filter(({ dotted }) => dotted).length, ids.length - 2);
    const short = readFlowchart((await place.spoold('graph', 'inventory', '-f', 'mermaid')).out);
    assert.equal(short.nodes.size, 3);
  });

  it('of the job is a tree in which many alike are one line, and all are in --json', async () => {
    const { out } = await place.spoold('graph', 'inventory');
    const count = place.job('inventory').ids('succeeded').length;
    const lines = out.trimEnd().split('\n');
    assert.equal(lines[0], `inventory: ${count} tasks, ${count} succeeded`);
    assert.equal(lines[1], 'discover  succeeded');
    assert.match(lines[2] ?? '', new RegExp(`^├╌ package-\\S+ … package-\\S+ \\(${count - 2} tasks\\)  succeeded$`));
    assert.equal(lines[3], '└─ report  succeeded');
    const { job, tasks } = JSON.parse((await place.spoold('graph', 'inventory', '--json')).out) as TaskGraph;
    assert.equal(job, 'inventory');
    assert.equal(tasks.filter(({ parent }) => parent === 'discover').length, count - 2);
  });
});

describe('graph', () => {
  let place: Place;
  before(() => {
    place = new Place();
  });
  after(() => place.close());

  it('of a workflow draws for_each as a family, and says what else a task waits for', async () => {
    writeFileSync(
      place.aside('ci.yaml'),
      `vars: {WHAT: }
tasks:
  checkout: {shell: x}
  build: {for_each: [linux, mac], shell: "\${WHAT} \${item}", dependencies: [checkout]}
  lint: {shell: x, dependencies: [checkout]}
  deploy: {shell: x, dependencies: [build, lint]}
  notify: {shell: x, dependencies: [deploy], run_if: always}
  mend: {shell: x, dependencies: [deploy], run_if: failure}
`,
    );
    const { out } = await place.spoold('graph', 'ci.yaml', '--var', 'WHAT=make');
    assert.equal(
      out,
      `ci: 7 tasks
checkout
├─ build
│  ├╌ build.linux
│  ├╌ build.mac
│  └─ deploy  (and after lint)
│     ├─ notify  (whatever comes)
│     └─ mend  (only if that fails)
└─ lint
╌ queued by the task above, or made by its for_each
`,
    );
  });

  it('of a job tells the state of each task by its folder, held, rejected and unknown ones too', async () => {
    const files: [Folder, string, object][] = [
      ['succeeded', 'a', { command: ['x'] }],
      ['failed', 'b', { command: ['x'], dependencies: ['a'] }],
      ['skipped', 'c', { command: ['x'], dependencies: ['b'] }],
      ['pending', 'd', { command: ['x'], dependencies: ['nobody'] }],
      ['running', 'e', { command: ['x'] }],
      ['cancelled', 'f', { command: ['x'], parent: 'e', ancestors: ['e'] }],
      ['rejected', 'g', { comand: 1 }],
    ];
    await place.spoold('init');
    for (const [folder, id, task] of files) {
      mkdirSync(place.job('j').path(folder), { recursive: true });
      writeFileSync(place.job('j').file(folder, id), JSON.stringify(task));
    }
    writeFileSync(place.job('j').path('pending', 'h.held'), '{"command": ["x"]}');
    const { out } = await place.spoold('graph', 'j');
    assert.equal(
      out,
      `j: 9 tasks, 1 succeeded, 1 failed, 1 skipped, 1 pending, 1 running, 1 cancelled, 1 rejected, 1 held, 1 unknown
a  succeeded
└─ b  failed
   └─ c  skipped
e  running
└╌ f  cancelled
g  rejected
h  held
nobody  not queued by anybody
└─ d  pending
╌ queued by the task above, or made by its for_each
`,
    );
    const { nodes } = readFlowchart((await place.spoold('graph', 'j', '-f', 'mermaid')).out);
    assert.deepEqual(
      [...nodes.values()].map(({ lines, className }) => [...lines, className].join(' ')),
      [
        'a succeeded succeeded',
        'b failed failed',
        'c skipped skipped',
        'd pending pending',
        'e running running',
        'f cancelled cancelled',
        'g rejected rejected',
        'h held held',
        'nobody unknown unknown',
      ],
    );
  });

  it('says what it needs where it is given something else', async () => {
    for (const [args, words] of [
      [['j', '-f', 'png'], /There are tree, mermaid, dot/],
      [['j/a'], /is a task; graph needs a job or a workflow file/],
      [['nothing'], /There is no job nothing/],
      [['gone.yaml'], /There is no file gone\.yaml/],
      [['j', '--var', 'A=1'], /--var is for a workflow file/],
    ] as const) {
      const { status, out, err } = await place.spoold('graph', ...args);
      assert.deepEqual([status, out], [2, ''], args.join(' '));
      assert.match(err, words);
    }
  });
});

const hostile = fc.oneof(
  fc.constantFrom(
    'end',
    '"]',
    '--> x',
    'a"b',
    '#quot;',
    '#35;',
    '<br/>',
    '`x`',
    '%%{init: {}}%%',
    '\\',
    '\\"',
    'a\nb',
    '&lt;',
    '|',
    ';',
    'subgraph',
    ':::x',
    '\ud800',
    '日本',
  ),
  fc.string({ unit: 'binary', maxLength: 12 }),
);

const states = ['succeeded', 'failed', 'pending', 'running', 'unknown', null] as const;
const graphs = fc
  .array(
    fc.record({
      id: hostile,
      dependencies: fc.array(fc.nat(15), { maxLength: 4 }),
      parent: fc.option(fc.nat(15)),
      state: fc.constantFrom(...states),
      run_if: fc.constantFrom('success', 'always', 'failure'),
    }),
    { maxLength: 15 },
  )
  .map((list): TaskGraph => {
    const unique = [...new Map(list.map((task) => [task.id, task])).values()];
    const idAt = (n: number) => unique[n % unique.length]?.id ?? '';
    const tasks = unique.map(({ dependencies, parent, ...task }): GraphTask => {
      return {
        ...task,
        dependencies: dependencies.map(idAt),
        parent: parent === null ? null : idAt(parent),
        for_each: false,
      };
    });
    return { job: 'j', tasks };
  });

/** What a label can show of a name: halves of characters and what a terminal obeys are dots. */
const shown = (name: string) => name.replaceAll(/[\u0000-\u001f\u007f-\u009f]|\p{Cs}/gu, '·');

const child = (i: number, state: GraphTask['state']): GraphTask => ({
  id: `c${i}`,
  state,
  dependencies: [],
  run_if: 'success',
  parent: 'p',
  for_each: false,
});

describe('drawing', () => {
  it('any graph with any names is a flowchart that reads back as it was meant, and DOT in which no quote is left open', () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const nodes = drawn(graph, true);
        const { nodes: read, edges } = readFlowchart(mermaidText(nodes));
        assert.deepEqual(
          [...read.values()].map(({ lines }) => lines[0]),
          graph.tasks.map(({ id }) => shown(id) || '·'),
        );
        const arrows = graph.tasks.reduce(
          (sum, { dependencies, parent }) => sum + dependencies.length + Number(parent !== null),
          0,
        );
        assert.equal(edges.length, arrows);
        for (const line of dotText('j', nodes).split('\n').slice(3, -1)) {
          assert.match(
            line,
            /^ {2}n\d+ (\[label="([^"\\&]|\\["\\n]|&amp;)*"(, fillcolor="#[0-9a-f]{6}")?\]|-> n\d+( \[(style=dotted|label="[a-z ]+")\])?);$/u,
          );
        }
        const tree = treeText(graph, nodes).split('\n');
        const lines = tree.slice(1).filter((line) => !line.startsWith('╌ queued'));
        assert.equal(lines.length, graph.tasks.length);
      }),
      { numRuns: 300 },
    );
  });

  it('a chain of 20,000 tasks is a tree that is no wider than a screen, in which each stands once', () => {
    const tasks = Array.from({ length: 20_000 }, (_, i): GraphTask => {
      const dependencies = i === 0 ? [] : [`t${i - 1}`];
      return { id: `t${i}`, state: null, dependencies, run_if: 'success', parent: null, for_each: false };
    });
    const lines = treeText({ job: 'j', tasks }, drawn({ job: 'j', tasks }, false)).split('\n');
    assert.equal(lines.length, 20_001);
    assert.ok(lines.every((line) => line.length < 200));
  });

  it('children alike are one node, but for those that somebody else names', () => {
    const tasks: GraphTask[] = [
      { ...child(0, 'succeeded'), id: 'p', parent: null },
      ...Array.from({ length: 500 }, (_, i) => child(i, i === 7 ? 'failed' : 'succeeded')),
      { ...child(0, 'skipped'), id: 'm', parent: null, dependencies: ['p', 'c3'] },
    ];
    assert.deepEqual(
      drawn({ job: 'j', tasks }, false).map(({ name, tasks: n, state }) => [name, n, state]),
      [
        ['p', 1, 'succeeded'],
        ['c0 … c499', 498, 'succeeded'],
        ['c3', 1, 'succeeded'],
        ['c7', 1, 'failed'],
        ['m', 1, 'skipped'],
      ],
    );
  });
});
