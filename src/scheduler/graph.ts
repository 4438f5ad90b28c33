// The graph of one job, kept ready to answer: which waiting tasks may start, which never can, which may again.
// In memory are the unfinished and the unsuccessful; what succeeded is asked for by id. Each waiting task counts the
// dependencies that are open or have failed, and is told when one changes: settling a task costs what its own dependents
// cost and no more. Pure: facts come in by put, move and forget; answers go out by takeReady, takeDoomed and the like.
import type { State } from '../protocol/states.ts';
import { CycleSearch, type Edges } from './cycles.ts';
import { Families, type Standing } from './families.ts';
import {
  addTo,
  type Cause,
  type Doom,
  entryOf,
  hasSameEdges,
  type Node,
  nodeOf,
  type NodeState,
  removeFrom,
  retire,
  type TaskFacts,
  UNFINISHED,
  waits,
} from './node.ts';
import { compareQueued, LiveHeap, type Queued } from './order.ts';
import { isLive, type Kind, type Ready, ReadyTasks } from './ready.ts';

export type { Cause, NodeState, RunIf, TaskFacts } from './node.ts';

export type Readiness =
  | { kind: 'ready' }
  | { kind: 'waiting'; on: Wait[] }
  /** It can never start as things are. */
  | { kind: 'doomed'; cause: Cause; dependency: string };

export type Wait = { dependency: string; why: 'unknown' } | { dependency: string; why: 'unfinished'; left: number };

export class JobGraph {
  private readonly nodes = new Map<string, Node>();
  private readonly families: Families;
  private readonly skippedBy = new Map<string, Set<string>>();
  private readonly ready = new ReadyTasks();
  private readonly delayed = new LiveHeap<Ready>((a, b) => a.notBefore - b.notBefore || compareQueued(a, b), isLive);
  private readonly unjudged = new Set<string>();
  /** Those with dependencies, while not all are put: what one waits for may be among the rest. */
  private postponed: string[] | undefined;
  /** Of tasks whose drop may have closed one. */
  private readonly cycles: CycleSearch;
  private turns = 0;
  private readings = 0;
  private readonly doomed = new Set<string>();
  /** What lies in failed/. */
  private readonly failures = new Set<string>();
  private stops = false;
  /** Tasks that wait or run; what is held does neither. */
  private busy = 0;
  private readonly revived = new Set<string>();
  private readonly hasSucceeded: (id: string) => boolean;

  /** `hasSucceeded` says whether a task that is not known here lies in succeeded/. */
  constructor(hasSucceeded: (id: string) => boolean) {
    this.hasSucceeded = hasSucceeded;
    this.cycles = new CycleSearch(this.nodes, this.edges);
    this.families = new Families(
      (id) => this.rootOf(id),
      (...change) => this.hear(...change),
    );
  }

  get size(): number {
    return this.nodes.size;
  }

  get(id: string): (TaskFacts & { readonly state: NodeState; readonly cause: Cause | undefined }) | undefined {
    return this.nodes.get(id);
  }

  /** All that is known, in the order it became known. */
  *all(): IterableIterator<TaskFacts & { readonly state: NodeState }> {
    yield* this.nodes.values();
  }

  /** A task that was not known, or another text of one that was. */
  put(facts: TaskFacts, state: NodeState, cause?: Cause): void {
    const before = this.nodes.get(facts.id);
    if (before !== undefined) this.leave(before);
    const node = nodeOf(facts, state, cause);
    node.seenIn = this.readings;
    if (before !== undefined && hasSameEdges(before, node)) {
      const { open, failed, turn } = before;
      Object.assign(node, { open, failed, turn });
      this.nodes.set(node.id, node);
      this.enter(node);
      this.suspect(node, before.state);
    } else {
      if (before !== undefined) this.drop(before);
      this.nodes.set(node.id, node);
      for (const dependency of node.dependencies) this.families.addDependent(dependency, node.id);
      for (const root of node.ancestors) this.families.addDescendant(root, node.id);
      this.enter(node);
      this.suspect(node, undefined);
      for (const root of before?.ancestors ?? []) this.families.review(root);
    }
    this.tell(node);
  }

