import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JobGraph, type NodeState, type RunIf, type TaskFacts } from '../../src/scheduler/graph.ts';
import type { State } from '../../src/protocol/states.ts';
import { compareQueued } from '../../src/scheduler/order.ts';
import { NaiveGraph, type NaiveTask } from './naive-graph.ts';

const IDS = ['a', 'b', 'c', 'd', 'e', 'f', 'g'] as const;
const id = fc.constantFrom(...IDS);

/** What can happen to a job, in the words of its user. */
type Step =
  | { do: 'put'; id: string; dependencies: string[]; parent: string | undefined; runIf: RunIf; priority: number }
  | { do: 'move'; id: string; to: NodeState | 'succeeded' }
  | { do: 'forget' | 'edit' | 'start' | 'hold'; id: string }
  /** As a daemon that starts finds it: its reason names a cause that may have moved on meanwhile. */
  | { do: 'find skipped'; id: string; dependency: string; folder: State }
  | { do: 'delay'; id: string; by: number }
  | { do: 'pass time'; by: number }
  | { do: 'start all' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('put' as const),
      id,
      dependencies: fc.uniqueArray(id, { maxLength: 3 }),
      parent: fc.option(id, { nil: undefined }),
      runIf: fc.constantFrom<RunIf>('success', 'success', 'always', 'failure'),
      priority: fc.integer({ min: 0, max: 1 }),
    }),
  },
  {
    weight: 7,
    arbitrary: fc.record({
      do: fc.constant('move' as const),
      id,
      to: fc.constantFrom<NodeState | 'succeeded'>(
        'succeeded',
        'succeeded',
        'failed',
        'failed',
        'pending',
        'cancelled',
        'rejected',
      ),
    }),
  },
  fc.record({ do: fc.constantFrom('forget' as const, 'edit' as const, 'start' as const, 'hold' as const), id }),
  fc.record({
    do: fc.constant('find skipped' as const),
    id,
    dependency: id,
    folder: fc.constantFrom<State>('failed', 'cancelled', 'succeeded'),
  }),
  fc.record({ do: fc.constant('delay' as const), id, by: fc.integer({ min: 0, max: 20 }) }),
  fc.record({ do: fc.constant('pass time' as const), by: fc.integer({ min: 1, max: 15 }) }),
  fc.constant({ do: 'start all' as const }),
);

/** What happens between two turns of the daemon. */
const turn = fc.array(step, { minLength: 1, maxLength: 3 });

/** A graph and its naive twin, told of the same facts, as the daemon would tell them. */
class Pair {
  readonly naive = new NaiveGraph();
  readonly graph = new JobGraph((of) => this.naive.succeeded.has(of));
  now = 1_000;
  private age = 0;
  /** Who queued it never changes. */
  private readonly lineage = new Map<string, readonly string[]>();

  take(what: Step): void {
    switch (what.do) {
      case 'put':
        return this.put(what);
      case 'move':
        return this.move(what.id, what.to);
      case 'forget':
        this.naive.tasks.delete(what.id);
        return this.graph.forget(what.id);
      case 'edit': {
        const task = this.naive.tasks.get(what.id);
        if (task !== undefined) this.graph.put(task.facts, task.state, task.cause);
        return;
      }
      case 'start':
      case 'hold': {
        const task = this.naive.tasks.get(what.id);
        return task?.state === 'pending' ? this.move(what.id, what.do === 'hold' ? 'held' : 'running') : undefined;
      }
      case 'find skipped':
        return this.findSkipped(what);
      case 'delay': {
        const task = this.naive.tasks.get(what.id);
        if (task !== undefined) task.facts = { ...task.facts, notBefore: this.now + what.by };
        return this.graph.delay(what.id, this.now + what.by);
      }
      case 'pass time':
        this.now += what.by;
        return;
      case 'start all':
        assert.deepEqual(this.drain(), this.readyByNature());
    }
  }

  /** What a drop says: queued by one that is known, or by nobody. */
  factsOf({ id: name, dependencies, parent, runIf, priority }: Step & { do: 'put' }): TaskFacts {
    const above = parent === undefined || parent === name ? undefined : this.naive.tasks.get(parent)?.facts;
    const isBelow = above !== undefined && !above.ancestors.includes(name);
    const ancestors = this.lineage.get(name) ?? (isBelow ? [above.id, ...above.ancestors] : []);
    return {
      id: name,
      priority,
      queuedAt: (this.age += 1),
      dependencies: dependencies.filter((dependency) => dependency !== name),
      ancestors,
      runIf,
      notBefore: 0,
    };
  }

