// What a task queued, to any depth, as far as it is unfinished or did not succeed: found by reading task files, for nothing
// else says who is whose child. They are read once for a whole answer, and no more than so many of them: a job with
// 100,000 waiting tasks is told about by those whose names begin like their parent's, and a part of the rest.
import { namesIn } from '../host/atomic.ts';
import type { JobLayout } from '../protocol/layout.ts';
import type { NodeState } from '../scheduler/graph.ts';
import { heldId, isHeldName } from '../store/snapshot.ts';
import { idsIn } from '../store/tasks.ts';
import { ancestorsNoted, factsOf, readTask } from './facts.ts';

const MOST_READ = 2_000;

export interface Member {
  id: string;
  state: NodeState;
  ancestors: readonly string[];
}

export class Families {
  private readonly job: JobLayout;
  private readonly mostRead: number;
  private readonly known = new Map<string, Member>();
  private names: { id: string; state: NodeState; path: string }[] | undefined;

  /** `mostRead`: so many files are read at most. */
  constructor(job: JobLayout, mostRead = MOST_READ) {
    this.job = job;
    this.mostRead = mostRead;
  }

  /** Members of the family of `root`, itself not among them, that have not succeeded. */
  of(root: string): Member[] {
    const names = this.everyName();
    const few = names.length <= this.mostRead;
    const likely = few ? names : names.filter(({ id }) => id.startsWith(root)).slice(0, this.mostRead);
    for (const one of [...likely, ...names.slice(0, few ? 0 : this.mostRead - likely.length)]) this.read(one);
    return [...this.known.values()].filter(({ ancestors }) => ancestors.includes(root));
  }

  /** Those of the family that `parent` queued itself. */
  childrenOf(parent: string): Member[] {
    return this.of(parent).filter(({ ancestors }) => ancestors[0] === parent);
  }

  /** Not every file is read: there may be more members than were found. */
  get isPartial(): boolean {
    return this.everyName().length > this.mostRead;
  }

  private read({ id, state, path }: { id: string; state: NodeState; path: string }): void {
    if (this.known.has(id)) return;
    const task = readTask(path);
    const said = task.kind === 'ok' ? factsOf(id, task.raw, {}).ancestors : [];
    const ancestors = state === 'rejected' && said.length === 0 ? ancestorsNoted(this.job, id) : said;
    this.known.set(id, { id, state, ancestors });
  }

  /** What runs first, then what waits, then what did not succeed. */
  private everyName() {
    this.names ??= [
      ...(['running', 'pending'] as const).flatMap((state) => this.namesOf(state)),
      ...namesIn(this.job.folder('pending'))
        .filter(isHeldName)
        .map((name) => ({ id: heldId(name), state: 'held' as const, path: `${this.job.folder('pending')}/${name}` })),
      ...(['failed', 'cancelled', 'skipped', 'rejected'] as const).flatMap((state) => this.namesOf(state)),
    ];
    return this.names;
  }

  private namesOf(state: Exclude<NodeState, 'held'>) {
    return idsIn(this.job.folder(state)).map((id) => ({ id, state, path: this.job.task(state, id) }));
  }
}