  /** A known task now lies elsewhere. One that succeeded is no longer kept here. */
  move(id: string, state: NodeState | 'succeeded', cause?: Cause): void {
    const node = this.nodes.get(id);
    if (node === undefined || node.state === state) return;
    const before = node.state;
    this.leave(node);
    node.hasBegun = before === 'running' && state === 'pending';
    if (state === 'succeeded') {
      this.drop(node);
    } else {
      node.state = state;
      node.seenIn = this.readings;
      if (cause !== undefined) node.cause = cause;
      this.enter(node);
      this.suspect(node, before);
    }
    this.tell(node, state === 'succeeded');
  }

  /** Its file is gone. */
  forget(id: string): void {
    const node = this.nodes.get(id);
    if (node === undefined) return;
    this.leave(node);
    this.drop(node);
    this.tell(node);
  }

  /** A folder is read from now on: who is not seen in it until its end, and was there before, is gone. One at a time. */
  beginReading(): void {
    this.readings += 1;
  }

  /** A task is there. Gives where it is believed to be. */
  see(id: string): NodeState | undefined {
    const node = this.nodes.get(id);
    if (node !== undefined) node.seenIn = this.readings;
    return node?.state;
  }

  /** Those of a state that the reading has not seen. */
  *unseen(state: State): IterableIterator<string> {
    for (const node of this.nodes.values()) if (node.state === state && node.seenIn !== this.readings) yield node.id;
  }

  /** Many tasks will be put: those with dependencies are not judged until `complete`. */
  expectMore(): void {
    this.postponed ??= [];
  }

  complete(): void {
    const postponed = this.postponed ?? [];
    this.postponed = undefined;
    for (const id of postponed) this.judgeOne(id); // by itself: a set of them all would take as much memory as the tasks
  }

  /** `on_failure: stop`: while anything lies in failed/, nothing that has not begun may start. */
  stopOnFailure(stops: boolean): void {
    if (stops === this.stops) return;
    this.stops = stops;
    if (this.failures.size > 0) this.judgeAll();
  }

  private judgeAll(): void {
    for (const node of this.nodes.values()) if (node.state === 'pending') this.unjudged.add(node.id);
  }

  /** Something waits or runs. */
  get isBusy(): boolean {
    return this.busy > 0;
  }

  /** A task may start no sooner than `at` (milliseconds since 1970): a retry's delay. */
  delay(id: string, at: number): void {
    const node = this.nodes.get(id);
    if (node === undefined) return;
    node.notBefore = at;
    retire(node);
    this.unjudged.add(id);
  }

  /** A task that `peekReady` gave was not started after all, or its dependencies may have changed unseen: look again. */
  judgeAgain(id: string): void {
    this.unjudged.add(id);
  }

  /** Looks again for the ids that somebody waits for and nobody has heard of. True if one has turned up. */
  judgeUnheard(): boolean {
    return this.families.reviewUnheard();
  }