  /** A task is dropped; one that would wait for itself is rejected. */
  private put(what: Step & { do: 'put' }): void {
    const facts = this.factsOf(what);
    const name = facts.id;
    const closes = this.naive.wouldCycle(facts);
    this.lineage.set(name, facts.ancestors);
    this.naive.succeeded.delete(name);
    this.naive.tasks.set(name, { facts, state: 'pending' });
    this.graph.put(facts, 'pending');
    this.breakCycle(name, closes);
  }

  /** One that closes a cycle is named, with a cycle that is one, and goes to rejected/; no other is. */
  private breakCycle(name: string, closes: boolean): void {
    const cycles = this.graph.takeCycles();
    assert.equal(cycles.length, closes ? 1 : 0, `${name}: ${cycles.map((cycle) => cycle.join(' → ')).join('; ')}`);
    for (const cycle of cycles) {
      assert.equal(cycle[0], name);
      assert.ok(this.isCycle(cycle), cycle.join(' → '));
      const task = this.naive.tasks.get(name) as NaiveTask;
      this.naive.tasks.set(name, { facts: task.facts, state: 'rejected' });
      this.graph.move(name, 'rejected');
    }
    assert.deepEqual(this.graph.takeCycles(), []);
  }

  isCycle(cycle: readonly string[]): boolean {
    const facts = this.naive.tasks.get(cycle[0] as string)?.facts as TaskFacts;
    const waits = cycle.slice(1).every((to, at) => this.naive.waitsFor(cycle[at] as string, to, facts));
    return waits && cycle[0] === cycle.at(-1) && new Set(cycle).size === cycle.length - 1;
  }

  private findSkipped({ id: name, dependency, folder }: Step & { do: 'find skipped' }): void {
    const facts = this.factsOf({
      do: 'put',
      id: name,
      dependencies: [dependency],
      parent: undefined,
      runIf: 'success',
      priority: 0,
    });
    if (this.naive.tasks.has(name) || name === dependency || this.naive.wouldCycle(facts)) return;
    const cause = { id: dependency, folder };
    this.lineage.set(name, facts.ancestors);
    this.naive.succeeded.delete(name);
    this.naive.tasks.set(name, { facts, state: 'skipped', cause });
    this.graph.put(facts, 'skipped', cause);
  }

  private move(name: string, to: NodeState | 'succeeded'): void {
    const task = this.naive.tasks.get(name);
    if (task === undefined) return;
    const closes = to === 'pending' && task.state !== 'pending' && this.naive.wouldCycle(task.facts);
    if (to === 'succeeded') {
      this.naive.succeeded.add(name);
      this.naive.tasks.delete(name);
    } else if (task.state !== to) {
      task.state = to;
      delete task.cause;
    }
    this.graph.move(name, to);
    if (to === 'pending') this.breakCycle(name, closes);
  }

  /** What the daemon does after every change: skip the doomed, bring back the revived, until there are none. */
  reconcile(): void {
    for (let round = 0; ; round++) {
      assert.ok(round < 100, 'skipping and bringing back go on for ever');
      const revived = this.graph.takeRevived();
      for (const name of revived) {
        const task = this.naive.tasks.get(name);
        assert.ok(task?.cause !== undefined && !this.naive.liesIn(task.cause), `${name} came back without a reason`);
        this.move(name, 'pending');
      }
      const doomed = this.graph.takeDoomed();
      for (const [name, cause] of doomed) {
        const task = this.naive.tasks.get(name);
        assert.ok(task !== undefined && this.naive.readiness(task.facts) === 'doomed', `${name} can still start`);
        assert.ok(
          this.naive.liesIn(cause),
          `${name} is skipped for ${cause.id}, which does not lie in ${cause.folder}/`,
        );
        task.state = 'skipped';
        task.cause = cause;
        this.graph.move(name, 'skipped', cause);
      }
      if (revived.length + doomed.length === 0) return;
    }
  }

