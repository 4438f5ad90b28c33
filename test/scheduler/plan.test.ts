import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareQueued, type Queued } from '../../src/scheduler/order.ts';
import { type Candidate, plan } from '../../src/scheduler/plan.ts';

/** A job with tasks that may all start now, in a plain list. */
class Line implements Candidate {
  readonly name: string;
  free: number;
  turn = 0;
  readonly tasks: Queued[];
  constructor(name: string, free: number, tasks: readonly Queued[]) {
    this.name = name;
    this.free = free;
    this.tasks = [...tasks].sort(compareQueued);
  }
  peekReady(): Queued | undefined {
    return this.tasks[0];
  }
  takeReady(): Queued | undefined {
    return this.tasks.shift();
  }
}

const queue = fc.array(
  fc.record({ priority: fc.integer({ min: 0, max: 2 }), queuedAt: fc.integer({ min: 0, max: 2 }) }),
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
const free = fc.integer({ min: 0, max: 12 });

const told = (starts: readonly { job: Line; id: string }[]): string[] =>
  starts.map(({ job: { name }, id }) => `${name}/${id}`);

test('no limit is ever exceeded, and nothing waits while a slot that it fits is free', () => {
  fc.assert(
    fc.property(jobs, free, (make, slots) => {
      const limits = make();
      const starts = plan(make(), slots, 0);
      for (const { name, free: limit } of limits)
        assert.ok(starts.filter((start) => start.job.name === name).length <= Math.max(0, limit));
      const startable = limits.reduce((sum, line) => sum + Math.max(0, Math.min(line.free, line.tasks.length)), 0);
      assert.equal(starts.length, Math.min(slots, startable));
    }),
  );
});

test('at each start nothing of higher priority waits in a job that has a slot, and within a job the order is its own', () => {
  fc.assert(
    fc.property(jobs, free, (make, slots) => {
      const naive = make();
      for (const {
        job: { name },
        id,
      } of plan(make(), slots, 0)) {
        const open = naive.filter((line) => line.free > 0);
        const highest = Math.max(...open.map((line) => line.tasks[0]?.priority ?? Number.NEGATIVE_INFINITY));
        const line = open.find((candidate) => candidate.name === name);
        const first = line?.tasks.shift();
        assert.ok(line !== undefined && first !== undefined);
        assert.equal(first.id, id);
        assert.equal(first.priority, highest);
        line.free -= 1;
      }
    }),
  );
});

test('the same facts give the same plan, in whatever order the jobs are told', () => {
  fc.assert(
    fc.property(jobs, free, fc.nat(), (make, slots, by) => {
      const once = plan(make(), slots, 0);
      const all = make();
      const turned = all.length === 0 ? all : [...all.slice(by % all.length), ...all.slice(0, by % all.length)];
      assert.deepEqual(told(once), told(plan(make(), slots, 0)));
      assert.deepEqual(told(once), told(plan(turned, slots, 0)));
    }),
  );
});

const plenty = (n: number): Queued[] =>
  Array.from({ length: n }, (_, at) => ({ id: `t${at}`, priority: 0, queuedAt: at }));

test('jobs of equal priority take turns: after any number of starts their counts differ by one at most', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 20 }),
      (many, rounds) => {
        const lines = Array.from({ length: many }, (_, n) => new Line(`job${n}`, 0, plenty(100)));
        for (const slots of rounds) {
          for (const line of lines) line.free = slots;
          plan(lines, slots, 0);
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
          const [start] = plan(waiting, 1, 0);
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
