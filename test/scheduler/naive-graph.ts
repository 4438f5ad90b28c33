// The graph of a job as docs/protocol.md (section 7) tells it, computed from scratch at every question: slow, short, and
// sharing no code with src/scheduler/graph.ts, which it is held against.
import type { Cause, NodeState, TaskFacts } from '../../src/scheduler/graph.ts';

export interface NaiveTask {
  facts: TaskFacts;
  state: NodeState;
  cause?: Cause;
}

const UNFINISHED: readonly NodeState[] = ['pending', 'held', 'running'];
/** Those that wait for their dependencies, or will again: what is skipped comes back by itself. */
const WAITING: readonly NodeState[] = [...UNFINISHED, 'skipped'];

export class NaiveGraph {
  readonly tasks = new Map<string, NaiveTask>();
  readonly succeeded = new Set<string>();

  /** Known members of a family: the task and all that names it as an ancestor. */
  family(root: string): [string, NaiveTask][] {
    return [...this.tasks].filter(([id, { facts }]) => id === root || facts.ancestors.includes(root));
  }

  unfinishedIn(root: string): number {
    return this.family(root).filter(([, task]) => UNFINISHED.includes(task.state)).length;
  }

  unsuccessfulIn(root: string): [string, NaiveTask][] {
    return this.family(root).filter(([, task]) => !UNFINISHED.includes(task.state));
  }

  /** What a family has come to. */
  standing(root: string): 'unfinished' | 'failed' | 'succeeded' | 'unknown' {
    if (this.unfinishedIn(root) > 0) return 'unfinished';
    if (this.unsuccessfulIn(root).length > 0) return 'failed';
    return this.succeeded.has(root) ? 'succeeded' : 'unknown';
  }

  readiness({ dependencies, runIf }: Pick<TaskFacts, 'dependencies' | 'runIf'>): 'ready' | 'waiting' | 'doomed' {
    const standings = dependencies.map((id) => this.standing(id));
    if (runIf === 'success' && standings.includes('failed')) return 'doomed';
    if (standings.includes('unfinished') || standings.includes('unknown')) return 'waiting';
    const asksForFailure = runIf === 'failure' && dependencies.length > 0;
    return asksForFailure && !standings.includes('failed') ? 'doomed' : 'ready';
  }

  pending(): NaiveTask[] {
    return [...this.tasks.values()].filter((task) => task.state === 'pending');
  }

  /** False for a skipped task whose cause has left the folder in which it lay. */
  liesIn(cause: Cause): boolean {
    if (cause.folder === 'succeeded') return this.succeeded.has(cause.id) && !this.tasks.has(cause.id);
    return this.tasks.get(cause.id)?.state === cause.folder;
  }

  /** True if `from` waits for `to` directly: for a dependency's family, or as a family for a member. */
  waitsFor(from: string, to: string, newcomer: Pick<TaskFacts, 'id' | 'dependencies' | 'ancestors'>): boolean {
    const task = this.tasks.get(from);
    const facts = from === newcomer.id ? newcomer : task?.facts;
    const waits = from === newcomer.id || (task !== undefined && WAITING.includes(task.state));
    if (waits && facts?.dependencies.includes(to)) return true;
    const toFacts = to === newcomer.id ? newcomer : this.tasks.get(to)?.facts;
    return toFacts?.ancestors.includes(from) ?? false;
  }

  /**
   * True if `newcomer` would wait for itself. Two kinds of nodes: `task x` may start when the families of its
   * dependencies have ended, `family x` has ended when its members have.
   */
  wouldCycle(newcomer: Pick<TaskFacts, 'id' | 'dependencies' | 'ancestors'>): boolean {
    const others = [...this.tasks].filter(([id]) => id !== newcomer.id);
    const all = new Map<string, Pick<TaskFacts, 'dependencies' | 'ancestors'> & { waits: boolean }>(
      others.map(([id, { facts, state }]) => [id, { ...facts, waits: WAITING.includes(state) }]),
    );
    all.set(newcomer.id, { ...newcomer, waits: true });
    const next = (node: string): string[] => {
      const [kind = '', id = ''] = node.split(' ');
      if (kind === 'task') {
        const task = all.get(id);
        return task?.waits ? task.dependencies.map((dependency) => `family ${dependency}`) : [];
      }
      const members = [...all].filter(([member, { ancestors }]) => member === id || ancestors.includes(id));
      return members.map(([member]) => `task ${member}`);
    };
    const start = `task ${newcomer.id}`;
    const seen = new Set<string>();
    const queue = next(start);
    for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
      if (node === start) return true;
      if (seen.has(node)) continue;
      seen.add(node);
      queue.push(...next(node));
    }
    return false;
  }
}
