// The graph of one job, kept ready to answer: which waiting tasks may start, which never can, which may again.
// In memory are the unfinished and the unsuccessful; what succeeded is asked for by id. A family is a task and all it
// queued; for each, two counts are kept, so that settling a task costs what its own dependents cost and no more.
// Pure: facts come in by put, move and forget; answers go out by takeReady, takeDoomed and takeRevived.
import type { State } from '../protocol/states.ts';
import { compareQueued, Heap, type Queued } from './order.ts';
import { type Kind, type Ready, ReadyTasks } from './ready.ts';
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
  /** The resources that it asks for; undefined: none. */
  request?: Request | undefined;
}

/** The folder that a skipped task's cause lay in when it was skipped. */
export interface Cause {
  id: string;
  folder: State;
}

interface Node extends TaskFacts {
  state: NodeState;
  cause?: Cause;
  /** The entry of it in the heap of the ready or of the delayed; any other entry there is stale. */
  entry?: Ready;
}

export type Readiness =
  | { kind: 'ready' }
  | { kind: 'waiting'; on: Wait[] }
  /** It can never start as things are. */
  | { kind: 'doomed'; cause: Cause; dependency: string };

export type Wait = { dependency: string; why: 'unknown' } | { dependency: string; why: 'unfinished'; left: number };

const UNFINISHED: ReadonlySet<NodeState> = new Set<NodeState>(['pending', 'held', 'running']);

export class JobGraph {
  private readonly nodes = new Map<string, Node>();
  /** Root of a family → how many of it are unfinished. */
  private readonly unfinished = new Map<string, number>();
  /** Root of a family → which of it ended, and not well. */
  private readonly unsuccessful = new Map<string, Set<string>>();
  private readonly dependents = new Map<string, Set<string>>();
  /** Root of a family → all that is known of what it queued, to any depth; who stands between may have succeeded. */
  private readonly members = new Map<string, Set<string>>();
  private readonly skippedBy = new Map<string, Set<string>>();
  private readonly ready = new ReadyTasks((entry) => this.isCurrent(entry));
  private readonly delayed = new Heap<Ready>((a, b) => a.at - b.at || compareQueued(a, b));
  private readonly unjudged = new Set<string>();
  /** Waiting tasks with a dependency that nobody has heard of: it may turn up in succeeded/ unseen. */
  private readonly unheard = new Set<string>();
  private readonly doomed = new Map<string, Cause>();
  private readonly revived = new Set<string>();
  private readonly hasSucceeded: (id: string) => boolean;

  /** `hasSucceeded` says whether a task that is not known here lies in succeeded/. */
  constructor(hasSucceeded: (id: string) => boolean) {
    this.hasSucceeded = hasSucceeded;
  }

  get size(): number {
    return this.nodes.size;
  }

  get(id: string): (TaskFacts & { readonly state: NodeState; readonly cause?: Cause }) | undefined {
    return this.nodes.get(id);
  }

  /** All that is known, in the order it became known. */
  *all(): IterableIterator<TaskFacts & { readonly state: NodeState }> {
    yield* this.nodes.values();
  }

  /** A task that was not known, or another text of one that was. */
  put(facts: TaskFacts, state: NodeState, cause?: Cause): void {
    this.forget(facts.id);
    const node: Node = { ...facts, state };
    if (cause !== undefined) node.cause = cause;
    this.nodes.set(node.id, node);
    this.enter(node);
    for (const dependency of node.dependencies) addTo(this.dependents, dependency, node.id);
    for (const root of node.ancestors) addTo(this.members, root, node.id);
    this.tell(node);
  }

  /** A known task now lies elsewhere. One that succeeded is no longer kept here. */
  move(id: string, state: NodeState | 'succeeded', cause?: Cause): void {
    const node = this.nodes.get(id);
    if (node === undefined || node.state === state) return;
    this.leave(node);
    if (state === 'succeeded') {
      this.drop(node);
    } else {
      node.state = state;
      if (cause !== undefined) node.cause = cause;
      this.enter(node);
    }
    this.tell(node);
  }

  /** Its file is gone. */
  forget(id: string): void {
    const node = this.nodes.get(id);
    if (node === undefined) return;
    this.leave(node);
    this.drop(node);
    this.tell(node);
  }

  /** A task may start no sooner than `at` (milliseconds since 1970): a retry's delay. */
  delay(id: string, at: number): void {
    const node = this.nodes.get(id);
    if (node === undefined) return;
    node.notBefore = at;
    delete node.entry;
    this.unjudged.add(id);
  }

  /** A task that `peekReady` gave was not started after all, or its dependencies may have changed unseen: look again. */
  judgeAgain(id: string): void {
    this.unjudged.add(id);
  }

