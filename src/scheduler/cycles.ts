// Who would wait for itself. An edge goes from one that waits to what it waits for: a task to its dependencies, a family
// to its members. From a newcomer, one search forward and one backward take turns edge by edge, so that the smaller of the
// two sides is the price; for many at once, one depth-first walk tells before which of them are in any cycle.

import type { Node } from './node.ts';

export interface Edges {
  /** What it waits for, as a task. */
  dependencies(id: string): Iterable<string>;
  /** What it waits for, as a family; undefined: nothing. */
  members(id: string): Iterable<string> | undefined;
  /** Who waits for it: those that depend on it, and the families it belongs to. */
  waiters(id: string): Iterable<string>;
}

/** Once so many edges were passed from one suspect after the other, a walk tells which of the rest are in cycles. */
const WALK_AFTER = 50_000;

/** Tasks whose drop may have closed a cycle: each is searched from once, the oldest first. */
export class CycleSearch {
  private readonly nodes: ReadonlyMap<string, Node>;
  private readonly edges: Edges;
  private readonly suspects = new Set<string>();
  private passed = 0;
  /** What is in cycles, of all that the suspects wait for; undefined: that was not walked through. */
  private inCycles: ReadonlySet<string> | undefined;

  constructor(nodes: ReadonlyMap<string, Node>, edges: Edges) {
    this.nodes = nodes;
    this.edges = edges;
  }

  get size(): number {
    return this.suspects.size;
  }

  /** It has just been given its turn. */
  add(id: string): void {
    this.suspects.delete(id);
    this.suspects.add(id);
    this.inCycles = undefined;
  }

  delete(id: string): void {
    this.suspects.delete(id);
  }

  /** The next cycle; undefined if there is none, or once `steps` edges were passed. */
  next(steps: number): string[] | undefined {
    const until = this.passed + steps;
    for (const id of this.suspects) {
      if (this.passed >= until) return undefined;
      if (this.passed > WALK_AFTER) this.inCycles ??= inCycles(this.suspects, this.edges);
      this.suspects.delete(id);
      const node = this.nodes.get(id);
      if (node?.state !== 'pending' || this.inCycles?.has(id) === false) continue; // it is looked at when it comes there
      const { cycle, passed } = cycleThrough(node, this.edges, (other) => this.mayClose(other, node));
      this.passed += passed + 1;
      if (cycle !== undefined) return cycle;
    }
    this.passed = 0;
    this.inCycles = undefined;
    return undefined;
  }

  /** A cycle is closed by the last of its tasks: what came later, or is in no cycle, need not be searched. */
  private mayClose(id: string, { turn }: Node): boolean {
    return (this.nodes.get(id)?.turn ?? 0) <= turn && this.inCycles?.has(id) !== false;
  }
}

/**
 * The cycle that a task is in, as `a, b, a`, beginning with it, if there is one, and how many edges were passed to find out.
 * Only what `may` allows is searched. The shortest is told first: by a task that waits for one it descends from.
 */
function cycleThrough(
  { id, ancestors, dependencies }: Node,
  edges: Edges,
  may: (id: string) => boolean,
): { cycle?: string[]; passed: number } {
  const ancestor = ancestors.find((root) => dependencies.includes(root));
  if (ancestor !== undefined) return { cycle: [id, ancestor, id], passed: 1 };
  const ahead = new Map<string, string>();
  const behind = new Map<string, string>([[id, id]]);
  const forward = spread(ahead, [id, edges.dependencies(id)], (of) => waitedFor(of, edges), may);
  const backward = spread(behind, [id, edges.waiters(id)], (of) => edges.waiters(of), may);
  let passed = 0;
  for (; ; passed += 2) {
    const to = forward.next();
    if (to.done === true) return { passed };
    if (to.value !== undefined && behind.has(to.value)) return { cycle: joined(id, to.value, ahead, behind), passed };
    const from = backward.next();
    if (from.done === true) break;
    if (from.value !== undefined && ahead.has(from.value))
      return { cycle: joined(id, from.value, ahead, behind), passed };
  }
  for (const dependency of edges.dependencies(id)) {
    passed += 1;
    if (behind.has(dependency)) return { cycle: joined(id, dependency, ahead.set(dependency, id), behind), passed };
  }
  return { passed };
}

/** Walks on, an edge a step; yields what is new, and notes from where it was reached. */
function* spread(
  seen: Map<string, string>,
  seed: [from: string, to: Iterable<string>],
  next: (id: string) => Iterable<string>,
  may: (id: string) => boolean,
): Generator<string | undefined, void> {
  const frontier = [seed];
  for (let top = frontier.pop(); top !== undefined; top = frontier.pop()) {
    const [from, all] = top;
    for (const to of all) {
      const isNew = !seen.has(to) && may(to);
      if (isNew) {
        seen.set(to, from);
        frontier.push([to, next(to)]);
      }
      yield isNew ? to : undefined;
    }
  }
}

/** From `id` ahead to where the two searches met, and on to `id` again. */
function joined(
  id: string,
  meeting: string,
  ahead: ReadonlyMap<string, string>,
  behind: ReadonlyMap<string, string>,
): string[] {
  const path = [meeting];
  for (let at = ahead.get(meeting); at !== undefined && at !== id; at = ahead.get(at)) path.push(at);
  path.reverse();
  if (meeting === id) return [id, ...path];
  for (let at = behind.get(meeting); at !== undefined && at !== id; at = behind.get(at)) path.push(at);
  return [id, ...path, id];
}

interface Step {
  id: string;
  /** In the order in which they were reached. */
  at: number;
  /** The first that is reached from it and still open. */
  low: number;
  next: Iterator<string>;
}

/** Those that wait for themselves, of all that can be reached from `starts`: the strongly connected components of more than one (Tarjan 1972). */
function inCycles(starts: Iterable<string>, edges: Edges): Set<string> {
  const found = new Set<string>();
  const reached = new Map<string, number>();
  const open: string[] = [];
  const path: Step[] = [];
  const enter = (id: string): void => {
    const at = reached.size;
    reached.set(id, at);
    open.push(id);
    path.push({ id, at, low: at, next: waitedFor(id, edges)[Symbol.iterator]() });
  };
  for (const start of starts) {
    if (!reached.has(start)) enter(start);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const step = top.next.next();
      if (step.done !== true) {
        const at = reached.get(step.value);
        if (at === undefined) enter(step.value);
        else top.low = Math.min(top.low, at);
        continue;
      }
      path.pop();
      const below = path.at(-1);
      if (below !== undefined) below.low = Math.min(below.low, top.low);
      if (top.low === top.at) close(top.id, open, reached, found);
    }
  }
  return found;
}

/** A component is complete: all that is open from its first on. To have reached one of it later says nothing. */
function close(first: string, open: string[], reached: Map<string, number>, found: Set<string>): void {
  const isAlone = open.at(-1) === first;
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    reached.set(id, Number.POSITIVE_INFINITY);
    if (!isAlone) found.add(id);
    if (id === first) return;
  }
}

function waitedFor(id: string, edges: Edges): Iterable<string> {
  const members = edges.members(id);
  return members === undefined ? edges.dependencies(id) : both(edges.dependencies(id), members);
}

function* both(some: Iterable<string>, others: Iterable<string>): Generator<string, void> {
  yield* some;
  yield* others;
}
