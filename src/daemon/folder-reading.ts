// One reading of a folder of states, in slices: with 200,000 names in it, reading at one go would block the loop for a
// third of a second at every poll. What changes in the folder meanwhile moves its mtime, and it is read once more.
import { Names } from '../host/atomic.ts';
import { monotonic } from '../host/clock.ts';
import { taskIdOf } from '../protocol/names.ts';
import type { State } from '../protocol/states.ts';
import type { NodeState } from '../scheduler/graph.ts';
import type { Drop } from '../store/tasks.ts';
import type { Job } from './job.ts';
import { ReadingAhead } from './reading-ahead.ts';

/** Files that are read before another thread helps. */
const ALONE = 2_000;

const REASON_ENDINGS: Partial<Record<State, string>> = {
  skipped: '.reason.txt',
  cancelled: '.reason.txt',
  rejected: '.error.txt',
};

export class FolderReading {
  readonly state: State;
  /** The folder was touched: tasks edited in place are to be read again. */
  readonly wasTouched: boolean;
  /** What is left to do at its end, once it has been read. */
  rest: Iterator<void> | undefined;
  /** Names read so far. */
  count = 0;
  /** Task files to be read, so far. */
  private files = 0;
  private ahead: ReadingAhead | undefined;
  /** Ids that were looked at otherwise meanwhile: what was read ahead of them may be old. */
  private readonly overtaken = new Set<string>();
  /** Names that are no tasks. */
  readonly others: string[] = [];
  private readonly names: Names;
  private readonly job: Job;
  private readonly ending: string | undefined;
  /** Only where there are reasons to be matched with their tasks. */
  private readonly present = new Set<string>();

  constructor(job: Job, state: State) {
    this.job = job;
    this.state = state;
    this.names = new Names(job.layout.folder(state));
    this.ending = REASON_ENDINGS[state];
    this.wasTouched = state === 'pending' && job.touched;
    if (state === 'pending') job.touched = false;
    job.graph.beginReading();
  }

  /** Reads until `deadline` (monotonic ms), and shows each name to `look`, with where that task was believed to lie. True at the end. */
  readOn(deadline: number, look: (name: string, believed: NodeState | undefined) => void): boolean {
    return this.closingIfItFails(() => {
      for (let name = this.names.next(); name !== undefined; name = this.names.next()) {
        this.count += 1;
        look(name, this.note(name));
        if (monotonic() > deadline) return false;
      }
      return true;
    });
  }

  /** True if another thread reads this task's file: it will be among those that have arrived. */
  handsOver(id: string, owners: ReadonlySet<number>): boolean {
    this.files += 1;
    if (this.files > ALONE) this.ahead ??= new ReadingAhead(this.job.layout.folder(this.state), owners);
    return this.ahead?.takes(id) ?? false;
  }

  /** Shows those that another thread has read, until `deadline` (monotonic ms). */
  showArrived(deadline: number, show: (id: string, drop: Drop | undefined) => void): void {
    this.closingIfItFails(() => {
      for (let next = this.ahead?.arrived(); next !== undefined; next = this.ahead?.arrived()) {
        const isOld = this.overtaken.has(next.id) || this.job.graph.get(next.id) !== undefined;
        show(next.id, isOld ? undefined : next.drop);
        if (monotonic() > deadline) return;
      }
    });
  }

  /** This one is looked at now, for another reason. */
  overtake(id: string): void {
    if (this.ahead !== undefined) this.overtaken.add(id);
  }

  /** Once all names have been read: true if nothing is under way any more. */
  isWhole(): boolean {
    if (this.ahead?.isThrough() === false) return false;
    this.ahead?.close();
    this.ahead = undefined;
    return true;
  }

  close(): void {
    this.names.close();
    this.ahead?.close();
  }

  /** Reasons whose file went elsewhere while nobody looked, each with the id of that. */
  *lonelyReasons(): Generator<[reason: string, id: string], void> {
    const { ending, others, present } = this;
    if (ending === undefined) return;
    for (const name of others) {
      const id = name.slice(0, -ending.length);
      if (name.endsWith(ending) && !present.has(id)) yield [name, id];
    }
  }

  /** At the end: tasks that were believed to lie here, and do not. */
  missing(): Iterable<string> {
    return this.job.graph.unseen(this.state);
  }

  private closingIfItFails<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  private note(name: string): NodeState | undefined {
    const isClaim = this.state === 'running' && name.endsWith('.run');
    const id = isClaim ? name.slice(0, -'.run'.length) : taskIdOf(name);
    if (id === undefined || id.includes('\uFFFD')) return void this.others.push(name);
    if (this.ending !== undefined) this.present.add(id);
    return this.job.graph.see(id);
  }
}