  check(): void {
    for (const name of IDS) {
      assert.equal(this.graph.unfinishedIn(name), this.naive.unfinishedIn(name), `unfinished in the family of ${name}`);
      const below = this.naive.family(name).flatMap(([member]) => (member === name ? [] : member));
      assert.deepEqual([...this.graph.descendants(name)].sort(), below.sort(), `descendants of ${name}`);
    }
    assert.equal(this.graph.size, this.naive.tasks.size);
    for (const [name, task] of this.naive.tasks) {
      assert.equal(this.graph.get(name)?.state, task.state);
      assert.equal(this.graph.readiness(task.facts).kind, this.naive.readiness(task.facts), `readiness of ${name}`);
      if (task.state === 'pending')
        assert.notEqual(this.naive.readiness(task.facts), 'doomed', `${name} is not skipped`);
      if (task.cause !== undefined) assert.ok(this.naive.liesIn(task.cause), `${name} is not brought back`);
    }
    assert.equal(this.graph.peekReady(this.now)?.id, this.readyByNature()[0]);
    assert.equal(this.graph.nextDue(), this.nextDueByNature());
  }

  private startable(): TaskFacts[] {
    const pending = this.naive.pending().map((task) => task.facts);
    return pending.filter((facts) => this.naive.readiness(facts) === 'ready');
  }

  private readyByNature(): string[] {
    const due = this.startable().filter((facts) => facts.notBefore <= this.now);
    return due.sort(compareQueued).map((facts) => facts.id);
  }

  private nextDueByNature(): number | undefined {
    const later = this.startable().flatMap((facts) => (facts.notBefore > this.now ? facts.notBefore : []));
    return later.length === 0 ? undefined : Math.min(...later);
  }

  /** Takes all that may start, and gives it back. */
  private drain(): string[] {
    const taken: string[] = [];
    for (let next = this.graph.takeReady(this.now); next !== undefined; next = this.graph.takeReady(this.now))
      taken.push(next.id);
    for (const name of taken) this.graph.judgeAgain(name);
    return taken;
  }
}

test('whatever happens to a job, what may start, what is skipped and what comes back agree with a graph computed afresh', () => {
  fc.assert(
    fc.property(fc.array(turn, { maxLength: 40, size: 'max' }), (turns) => {
      const pair = new Pair();
      for (const steps of turns) {
        for (const what of steps) pair.take(what);
        pair.reconcile();
        pair.check();
      }
      pair.take({ do: 'start all' });
    }),
    { numRuns: 200 },
  );
});

test('of many drops told at one go, in any order, enough are named that the others do not wait for themselves', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const pair = new Pair();
      for (const what of steps) {
        if (what.do !== 'put' || pair.naive.tasks.has(what.id)) continue;
        const newcomer = pair.factsOf(what);
        pair.naive.tasks.set(what.id, { facts: newcomer, state: 'pending' });
        pair.graph.put(newcomer, 'pending');
      }
      const rejected = new Set<string>();
      for (let cycles = pair.graph.takeCycles(); cycles.length > 0; cycles = pair.graph.takeCycles()) {
        for (const cycle of cycles) {
          assert.ok(pair.isCycle(cycle), cycle.join(' → '));
          const [name] = cycle as [string];
          rejected.add(name);
          (pair.naive.tasks.get(name) as NaiveTask).state = 'rejected';
          pair.graph.move(name, 'rejected');
        }
      }
      for (const { facts: task } of pair.naive.pending())
        assert.ok(!pair.naive.wouldCycle(task), `${task.id} waits for itself; rejected: ${[...rejected].join()}`);
    }),
    { numRuns: 300 },
  );
});

const facts = (name: string, more: Partial<TaskFacts> = {}): TaskFacts => ({
  id: name,
  priority: 0,
  queuedAt: 1,
  dependencies: [],
  ancestors: [],
  runIf: 'success',
  notBefore: 0,
  ...more,
});

test('a cycle through a grandchild is found although the child between them has succeeded', () => {
  const succeeded = new Set<string>();
  const graph = new JobGraph((of) => succeeded.has(of));
  graph.put(facts('top'), 'running');
  graph.put(facts('child', { ancestors: ['top'] }), 'running');
  graph.put(facts('grandchild', { ancestors: ['child', 'top'], dependencies: ['late'] }), 'pending');
  succeeded.add('child');
  graph.move('child', 'succeeded');
  graph.put(facts('late', { dependencies: ['top'] }), 'pending');
  assert.deepEqual(graph.takeCycles(), [['late', 'top', 'grandchild', 'late']]);
  assert.deepEqual([...graph.descendants('top')], ['grandchild']);
});

test('a task that an edit took out of its family may wait for that family', () => {
  const graph = new JobGraph(() => false);
  graph.put(facts('top'), 'running');
  graph.put(facts('child', { ancestors: ['top'] }), 'pending');
  graph.put(facts('other', { dependencies: ['child'] }), 'pending');
  graph.put(facts('child', { dependencies: ['top'] }), 'pending');
  assert.deepEqual(graph.takeCycles(), []);
});