  /** Looks again at those that wait for an id nobody has heard of. False if there are none. */
  judgeUnheard(): boolean {
    if (this.unheard.size === 0) return false;
    for (const id of this.unheard) this.unjudged.add(id);
    this.unheard.clear();
    return true;
  }

  /** The tasks that may start, by what they ask for. `now` in milliseconds since 1970. */
  readyKinds(now: number): Iterable<Kind> {
    this.judge();
    for (let due = this.delayed.peek(); due !== undefined && due.at <= now; due = this.delayed.peek()) {
      this.delayed.pop();
      if (this.isCurrent(due)) this.ready.push(due);
    }
    return this.ready.waiting();
  }

  /** The task that would start first if nothing else mattered, or undefined. */
  peekReady(now: number): Queued | undefined {
    return this.firstKind(now)?.first();
  }

  /** Takes that task out of the ready ones. */
  takeReady(now: number): Queued | undefined {
    return this.firstKind(now)?.take(now);
  }

  private firstKind(now: number): Kind | undefined {
    let first: Kind | undefined;
    for (const kind of this.readyKinds(now)) {
      if (first === undefined || compareQueued(kind.first() as Ready, first.first() as Ready) < 0) first = kind;
    }
    return first;
  }

  private isCurrent(entry: Ready): boolean {
    const node = this.nodes.get(entry.id);
    return node?.entry === entry && node.state === 'pending';
  }

  /** When the next delayed task is due, in milliseconds since 1970. */
  nextDue(): number | undefined {
    for (let top = this.delayed.peek(); top !== undefined; top = this.delayed.peek()) {
      if (this.nodes.get(top.id)?.entry === top) return top.at;
      this.delayed.pop();
    }
    return undefined;
  }

  /** Waiting tasks that can never start, since the last call, each with what caused it. */
  takeDoomed(): [id: string, cause: Cause][] {
    this.judge();
    const all = [...this.doomed].filter(([id]) => this.nodes.get(id)?.state === 'pending');
    this.doomed.clear();
    return all;
  }

  /** Skipped tasks whose cause no longer lies where it lay, since the last call. */
  takeRevived(): string[] {
    const all = [...this.revived];
    this.revived.clear();
    return all.filter((id) => {
      const node = this.nodes.get(id);
      return node?.state === 'skipped' && node.cause !== undefined && !this.liesIn(node.cause);
    });
  }

  /** Whether a task may start as far as its dependencies go, and if not, why. */
  readiness(facts: Pick<TaskFacts, 'dependencies' | 'runIf'>): Readiness {
    const on: Wait[] = [];
    let failure: { cause: Cause; dependency: string } | undefined;
    let success: { cause: Cause; dependency: string } | undefined;
    for (const dependency of facts.dependencies) {
      const left = this.unfinished.get(dependency) ?? 0;
      const bad = this.unsuccessful.get(dependency)?.values().next().value;
      if (left > 0) on.push({ dependency, why: 'unfinished', left });
      else if (bad !== undefined) failure ??= { cause: { id: bad, folder: this.folderOf(bad) }, dependency };
      else if (this.hasSucceeded(dependency))
        success ??= { cause: { id: dependency, folder: 'succeeded' }, dependency };
      else on.push({ dependency, why: 'unknown' });
    }
    if (facts.runIf === 'success' && failure !== undefined) return { kind: 'doomed', ...failure };
    if (on.length > 0) return { kind: 'waiting', on };
    if (facts.runIf === 'failure' && failure === undefined && success !== undefined)
      return { kind: 'doomed', ...success };
    return { kind: 'ready' };
  }

  /** Members of the family of `id` that are unfinished, itself included. */
  unfinishedIn(id: string): number {
    return this.unfinished.get(id) ?? 0;
  }

  /** What a task queued and is known here, itself not included, to any depth. */
  descendants(id: string): Iterable<string> {
    return this.members.get(id) ?? [];
  }

