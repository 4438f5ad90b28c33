import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareNatural } from '../../src/protocol/names.ts';
import type { Amount, Holdings, Resources } from '../../src/protocol/resources.ts';
import { type Candidate, type Limits, plan, type Start } from '../../src/scheduler/plan.ts';
import { type Kind, type Ready, ReadyTasks } from '../../src/scheduler/ready.ts';
import { Pools, type Request, requestOf } from '../../src/scheduler/resources.ts';
import { liftOf } from '../../src/scheduler/starvation.ts';

type Waiting = Omit<Ready, 'notBefore' | 'isStale'>;

/** A job with tasks that may all start now. */
class Line implements Candidate {
  readonly name: string;
  free: number;
  turn = 0;
  /** Those that wait. */
  readonly tasks: Ready[];
  /** How often it was looked whether an entry still counts. */
  looks = 0;
  private readonly ready = new ReadyTasks();

  constructor(name: string, free: number, tasks: readonly Waiting[]) {
    this.name = name;
    this.free = free;
    this.tasks = [];
    for (const task of tasks) this.add(task);
  }

  readyKinds(): Iterable<Kind> {
    return this.ready.all();
  }

  add(task: Waiting): void {
    const look = () => (this.looks += 1);
    const entry: Ready = {
      ...task,
      notBefore: 0,
      get isStale() {
        look();
        return false;
      },
    };
    this.tasks.push(entry);
    this.ready.push(entry);
  }

  /** Plans, and keeps book of what waits. */
  static plan(lines: readonly Line[], limits: Limits, now = 0): Start<Line>[] {
    const { starts } = plan(lines, limits, now);
    for (const { job, id } of starts) job.tasks.splice(indexOf(job, id), 1);
    return starts;
  }
}

function indexOf(line: Line, id: string): number {
  const at = line.tasks.findIndex((task) => task.id === id);
  assert.ok(at >= 0, `${line.name}/${id} waits, and is started once`);
  return at;
}

const SUPPLY: Resources = new Map<string, Amount>([
  ['gpu', { unit: 'pieces', n: 2 }],
  ['mem', { unit: 'bytes', n: 10 }],
]);
const asking = (gpu: number, mem: number): Request | undefined =>
  requestOf(
    new Map<string, Amount>([
      ...(gpu > 0 ? [['gpu', { unit: 'pieces', n: gpu }] as const] : []),
      ...(mem > 0 ? [['mem', { unit: 'bytes', n: mem }] as const] : []),
    ]),
  );
const request = fc.constantFrom(
  asking(0, 0),
  asking(1, 0),
  asking(2, 0),
  asking(3, 0),
  asking(1, 6),
  asking(0, 5),
  asking(0, 1),
);
const HELD: readonly Holdings[] = [
  new Map(),
  new Map([['gpu', [0]]]),
  new Map<string, number[] | number>([
    ['gpu', [1, 2]],
    ['mem', 7],
  ]),
];
const held = fc.constantFrom(...HELD);

const queue = fc.array(
  fc.record({
    priority: fc.constantFrom(-1000, 0, 0, 1, 1000),
    queuedAt: fc.integer({ min: 0, max: 3 }).map((minutes) => minutes * 60_000),
    request,
  }),
  { maxLength: 8 },
);
const job = fc.record({ free: fc.integer({ min: -1, max: 4 }), turn: fc.integer({ min: 0, max: 2 }), queue });
const jobs = fc.array(job, { maxLength: 5 }).map(
  (all) => () =>
    all.map(({ free, turn, queue: tasks }, n) => {
      const line = new Line(
        `job${n}`,
        free,
        tasks.map((task, at) => ({ id: `t${at}`, ...task })),
      );
      line.turn = turn;
      return line;
    }),
);
const slots = fc.integer({ min: 0, max: 12 });
const after = fc.constantFrom(60, 120, 'none' as const);
const NOW = 240_000;

const limits = (
  free: number,
  holder: Holdings = new Map(),
  starvationAfter: Limits['starvationAfter'] = 'none',
): Limits => ({
  free,
  pools: new Pools(SUPPLY, [holder]),
  starvationAfter,
});
const told = (starts: readonly Start<Line>[]): string[] => starts.map(({ job: { name }, id }) => `${name}/${id}`);