test('a drop that would wait for itself through tasks that are skipped is named: they would come back', () => {
  const graph = new JobGraph(() => false);
  graph.put(facts('a', { dependencies: ['g'] }), 'pending');
  graph.put(facts('g', { dependencies: ['f'] }), 'pending');
  graph.put(facts('f'), 'failed');
  for (let doomed = graph.takeDoomed(); doomed.length > 0; doomed = graph.takeDoomed())
    for (const [name, cause] of doomed) graph.move(name, 'skipped', cause);
  assert.equal(graph.get('a')?.state, 'skipped');
  graph.put(facts('f', { dependencies: ['a'] }), 'pending');
  assert.deepEqual(graph.takeCycles(), [['f', 'a', 'g', 'f']]);
});

test('a child that would wait for the family it belongs to is named, be its ancestor running or done', () => {
  const graph = new JobGraph((of) => of === 'top');
  graph.put(facts('child', { ancestors: ['top'] }), 'running');
  graph.put(facts('grandchild', { ancestors: ['child', 'top'], dependencies: ['top'] }), 'pending');
  assert.deepEqual(graph.takeCycles(), [['grandchild', 'top', 'grandchild']]);
});

test('what comes back from skipped/ into a cycle that was closed meanwhile is named', () => {
  const graph = new JobGraph(() => false);
  graph.put(facts('b', { dependencies: ['a'] }), 'skipped', { id: 'x', folder: 'failed' });
  graph.put(facts('a', { dependencies: ['b'] }), 'skipped', { id: 'x', folder: 'failed' });
  assert.deepEqual(graph.takeCycles(), []);
  graph.move('b', 'pending');
  assert.deepEqual(graph.takeCycles(), [['b', 'a', 'b']]);
});

test('a reading of a folder misses those who were there before it and were not seen, not those who came meanwhile', () => {
  const graph = new JobGraph(() => false);
  for (const name of ['seen', 'gone', 'moved', 'edited']) graph.put(facts(name), 'pending');
  graph.put(facts('back'), 'failed');
  graph.beginReading();
  assert.equal(graph.see('seen'), 'pending');
  assert.equal(graph.see('stranger'), undefined);
  graph.move('moved', 'running');
  graph.move('back', 'pending');
  graph.put(facts('edited'), 'pending');
  graph.put(facts('new'), 'pending');
  assert.deepEqual([...graph.unseen('pending')], ['gone']);
  graph.beginReading();
  assert.deepEqual([...graph.unseen('pending')].sort(), ['back', 'edited', 'gone', 'new', 'seen']);
});

test('of 100,000 tasks that each close a longer way round, the first to close one is named, and no way is walked twice', () => {
  const graph = new JobGraph(() => false);
  const many = 100_000;
  graph.put(facts('w', { dependencies: ['t0'] }), 'pending');
  graph.put(facts('t0', { dependencies: ['t1'] }), 'pending');
  for (let n = 1; n < many; n++) graph.put(facts(`t${n}`, { dependencies: [`t${n + 1}`, 't0'] }), 'pending');
  const [cycle = []] = graph.takeCycles();
  assert.deepEqual(cycle, ['t1', 't0', 't1']);
  graph.move('t1', 'rejected');
  assert.deepEqual(graph.takeCycles(), []);
  assert.equal(graph.mayHaveCycles, false);
});

test('a search for cycles stops after as many edges as it was given, and goes on when it is asked again', () => {
  const graph = new JobGraph(() => false);
  graph.put(facts('v', { dependencies: Array.from({ length: 1000 }, (_, n) => `x${n}`) }), 'pending');
  graph.put(facts('u', { dependencies: ['v'] }), 'pending');
  for (let n = 0; n < 1000; n++) graph.put(facts(`x${n}`, { dependencies: [n % 2 === 0 ? 'u' : 'z'] }), 'pending');
  const rejected: string[] = [];
  let calls = 0;
  for (; graph.mayHaveCycles; calls++) {
    for (const cycle of graph.takeCycles(1)) {
      const [first = ''] = cycle;
      assert.deepEqual(cycle, [first, 'u', 'v', first]);
      rejected.push(first);
      graph.move(first, 'rejected');
    }
  }
  assert.equal(rejected.length, 500);
  assert.ok(calls > 500);
});
