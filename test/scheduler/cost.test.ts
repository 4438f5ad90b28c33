// What settling one task costs, counted and not timed: every look into a Map or a Set, every step over one, every entry
// that leaves a heap, every question to succeeded/. A job is played to its end as the daemon plays it, with
// 1,000 tasks and with 100,000: the cost a task must be the same.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { JobGraph, type TaskFacts } from '../../src/scheduler/graph.ts';
import { generator } from '../helpers/random.ts';

const SMALL = 1_000;
const LARGE = 100_000;
/** How much more a task may cost in the large job. Logarithms of heaps are not counted; sizes of sets are. */
const FLAT = 1.25;

interface Shape {
  what: string;
  make: (tasks: number) => Play;
}

/** What happens in a job besides that ready tasks run and succeed. */
interface Play {
  /** In the order in which they are dropped. */
  tasks: TaskFacts[];
  /** Children that a task queues while it runs. */
  children?: (id: string) => TaskFacts[];
  /** Attempts of each task that fail, each followed by a delay. */
  failures?: number;
  /** Tasks that fail for good once, and are retried when there are a hundred of them, or nothing else is left. */
  fails?: (id: string) => boolean;
  /** How many turns pass with nothing to do, each with a look for ids that nobody has heard of. */
  idle?: number;
}

const facts = (name: string, more: Partial<TaskFacts> = {}): TaskFacts => ({
  id: name,
  priority: 0,
  queuedAt: Number(/\d+/.exec(name) ?? 0),
  dependencies: [],
  ancestors: [],
  runIf: 'success',
  notBefore: 0,
  ...more,
});

const names = (many: number): string[] => Array.from({ length: many }, (_, n) => `t${n}`);

function layered(tasks: number, seed: number): TaskFacts[] {
  const random = generator(seed);
  const layer = Math.ceil(tasks / 50);
  return names(tasks).map((name, n) => {
    const below = Math.floor(n / layer) * layer;
    const wanted = below === 0 ? [] : Array.from({ length: 3 }, () => `t${Math.floor(random() * below)}`);
    return facts(name, { dependencies: [...new Set(wanted)] });
  });
}

function shuffled<T>(items: T[], seed: number): T[] {
  const random = generator(seed);
  for (let at = items.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    [items[at], items[other]] = [items[other] as T, items[at] as T];
  }
  return items;
}

const SHAPES: Shape[] = [
  {
    what: 'tasks that wait for 10,000 others each',
    make: (n) => {
      const all = names(n);
      const group = Math.min(n, 10_000) - 1;
      return {
        tasks: all.map((id, at) =>
          facts(id, { dependencies: at % (group + 1) === group ? all.slice(at - group, at) : [] }),
        ),
      };
    },
  },
  { what: 'random layers, dropped in any order', make: (n) => ({ tasks: shuffled(layered(n, 8), 9) }) },
  {
    what: 'a family of half the job, for which others wait',
    make: (n) => ({
      tasks: [facts('parent'), ...names(n / 2).map((id) => facts(id, { dependencies: ['parent'] }))],
      children: (id) =>
        id === 'parent'
          ? names(n / 2).map((name, at) =>
              facts(`c${name}`, { ancestors: ['parent'], dependencies: at === 0 ? [] : [`ct${at - 1}`] }),
            )
          : [],
    }),
  },
  {
    what: 'tasks that fail first and are tried again after a delay',
    make: (n) => ({ tasks: names(n).map((id) => facts(id)), failures: 1 }),
  },
  {
    what: 'one that all others wait for, dropped last',
    make: (n) => ({ tasks: names(n).map((id) => facts(id, { dependencies: ['late'] })), idle: 5 }),
  },
  {
    what: 'chains dropped with their ends first, of which the first fails, is retried, and brings back the others',
    make: (n) => ({
      tasks: names(n)
        .map((id, at) => facts(id, { dependencies: at % 10 === 0 ? [] : [`t${at - 1}`] }))
        .toReversed(),
      fails: (id) => Number(id.slice(1)) % 10 === 0,
    }),
  },
];

