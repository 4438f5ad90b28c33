// One reading of a folder of states, in slices: with 200,000 names in it, reading at one go would block the loop for a
// third of a second at every poll. What changes in the folder meanwhile moves its mtime, and it is read once more.
import { Names } from '../host/atomic.ts';
import { monotonic } from '../host/clock.ts';
import { taskIdOf } from '../protocol/names.ts';
import type { State } from '../protocol/states.ts';
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
  /** Tasks that were known to lie here and have not been read yet; at the end, those that do not. */
  readonly missing = new Set<string>();
  /** Names that are no tasks. */
  readonly others: string[] = [];
  private readonly names: Names;
  private readonly ending: string | undefined;
  /** Only where there are reasons to be matched with their tasks. */
  private readonly present = new Set<string>();

  constructor(job: Job, state: State) {
    this.state = state;
    this.names = new Names(job.layout.folder(state));
    this.ending = REASON_ENDINGS[state];
    this.wasTouched = state === 'pending' && job.touched;
    if (state === 'pending') job.touched = false;
    for (const node of job.graph.all()) if (node.state === state) this.missing.add(node.id);
  }

  /** Reads until `deadline` (monotonic ms), and shows each name to `look`. True at the end. */
  readOn(deadline: number, look: (name: string) => void): boolean {
    try {
      for (let name = this.names.next(); name !== undefined; name = this.names.next()) {
        this.note(name);
        look(name);
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

  /** Reasons whose file went elsewhere while nobody looked. */
  lonelyReasons = (): string[] => {
    const { ending, others, present } = this;
    if (ending === undefined) return [];
    return others.filter((name) => name.endsWith(ending) && !present.has(name.slice(0, -ending.length)));
  };

  private note(name: string): void {
    const isClaim = this.state === 'running' && name.endsWith('.run');
    const id = isClaim ? name.slice(0, -'.run'.length) : taskIdOf(name);
    if (id === undefined || id.includes('\uFFFD')) this.others.push(name);
    else {
      this.missing.delete(id);
      if (this.ending !== undefined) this.present.add(id);
    }
  }
}