  /** The tasks that may start, by what they ask for. `now` in milliseconds since 1970. */
  readyKinds(now: number): Iterable<Kind> {
    this.judge();
    for (let due = this.delayed.first(); due !== undefined && due.notBefore <= now; due = this.delayed.first()) {
      this.delayed.take();
      this.ready.push(due);
    }
    return this.ready.all();
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
      const [a, b] = [kind.first(), first?.first()];
      if (a !== undefined && (b === undefined || compareQueued(a, b) < 0)) first = kind;
    }
    return first;
  }

  /** When the next delayed task is due, in milliseconds since 1970. */
  nextDue(): number | undefined {
    return this.delayed.first()?.notBefore;
  }

  /** Waiting tasks that cannot start as things are, since the last call, each with what caused it and the folder for it; `most` of them. */
  takeDoomed(most = Number.POSITIVE_INFINITY): [id: string, cause: Cause, to: Doom['to']][] {
    this.judge();
    const taken: [string, Cause, Doom['to']][] = [];
    for (const id of this.doomed) {
      if (taken.length >= most) break;
      this.doomed.delete(id);
      const node = this.nodes.get(id);
      const doom = node?.state === 'pending' ? this.doomOf(node) : undefined; // its cause may have moved on
      if (doom !== undefined) taken.push([id, doom.cause, doom.to]);
    }
    return taken;
  }

  /** `takeDoomed`, `takeRevived` or `takeCycles` has left some. */
  get isUnsettled(): boolean {
    return this.doomed.size > 0 || this.revived.size > 0 || this.mayHaveCycles;
  }

  /** Skipped and stopped tasks whose cause no longer lies where it lay, since the last call; `most` of them. */
  takeRevived(most = Number.POSITIVE_INFINITY): string[] {
    const taken: string[] = [];
    for (const id of this.revived) {
      if (taken.length >= most) break;
      this.revived.delete(id);
      const node = this.nodes.get(id);
      if (node?.cause !== undefined && !this.liesIn(node.cause)) taken.push(id);
    }
    return taken;
  }

  /** Whether a task may start as far as its dependencies go, and if not, why. Looks at each of them afresh. */
  readiness(facts: Pick<TaskFacts, 'dependencies' | 'runIf'>): Readiness {
    const on: Wait[] = [];
    let failure: string | undefined;
    for (const dependency of facts.dependencies) {
      const standing = this.families.standingOf(dependency);
      if (standing === 'unfinished') on.push({ dependency, why: standing, left: this.unfinishedIn(dependency) });
      if (standing === 'unknown') on.push({ dependency, why: standing });
      if (standing === 'failed') failure ??= dependency;
    }
    if (facts.runIf === 'success' && failure !== undefined) return this.doom(failure);
    if (on.length > 0) return { kind: 'waiting', on };
    const [first] = facts.dependencies;
    return facts.runIf === 'failure' && failure === undefined && first !== undefined
      ? this.doom(first)
      : { kind: 'ready' };
  }

  /** Members of the family of `id` that are unfinished, itself included. */
  unfinishedIn(id: string): number {
    return this.families.unfinishedIn(id);
  }

  /** What a task queued and is known here, itself not included, to any depth. */
  descendants(id: string): Iterable<string> {
    return this.families.descendantsOf(id);
  }

  /**
   * The next cycle that a task put since has closed, as `a, b, a`, beginning with the one that was dropped last: take that
   * away and ask again. A task waits for the families of its dependencies, and a family for each of its members; a skipped
   * task too, for it comes back by itself. None: there is no more, or `steps` edges were passed (see `mayHaveCycles`).
   */
  takeCycles(steps = Number.POSITIVE_INFINITY): string[][] {
    const cycle = this.cycles.next(steps);
    return cycle === undefined ? [] : [cycle];
  }

  /** Some are yet to be looked at. */
  get mayHaveCycles(): boolean {
    return this.cycles.size > 0;
  }

  private readonly edges: Edges = {
    dependencies: (id) => {
      const node = this.nodes.get(id);
      return node !== undefined && waits(node) ? node.dependencies : [];
    },
    members: (id) => this.families.membersOf(id),
    waiters: (id) => this.waitersOf(id),
  };

  private *waitersOf(id: string): Generator<string, void> {
    for (const dependent of this.families.dependentsOf(id)) {
      const node = this.nodes.get(dependent);
      if (node !== undefined && waits(node)) yield dependent;
    }
    yield* this.nodes.get(id)?.ancestors ?? [];
  }

  /** A cycle is closed by the last of its edges: by one who begins to wait while somebody waits for it already. */
  private suspect(node: Node, before: NodeState | undefined): void {
    if (!waits(node)) return this.cycles.delete(node.id);
    if (before === 'pending' || before === 'running') return;
    node.turn = ++this.turns;
    if (node.dependencies.length === 0) return;
    if (![node.id, ...node.ancestors].some((id) => this.families.hasDependents(id))) return;
    this.cycles.add(node.id);
  }

  /** Judges what has changed. Whoever asks anything has it done; what is only put piles up. */
  judge(): void {
    for (const id of this.unjudged) {
      this.unjudged.delete(id);
      this.judgeOne(id);
    }
  }

  private judgeOne(id: string): void {
    const node = this.nodes.get(id);
    if (node?.state !== 'pending') return void (node?.cause && !this.liesIn(node.cause) && this.revived.add(id));
    if (this.postponed !== undefined && (node.dependencies.length > 0 || this.stops)) {
      this.postponed.push(id);
      return;
    }
    retire(node);
    const doom = this.doomOf(node);
    if (doom !== undefined) this.doomed.add(id);
    else this.doomed.delete(id);
    if (doom !== undefined || node.open > 0) return;
    node.entry = entryOf(node);
    (node.notBefore > 0 ? this.delayed : this.ready).push(node.entry);
  }

  private doomOf(node: Node): Doom | undefined {
    const dependency = this.causeFor(node);
    if (dependency !== undefined) return { cause: this.doom(dependency).cause, to: 'skipped' };
    const failure = this.stops ? this.failures.values().next().value : undefined;
    if (failure === undefined || node.runIf !== 'success' || node.hasBegun === true) return undefined;
    return { cause: { id: failure, folder: 'failed' }, to: 'cancelled' };
  }

  /** The dependency for which it can never start as things are. */
  private causeFor({ runIf, open, failed, dependencies }: Node): string | undefined {
    if (runIf === 'success') return failed?.values().next().value;
    return runIf === 'failure' && open === 0 && failed === undefined ? dependencies[0] : undefined;
  }

  private doom(dependency: string): Readiness & { kind: 'doomed' } {
    const bad = this.families.unsuccessfulIn(dependency);
    const cause: Cause =
      bad === undefined ? { id: dependency, folder: 'succeeded' } : { id: bad, folder: this.folderOf(bad) };
    return { kind: 'doomed', cause, dependency };
  }

  /** Families tell: one that `id` depends on stands otherwise now. */
  private hear(id: string, dependency: string, to: Standing, from: Standing | undefined): void {
    const node = this.nodes.get(id);
    if (node === undefined) return;
    if (from !== undefined && isOpen(from)) node.open -= 1;
    if (isOpen(to)) node.open += 1;
    if (to === 'failed') (node.failed ??= new Set()).add(dependency);
    else if (node.failed?.delete(dependency) && node.failed.size === 0) node.failed = undefined;
    if (node.state === 'pending') this.unjudged.add(id);
  }

  /** How a task itself stands, its family aside. */
  private rootOf(id: string): Standing {
    const state = this.nodes.get(id)?.state;
    if (state === undefined) return this.hasSucceeded(id) ? 'succeeded' : 'unknown';
    return UNFINISHED.has(state) ? 'unfinished' : 'failed';
  }

  /** Counts a node in the families it is a member of, and in what its state asks for. */
  private enter(node: Node): void {
    const unfinished = UNFINISHED.has(node.state);
    for (const root of node.ancestors) this.families.join(root, node.id, unfinished);
    if (node.state === 'pending') this.unjudged.add(node.id);
    if (node.state === 'pending' || node.state === 'running') this.busy += 1;
    if (node.state === 'failed') this.failures.add(node.id);
    if (node.state === 'failed' && this.stops && this.failures.size === 1) this.judgeAll();
    if (node.cause !== undefined) {
      addTo(this.skippedBy, node.cause.id, node.id);
      if (!this.liesIn(node.cause)) this.revived.add(node.id);
    }
  }

  private leave(node: Node): void {
    const unfinished = UNFINISHED.has(node.state);
    for (const root of node.ancestors) this.families.quit(root, node.id, unfinished);
    retire(node);
    if (node.state === 'pending' || node.state === 'running') this.busy -= 1;
    if (this.failures.delete(node.id) && this.failures.size === 0) for (const id of this.doomed) this.unjudged.add(id);
    if (node.cause !== undefined) removeFrom(this.skippedBy, node.cause.id, node.id);
    node.cause = undefined;
  }

  private drop(node: Node): void {
    this.nodes.delete(node.id);
    this.cycles.delete(node.id);
    for (const dependency of node.dependencies) this.families.removeDependent(dependency, node.id);
    for (const root of node.ancestors) this.families.removeDescendant(root, node.id);
  }

  /** Those whom a change of `node` may concern are to be looked at again. */
  private tell(node: Node, hasSucceeded = false): void {
    this.families.review(node.id, hasSucceeded);
    for (const root of node.ancestors) this.families.review(root);
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

function isOpen(standing: Standing): boolean {
  return standing === 'unfinished' || standing === 'unknown';
}