  /**
   * The cycle that a task with these facts would close, as `a, b, a`, or undefined. A task waits for the families of
   * its dependencies, and a family for each of its members; a skipped one too, for it comes back by itself. Depth first
   * (Tarjan 1972), only where somebody waits for the newcomer or for one it descends from.
   */
  cycleOf(facts: Pick<TaskFacts, 'id' | 'dependencies' | 'ancestors'>): string[] | undefined {
    if (facts.dependencies.length === 0 && facts.ancestors.length === 0) return undefined;
    const own = [facts.id, ...facts.ancestors];
    const ancestor = facts.dependencies.find((d) => facts.ancestors.includes(d));
    if (ancestor !== undefined) return [facts.id, ancestor, facts.id];
    if (!own.some((id) => this.dependents.has(id))) return undefined;
    const targets = new Set(own);
    const cameFrom = new Map<string, string>();
    const stack = [...facts.dependencies];
    for (const id of stack) cameFrom.set(id, facts.id);
    for (let id = stack.pop(); id !== undefined; id = stack.pop()) {
      if (targets.has(id)) return this.pathBack(id, facts.id, cameFrom);
      const node = this.nodes.get(id);
      const waits = node !== undefined && (UNFINISHED.has(node.state) || node.state === 'skipped');
      const dependencies = waits ? node.dependencies : [];
      for (const next of [dependencies, this.members.get(id) ?? []]) {
        for (const to of next) {
          // Whose member the newcomer is now, its own ancestors say.
          if (cameFrom.has(to) || (to === facts.id && next !== dependencies)) continue;
          cameFrom.set(to, id);
          stack.push(to);
        }
      }
    }
    return undefined;
  }

  private pathBack(from: string, start: string, cameFrom: ReadonlyMap<string, string>): string[] {
    const path: string[] = from === start ? [] : [from];
    for (let at = cameFrom.get(from); at !== undefined && at !== start; at = cameFrom.get(at)) path.unshift(at);
    return [start, ...path, start];
  }

  private judge(): void {
    for (const id of this.unjudged) {
      this.unjudged.delete(id);
      const node = this.nodes.get(id);
      if (node?.state !== 'pending') continue;
      const readiness = this.readiness(node);
      delete node.entry;
      this.doomed.delete(id);
      if (readiness.kind === 'doomed') this.doomed.set(id, readiness.cause);
      if (readiness.kind === 'waiting' && readiness.on.some(({ why }) => why === 'unknown')) this.unheard.add(id);
      if (readiness.kind !== 'ready') continue;
      node.entry = {
        id,
        priority: node.priority,
        queuedAt: node.queuedAt,
        at: node.notBefore,
        request: node.request,
      };
      (node.notBefore > 0 ? this.delayed : this.ready).push(node.entry);
    }
  }

  /** Counts a node in its families, and in what its state asks for. */
  private enter(node: Node): void {
    const unfinished = UNFINISHED.has(node.state);
    for (const root of [node.id, ...node.ancestors]) {
      if (unfinished) this.unfinished.set(root, (this.unfinished.get(root) ?? 0) + 1);
      else addTo(this.unsuccessful, root, node.id);
    }
    if (node.state === 'pending') this.unjudged.add(node.id);
    if (node.state === 'skipped' && node.cause !== undefined) {
      addTo(this.skippedBy, node.cause.id, node.id);
      if (!this.liesIn(node.cause)) this.revived.add(node.id);
    }
  }

  private leave(node: Node): void {
    const unfinished = UNFINISHED.has(node.state);
    for (const root of [node.id, ...node.ancestors]) {
      if (unfinished) decrement(this.unfinished, root);
      else removeFrom(this.unsuccessful, root, node.id);
    }
    delete node.entry;
    if (node.cause !== undefined) removeFrom(this.skippedBy, node.cause.id, node.id);
    delete node.cause;
  }

  private drop(node: Node): void {
    this.nodes.delete(node.id);
    for (const dependency of node.dependencies) removeFrom(this.dependents, dependency, node.id);
    for (const root of node.ancestors) removeFrom(this.members, root, node.id);
  }

  /** Those whom a change of `node` may concern are to be looked at again. */
  private tell(node: Node): void {
    for (const root of [node.id, ...node.ancestors]) {
      for (const dependent of this.dependents.get(root) ?? []) this.unjudged.add(dependent);
    }
    for (const skipped of this.skippedBy.get(node.id) ?? []) {
      const cause = this.nodes.get(skipped)?.cause;
      if (cause !== undefined && !this.liesIn(cause)) this.revived.add(skipped);
    }
  }

  private folderOf(id: string): State {
    const state = this.nodes.get(id)?.state;
    return state === undefined ? 'succeeded' : state === 'held' ? 'pending' : state;
  }

  private liesIn(cause: Cause): boolean {
    const node = this.nodes.get(cause.id);
    if (cause.folder === 'succeeded') return node === undefined && this.hasSucceeded(cause.id);
    return node?.state === cause.folder;
  }
}

function addTo(index: Map<string, Set<string>>, key: string, value: string): void {
  const set = index.get(key);
  if (set === undefined) index.set(key, new Set([value]));
  else set.add(value);
}

function removeFrom(index: Map<string, Set<string>>, key: string, value: string): void {
  const set = index.get(key);
  if (set?.delete(value) && set.size === 0) index.delete(key);
}

function decrement(counts: Map<string, number>, key: string): void {
  const left = (counts.get(key) ?? 0) - 1;
  if (left > 0) counts.set(key, left);
  else counts.delete(key);
}
