// Who would wait for itself. An edge goes from one that waits to what it waits for: a task to its dependencies, a family
// to its members. For a few newcomers, one search forward and one backward take turns edge by edge, so that the smaller
// of the two sides is the price; for many at once, one depth-first walk (Tarjan 1972) passes each edge once.

import type { Node } from './node.ts';

export interface Edges {
  /** What it waits for, as a task. */
  dependencies(id: string): Iterable<string>;
  /** What it waits for, as a family. */
  members(id: string): Iterable<string>;
  /** Who waits for it: those that depend on it, and the families it belongs to. */
  waiters(id: string): Iterable<string>;
}

/** Up to so many suspects are each searched from; more are walked through at one go. */
const FEW = 8;

/**
 * Cycles that `suspects` have closed, no two with the same task to take away, each beginning and ending with that: the
 * one that was dropped last.
 */
export function cyclesClosedBy(
  suspects: ReadonlySet<string>,
  edges: Edges,
  nodes: ReadonlyMap<string, Node>,
): string[][] {
  const found = suspects.size > FEW ? cyclesFrom(suspects, edges) : [];
  if (suspects.size <= FEW) for (const id of suspects) found.push(...cyclesOf(nodes.get(id) as Node, edges));
  const taken = new Set<string>();
  const cycles: string[][] = [];
  for (const cycle of found) {
    const newest = newestOf(cycle, nodes);
    if (newest === undefined || cycle.some((id) => taken.has(id))) continue;
    taken.add(newest);
    cycles.push(turned(cycle, newest));
  }
  return cycles;
}

/** At most one. The shortest is told first: by a task that waits for one it descends from. */
function cyclesOf({ id, ancestors, dependencies }: Node, edges: Edges): string[][] {
  const ancestor = ancestors.find((root) => dependencies.includes(root));
  const cycle = ancestor === undefined ? cycleThrough(id, edges) : [id, ancestor, id];
  return cycle === undefined ? [] : [cycle];
}

/** The one that closed the cycle. Undefined if it does not lie in pending/: it is looked at again when it comes there. */
function newestOf(cycle: readonly string[], nodes: ReadonlyMap<string, Node>): string | undefined {
  let newest: Node | undefined;
  for (const id of cycle) {
    const node = nodes.get(id);
    if (node !== undefined && node.turn > (newest?.turn ?? -1)) newest = node;
  }
  return newest?.state === 'pending' ? newest.id : undefined;
}

/** The cycle that a task is in, as `a, b, a`, beginning with it; undefined if there is none. */
function cycleThrough(id: string, edges: Edges): string[] | undefined {
  const ahead = new Map<string, string>();
  const behind = new Map<string, string>([[id, id]]);
  const forward = spread(ahead, [id, edges.dependencies(id)], (of) => waitedFor(of, edges));
  const backward = spread(behind, [id, edges.waiters(id)], (of) => edges.waiters(of));
  for (;;) {
    const to = forward.next();
    if (to.done === true) return undefined;
    if (to.value !== undefined && behind.has(to.value)) return joined(id, to.value, ahead, behind);
    const from = backward.next();
    if (from.done === true) break;
    if (from.value !== undefined && ahead.has(from.value)) return joined(id, from.value, ahead, behind);
  }
  for (const dependency of edges.dependencies(id)) {
    if (behind.has(dependency)) return joined(id, dependency, ahead.set(dependency, id), behind);
  }
  return undefined;
}

/** Walks on, an edge a step; yields what is new, and notes from where it was reached. */
function* spread(
  seen: Map<string, string>,
  seed: [from: string, to: Iterable<string>],
  next: (id: string) => Iterable<string>,
): Generator<string | undefined, void> {
  const frontier = [seed];
  for (let top = frontier.pop(); top !== undefined; top = frontier.pop()) {
    const [from, all] = top;
    for (const to of all) {
      const isNew = !seen.has(to);
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
  for (let at = ahead.get(meeting); at !== undefined && at !== id; at = ahead.get(at)) path.unshift(at);
  if (meeting === id) return [id, ...path];
  for (let at = behind.get(meeting); at !== undefined && at !== id; at = behind.get(at)) path.push(at);
  return [id, ...path, id];
}

/**
 * Cycles that can be reached from any of `starts`, each as `a, b, a`; each edge is passed once, so where cycles share
 * tasks some are left out: break those found, and ask again.
 */
function cyclesFrom(starts: Iterable<string>, edges: Edges): string[][] {
  const cycles: string[][] = [];
  const done = new Set<string>();
  for (const start of starts) {
    if (done.has(start)) continue;
    const path: { id: string; next: Iterator<string> }[] = [{ id: start, next: waitedFor(start, edges) }];
    const places = new Map([[start, 0]]);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const step = top.next.next();
      if (step.done === true) {
        done.add(top.id);
        places.delete(top.id);
        path.pop();
        continue;
      }
      const place = places.get(step.value);
      if (place !== undefined) cycles.push([...path.slice(place).map(({ id }) => id), step.value]);
      else if (!done.has(step.value)) {
        places.set(step.value, path.length);
        path.push({ id: step.value, next: waitedFor(step.value, edges) });
      }
    }
  }
  return cycles;
}

/** A cycle told from another of its tasks on. */
function turned(cycle: readonly string[], first: string): string[] {
  const open = cycle.slice(0, -1);
  const at = open.indexOf(first);
  return [...open.slice(at), ...open.slice(0, at), first];
}

function* waitedFor(id: string, edges: Edges): Generator<string, void> {
  yield* edges.dependencies(id);
  yield* edges.members(id);
}