test('no limit is ever exceeded: of the daemon, of a job, of a resource; and no index is handed out twice', () => {
  fc.assert(
    fc.property(jobs, slots, held, after, (make, free, holder, starvation) => {
      const before = make();
      const starts = Line.plan(make(), limits(free, holder, starvation), NOW);
      assert.ok(starts.length <= free);
      for (const { name, free: limit } of before)
        assert.ok(starts.filter((start) => start.job.name === name).length <= Math.max(0, limit));
      const all = [holder, ...starts.map(({ holdings }) => holdings)];
      const gpus = starts.flatMap(({ holdings }) => (holdings.get('gpu') as number[] | undefined) ?? []);
      const taken = [...gpus, ...((holder.get('gpu') as number[] | undefined) ?? [])];
      assert.equal(new Set(taken).size, taken.length, `gpu ${taken.join()}`);
      assert.ok(gpus.every((index) => index === 0 || index === 1));
      assert.ok(gpus.length === 0 || taken.length <= 2);
      assert.ok(all.reduce((sum, one) => sum + ((one.get('mem') as number | undefined) ?? 0), 0) <= 10);
    }),
  );
});

/** What could start still, if it were not for room that is kept. */
function leftOver(lines: readonly Line[], free: number, pools: Pools): Ready[] {
  if (free <= 0) return [];
  return lines.flatMap((line) => (line.free > 0 ? line.tasks.filter((task) => pools.fits(task.request)) : []));
}

test('nothing waits while a slot is free and all that it asks for, whatever stands before it', () => {
  fc.assert(
    fc.property(jobs, slots, held, (make, free, holder) => {
      const lines = make();
      const { pools, ...rest } = limits(free, holder);
      const starts = Line.plan(lines, { pools, ...rest }, NOW);
      assert.deepEqual(leftOver(lines, free - starts.length, pools), []);
    }),
  );
});

test('only for a request that has starved, and that could be met, is room kept from others', () => {
  fc.assert(
    fc.property(jobs, slots, held, fc.constantFrom(60, 120), (make, free, holder, starvation) => {
      const lines = make();
      const { pools } = limits(free, holder);
      const starts = Line.plan(lines, { free, pools, starvationAfter: starvation }, NOW);
      const left = leftOver(lines, free - starts.length, pools);
      if (left.length === 0) return;
      const starved = lines.flatMap((line) =>
        line.free <= 0
          ? []
          : line.tasks.filter(
              (task) =>
                task.request !== undefined &&
                !pools.fits(task.request) &&
                pools.canEverFit(task.request) &&
                liftOf({ since: task.queuedAt, startedAt: 0 }, starvation, NOW) > 0,
            ),
      );
      const reasons = starved.filter(({ request: big }) => {
        pools.keep(big as Request);
        const isReason = left.every((task) => !pools.fits(task.request));
        pools.release(big as Request);
        return isReason;
      });
      assert.notEqual(reasons.length, 0, 'one starved request accounts for all that waits');
    }),
  );
});

test('each start is the first of what fits: by priority, then turn, then age, then id', () => {
  fc.assert(
    fc.property(jobs, slots, held, (make, free, holder) => {
      const naive = make();
      const { pools } = limits(free, holder);
      for (const start of Line.plan(make(), limits(free, holder), NOW)) {
        const places = naive
          .filter((line) => line.free > 0)
          .flatMap((line) => line.tasks.filter((task) => pools.fits(task.request)).map((task) => ({ line, task })));
        places.sort(
          (a, b) =>
            b.task.priority - a.task.priority ||
            a.line.turn - b.line.turn ||
            a.task.queuedAt - b.task.queuedAt ||
            compareNatural(a.task.id, b.task.id) ||
            compareNatural(a.line.name, b.line.name),
        );
        const first = places[0];
        assert.ok(first !== undefined);
        assert.equal(`${start.job.name}/${start.id}`, `${first.line.name}/${first.task.id}`);
        first.line.tasks.splice(indexOf(first.line, start.id), 1);
        first.line.free -= 1;
        first.line.turn = 1 + Math.max(...naive.map((line) => line.turn));
        if (first.task.request !== undefined) pools.take(first.task.request);
      }
    }),
  );
});

test('the same facts give the same plan, in whatever order the jobs are told', () => {
  fc.assert(
    fc.property(jobs, slots, held, after, fc.nat(), (make, free, holder, starvation, by) => {
      const once = Line.plan(make(), limits(free, holder, starvation), NOW);
      const all = make();
      const turned = all.length === 0 ? all : [...all.slice(by % all.length), ...all.slice(0, by % all.length)];
      const again = Line.plan(turned, limits(free, holder, starvation), NOW);
      assert.deepEqual(told(once), told(again));
      assert.deepEqual(
        once.map(({ holdings }) => holdings),
        again.map(({ holdings }) => holdings),
      );
    }),
  );
});

const plenty = (n: number): Waiting[] =>
  Array.from({ length: n }, (_, at) => ({ id: `t${at}`, priority: 0, queuedAt: at }));

