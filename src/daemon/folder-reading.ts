// One reading of a folder of states, in slices: with 200,000 names in it, reading at one go would block the loop for a
// third of a second at every poll. What changes in the folder meanwhile moves its mtime, and it is read once more.
import { Names } from '../host/atomic.ts';
import { monotonic } from '../host/clock.ts';
import { taskIdOf } from '../protocol/names.ts';
import type { State } from '../protocol/states.ts';
import type { NodeState } from '../scheduler/graph.ts';
import type { Job } from './job.ts';

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
    try {
      for (let name = this.names.next(); name !== undefined; name = this.names.next()) {
        this.count += 1;
        look(name, this.note(name));
        if (monotonic() > deadline) return false;
      }
      return true;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    this.names.close();
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

  private note(name: string): NodeState | undefined {
    const isClaim = this.state === 'running' && name.endsWith('.run');
    const id = isClaim ? name.slice(0, -'.run'.length) : taskIdOf(name);
    if (id === undefined || id.includes('\uFFFD')) return void this.others.push(name);
    if (this.ending !== undefined) this.present.add(id);
    return this.job.graph.see(id);
  }
}
