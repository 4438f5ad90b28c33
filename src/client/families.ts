// What a task queued, to any depth, as far as it is unfinished or did not succeed: found by reading task files, for nothing
// else says who is whose child. They are read once for a whole answer, and no more than so many of them: a job with
// 100,000 waiting tasks is told about by those whose names begin like their parent's, and a part of the rest. Whoever asks
// about 10,000 of its tasks has them looked up by name, in order, and not gone through for each.
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

interface Name {
  id: string;
  state: NodeState;
  path: string;
}

export class Families {
  private readonly job: JobLayout;
  private readonly mostRead: number;
  private readonly known = new Set<string>();
  private readonly byAncestor = new Map<string, Member[]>();
  private names: Name[] | undefined;
  private sorted: Name[] | undefined;
  private left: number;

  /** `mostRead`: so many files are read for the first who is asked about; for all others as many again, at most half of the rest for one. */
  constructor(job: JobLayout, mostRead = MOST_READ) {
    this.job = job;
    this.mostRead = mostRead;
    this.left = 2 * mostRead;
  }

  /** Members of the family of `root`, itself not among them, that have not succeeded. */
  of(root: string): Member[] {
    const names = this.everyName();
    const isFirst = this.known.size === 0;
    if (!this.isPartial) this.readAll(names, isFirst ? names.length : 0);
    else {
      const read = this.readAll(this.likely(root), this.left / 2);
      if (isFirst) this.readAll(names, this.mostRead - read);
    }
    return this.byAncestor.get(root) ?? [];
  }

  /** Those of the family that `parent` queued itself. */
  childrenOf(parent: string): Member[] {
    return this.of(parent).filter(({ ancestors }) => ancestors[0] === parent);
  }

  /** Not every file is read: there may be more members than were found. */
  get isPartial(): boolean {
    return this.everyName().length > this.mostRead;
  }

  /** Those whose names begin like `root`. */
  private *likely(root: string): Iterable<Name> {
    const sorted = (this.sorted ??= [...this.everyName()].sort((a, b) => Number(a.id > b.id) - Number(a.id < b.id)));
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sorted[middle] as Name).id < root) low = middle + 1;
      else high = middle;
    }
    for (; low < sorted.length; low++) {
      const one = sorted[low] as Name;
      if (!one.id.startsWith(root)) return;
      yield one;
    }
  }

  /** Reads `most` of them that are not known yet; gives how many. */
  private readAll(names: Iterable<Name>, most: number): number {
    let read = 0;
    for (const name of names) {
      if (read + 1 > most) break;
      if (this.known.has(name.id)) continue;
      this.read(name);
      read += 1;
    }
    this.left -= read;
    return read;
  }

  private read({ id, state, path }: Name): void {
    const task = readTask(path);
    const said = task.kind === 'ok' ? factsOf(id, task.raw, {}).ancestors : [];
    const ancestors = state === 'rejected' && said.length === 0 ? ancestorsNoted(this.job, id) : said;
    const member = { id, state, ancestors };
    this.known.add(id);
    for (const ancestor of new Set(ancestors)) {
      const members = this.byAncestor.get(ancestor);
      if (members === undefined) this.byAncestor.set(ancestor, [member]);
      else members.push(member);
    }
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
