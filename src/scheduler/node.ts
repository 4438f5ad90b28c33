// A task as the graph keeps it, one object each: what its file says, where it lies, what it waits for, and its entry among
// those that may start.
import type { State } from '../protocol/states.ts';
import type { Queued } from './order.ts';
import type { Ready } from './ready.ts';
import type { Request } from './resources.ts';

export type RunIf = 'success' | 'always' | 'failure';
/** `held`: its file was renamed to something that is no task, and counts as unfinished. */
export type NodeState = Exclude<State, 'succeeded'> | 'held';

export interface TaskFacts extends Queued {
  dependencies: readonly string[];
  /** Who queued it, and who queued that, nearest first. */
  ancestors: readonly string[];
  runIf: RunIf;
  /** Milliseconds since 1970 before which it must not start; 0 for at once. */
  notBefore: number;
  /** It waits for another attempt: a job that stops at a failure lets it go on. */
  hasBegun?: boolean | undefined;
  /** The resources that it asks for; undefined: none. */
  request?: Request | undefined;
}

/** What a task was skipped or cancelled for, and the folder that lay in then: when it leaves that, the task comes back. */
export interface Cause {
  id: string;
  folder: State;
}

export interface Node extends TaskFacts {
  state: NodeState;
  cause: Cause | undefined;
  /** The entry of it in the heap of the ready or of the delayed; any other entry there is stale. */
  entry: Ready | undefined;
  /** It has been its own entry: with 200,000 waiting, one object each is what fits. The next entries are copies. */
  isStale: boolean;
  /** How many of its dependencies have not ended, or are unknown. */
  open: number;
  /** Dependencies that ended without success. */
  failed: Set<string> | undefined;
  /** The later it was dropped, or its edges changed, the higher. */
  turn: number;
  /** The last reading of a folder that has seen it, or during which it came there. */
  seenIn: number;
}

/** Field by field: what is spread or deleted gets a hidden class of its own from V8, which takes twice what it holds. */
export function nodeOf(facts: TaskFacts, state: NodeState, cause: Cause | undefined): Node {
  return {
    id: facts.id,
    priority: facts.priority,
    queuedAt: facts.queuedAt,
    dependencies: facts.dependencies,
    ancestors: facts.ancestors,
    runIf: facts.runIf,
    notBefore: facts.notBefore,
    hasBegun: facts.hasBegun,
    request: facts.request,
    state,
    cause,
    entry: undefined,
    isStale: false,
    open: 0,
    failed: undefined,
    turn: 0,
    seenIn: 0,
  };
}

/** It is no entry any more, wherever that lies still. */
export function retire(node: Node): void {
  if (node.entry !== undefined) node.entry.isStale = true;
  node.entry = undefined;
}

/** An entry's place in its heap must not change: what has been one, or is delayed, gives a copy. */
export function entryOf(node: Node): Ready {
  const { id, priority, queuedAt, notBefore, request, isStale } = node;
  return isStale || notBefore > 0 ? { id, priority, queuedAt, notBefore, request, isStale: false } : node;
}

/** True if both wait for the same tasks, and descend from the same. */
export function hasSameEdges(a: TaskFacts, b: TaskFacts): boolean {
  return isSame(a.dependencies, b.dependencies) && isSame(a.ancestors, b.ancestors);
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((id, at) => id === b[at]));
}

export const UNFINISHED: ReadonlySet<NodeState> = new Set<NodeState>(['pending', 'held', 'running']);

/** Its dependencies are yet to be met, or will be again: what has a cause comes back by itself. */
export function waits({ state, cause }: Node): boolean {
  return UNFINISHED.has(state) || state === 'skipped' || cause !== undefined;
}

/** Why a waiting task is taken away, and where to. */
export interface Doom {
  cause: Cause;
  to: 'skipped' | 'cancelled';
}

export function addTo(index: Map<string, Set<string>>, key: string, value: string): void {
  const set = index.get(key);
  if (set === undefined) index.set(key, new Set([value]));
  else set.add(value);
}

export function removeFrom(index: Map<string, Set<string>>, key: string, value: string): void {
  const set = index.get(key);
  if (set?.delete(value) && set.size === 0) index.delete(key);
}