test('jobs of equal priority take turns: after any number of starts their counts differ by one at most', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 20 }),
      (many, rounds) => {
        const lines = Array.from({ length: many }, (_, n) => new Line(`job${n}`, 0, plenty(100)));
        for (const free of rounds) {
          for (const line of lines) line.free = free;
          Line.plan(lines, limits(free));
          const counts = lines.map((line) => 100 - line.tasks.length);
          assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, counts.join(' '));
        }
      },
    ),
  );
});

test('a job that waits is passed by each other job once at most, however long the others or it were away before', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), { maxLength: 60, size: 'max' }),
      (rounds) => {
        const lines = Array.from({ length: 4 }, (_, n) => new Line(`job${n}`, 0, plenty(100)));
        const passed = new Map(lines.map((line) => [line, new Map<Line, number>()]));
        for (const present of rounds) {
          for (const [n, line] of lines.entries()) line.free = present[n] ? 1 : 0;
          const waiting = lines.filter((_, n) => present[n]);
          for (const line of lines) if (!waiting.includes(line)) passed.get(line)?.clear();
          const [start] = Line.plan(waiting, limits(1));
          if (start === undefined) continue;
          passed.get(start.job)?.clear();
          for (const line of waiting) {
            if (line === start.job) continue;
            const times = (passed.get(line)?.get(start.job) ?? 0) + 1;
            passed.get(line)?.set(start.job, times);
            assert.ok(times <= 1, `${start.job.name} went before ${line.name} ${times} times`);
          }
        }
      },
    ),
  );
});

test('a request for both of two is met in the end, however many ask for one: room is kept once it starves', () => {
  for (const starvationAfter of [60, 'none'] as const) {
    const small = new Line('small', 0, []);
    const big = new Line('big', 0, [{ id: 'both', priority: 0, queuedAt: 0, request: asking(2, 0) }]);
    const running: { until: number; holdings: Holdings }[] = [{ until: 1, holdings: new Map([['gpu', [1]]]) }];
    let started: number | undefined;
    for (let second = 0; second < 600 && started === undefined; second++) {
      const now = second * 1000;
      small.add({ id: `one-${second}`, priority: 0, queuedAt: now, request: asking(1, 0) });
      for (const line of [small, big]) line.free = 10;
      const live = running.filter(({ until }) => until > second);
      const pools = new Pools(
        SUPPLY,
        live.map(({ holdings }) => holdings),
      );
      for (const { job: line, holdings } of Line.plan([small, big], { free: 10, pools, starvationAfter }, now)) {
        if (line === big) started = second;
        live.push({ until: second + 2, holdings }); // one ends each second, and never both
      }
      running.splice(0, running.length, ...live);
    }
    if (starvationAfter === 'none') assert.equal(started, undefined, 'without, it never is');
    else assert.ok(started !== undefined && started >= 60 && started <= 65, `after ${started} s`);
  }
});

test('a request that a config no longer meets keeps no room', () => {
  const line = new Line('job', 10, [
    { id: 'three', priority: 0, queuedAt: 0, request: asking(3, 0) },
    { id: 'one', priority: 0, queuedAt: 1, request: asking(1, 0) },
  ]);
  assert.deepEqual(told(Line.plan([line], limits(10, new Map(), 60), 1e9)), ['job/one']);
});

test('a low tier gets one start each starvation_after, and no more, while higher ones take all there is', () => {
  const low = new Line(
    'low',
    0,
    plenty(100).map((task) => ({ ...task, priority: -1000 })),
  );
  const high = new Line('high', 0, []);
  const at: number[] = [];
  for (let second = 0; second < 3600; second++) {
    high.add({ id: `t${second}`, priority: 0, queuedAt: second * 1000 });
    for (const line of [low, high]) line.free = 1;
    const [start] = Line.plan([low, high], limits(1, new Map(), 600), second * 1000);
    if (start?.job === low) at.push(second);
  }
  // One tier makes it an equal of the others; it then waits for its turn.
  assert.deepEqual(at, [600, 1200, 1800, 2400, 3000]);
});

/** How often it is looked at entries while four tasks are chosen and twice as many wait. */
function looksAt(many: number): number {
  const line = new Line('job', 10, [
    ...plenty(many).map((task) => ({ ...task, request: asking(3, 0) })),
    ...plenty(many).map((task) => ({ ...task, id: `x${task.id}`, queuedAt: many })),
  ]);
  line.looks = 0;
  assert.equal(plan([line], limits(4), NOW).starts.length, 4);
  return line.looks;
}

test('a plan costs as much as there are kinds, however many tasks wait', () => {
  assert.equal(looksAt(100_000), looksAt(100));
  assert.ok(looksAt(100) < 50);
});
