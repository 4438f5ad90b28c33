// A second thread that reads task files of a large folder while the daemon reads and judges others: at its start there may
// be hundreds of thousands, and opening them takes longer than judging them. It is only ever handed as many as it can read
// in a turn, so that nobody waits for it; whatever becomes of it, the daemon reads what it has not.
import { Worker } from 'node:worker_threads';
import { parseJson } from '../protocol/json.ts';
import type { Drop } from '../store/tasks.ts';

export interface ReadOrder {
  folder: string;
  owners: ReadonlySet<number>;
}

/** What was read of tasks, entry by entry; `others`: what did not read. */
export interface ReadFiles {
  ids: string[];
  texts: string[];
  stamps: string[];
  queuedAt: number[];
  others: string[];
}

/** So many ids go in one message, and so many messages are under way. */
const AT_ONCE = 200;
const UNDER_WAY = 10;
const MEMORY_MB = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 64 };

export class ReadingAhead {
  private readonly worker: Worker | undefined;
  private next: string[] = [];
  /** Ids that it was told to read and has not said anything of. */
  private readonly underWay: string[][] = [];
  private readonly read: ReadFiles[] = [];
  private hasEnded = false;

  constructor(folder: string, owners: ReadonlySet<number>) {
    try {
      this.worker = new Worker(new URL('./reading-worker.js', import.meta.url), {
        workerData: { folder, owners } satisfies ReadOrder,
        resourceLimits: MEMORY_MB,
      });
    } catch {
      this.hasEnded = true; // no descriptors, or no memory: then without it
      return;
    }
    this.worker.unref();
    this.worker.on('message', (files: ReadFiles) => {
      this.underWay.shift();
      this.read.push(files);
    });
    const end = (): void => {
      this.hasEnded = true;
    };
    this.worker.on('error', end).on('exit', end);
  }

  /** True if it takes this one. */
  takes(id: string): boolean {
    if (this.hasEnded || this.underWay.length >= UNDER_WAY) return false;
    this.next.push(id);
    if (this.next.length >= AT_ONCE) this.send();
    return true;
  }

  /** The next that it has read; `drop` is missing where it is to be read after all. */
  arrived(): { id: string; drop?: Drop } | undefined {
    if (this.hasEnded) this.giveUp();
    for (let files = this.read[0]; files !== undefined; files = this.read[0]) {
      const other = files.others.pop();
      if (other !== undefined) return { id: other };
      const id = files.ids.pop();
      const [text, stamp, queuedAt] = [files.texts.pop(), files.stamps.pop(), files.queuedAt.pop()];
      if (id === undefined || text === undefined || stamp === undefined || queuedAt === undefined) this.read.shift();
      else return { id, drop: { kind: 'json', value: parseJson(text), text, stamp, queuedAt } };
    }
    return undefined;
  }

  /** Has the last of them read. True once all have arrived. */
  isThrough(): boolean {
    if (this.next.length > 0) this.send();
    return this.underWay.length + this.read.length === 0;
  }

  close(): void {
    void this.worker?.terminate();
  }

  private send(): void {
    if (!this.hasEnded) this.worker?.postMessage(this.next);
    this.underWay.push(this.next);
    this.next = [];
  }

  private giveUp(): void {
    for (const others of this.underWay.splice(0))
      this.read.push({ ids: [], texts: [], stamps: [], queuedAt: [], others });
  }
}