/** Counts what is done while it plays: `put` for the drops, `run` for all that follows, each a task. */
function play({ tasks, children, failures = 0, fails, idle = 0 }: Play): { put: number; run: number } {
  const count = new Count();
  try {
    const succeeded: Record<string, true> = {};
    const graph = new JobGraph((id) => {
      count.operations += 1;
      return succeeded[id] === true;
    });
    let total = tasks.length;
    for (const task of tasks) graph.put(task, 'pending');
    reconcile(graph);
    const put = count.operations;
    for (let turn = 0; turn < idle; turn++) graph.judgeUnheard();
    if (idle > 0) graph.put(facts('late'), 'pending');
    const failed: Record<string, number> = {};
    const lost: TaskFacts[] = [];
    let now = 10;
    let done = 0;
    for (;;) {
      if (lost.length >= 100) for (const task of lost.splice(0)) graph.put(task, 'pending');
      const next = graph.takeReady(now);
      if (next === undefined) {
        const due = graph.nextDue();
        if (due !== undefined) now = due;
        else if (lost.length > 0) for (const task of lost.splice(0)) graph.put(task, 'pending');
        else break;
        reconcile(graph);
        continue;
      }
      const { id } = next;
      graph.move(id, 'running');
      const own = failed[id] === undefined ? (children?.(id) ?? []) : [];
      for (const child of own) graph.put(child, 'pending');
      total += own.length;
      failed[id] = (failed[id] ?? 0) + 1;
      if (failed[id] <= failures) {
        graph.move(id, 'pending');
        graph.delay(id, now + 1 + (failed[id] % 3));
      } else if (fails?.(id) === true && failed[id] === 1) {
        lost.push(facts(id, { dependencies: graph.get(id)?.dependencies ?? [] }));
        graph.move(id, 'failed');
      } else {
        succeeded[id] = true;
        done += 1;
        graph.move(id, 'succeeded');
      }
      reconcile(graph);
    }
    if (idle > 0) total += 1;
    assert.equal(done, total, 'all of them have succeeded');
    assert.equal(graph.size, 0);
    return { put: put / tasks.length, run: (count.operations - put) / done };
  } finally {
    count.end();
  }
}

function reconcile(graph: JobGraph): void {
  assert.equal(graph.takeCycles().length, 0);
  for (let again = true; again; ) {
    const revived = graph.takeRevived();
    for (const id of revived) graph.move(id, 'pending');
    const doomed = graph.takeDoomed();
    for (const [id, cause] of doomed) graph.move(id, 'skipped', cause);
    again = revived.length + doomed.length > 0;
  }
}

/** Until `end`, counts calls and steps of all Maps and Sets, and what enters and leaves an array at its end. */
class Count {
  operations = 0;
  private readonly restore: (() => void)[] = [];

  constructor() {
    for (const name of ['get', 'set', 'has', 'delete'] as const) this.watch(Map.prototype, name);
    for (const name of ['add', 'has', 'delete'] as const) this.watch(Set.prototype, name);
    this.watch(Array.prototype, 'pop'); // what enters a heap leaves it so
    this.watch(Object.getPrototypeOf(new Map().values()), 'next');
    this.watch(Object.getPrototypeOf(new Set().values()), 'next');
  }

  private watch(prototype: object, name: string): void {
    type Method = (this: unknown, a: unknown, b: unknown) => unknown;
    const methods = prototype as Record<string, Method>;
    const original = methods[name] as Method;
    const step = (): number => (this.operations += 1);
    methods[name] = function (a, b) {
      step();
      return original.call(this, a, b);
    };
    this.restore.push(() => (methods[name] = original));
  }

  end(): void {
    for (const restore of this.restore) restore();
  }
}

describe('the cost of a task does not grow with its job', () => {
  for (const { what, make } of SHAPES) {
    it(`in ${what}`, (t) => {
      const small = play(make(SMALL));
      const large = play(make(LARGE));
      t.diagnostic(`operations a task: dropping ${told(small.put, large.put)}; running ${told(small.run, large.run)}`);
      assert.ok(large.run <= small.run * FLAT, `running: ${told(small.run, large.run)}`);
      assert.ok(large.put <= small.put * FLAT, `dropping: ${told(small.put, large.put)}`);
      assert.ok(small.run > 5 && small.put > 1, 'operations are counted at all');
    });
  }
});

function told(small: number, large: number): string {
  return `${small.toFixed(1)} of ${SMALL}, ${large.toFixed(1)} of ${LARGE}`;
}
