// Fresh folders under one root, and whatever has to be ended. What a row has started is stopped when the row is over; the
// folders are deleted at the very end, for right after a large tree is deleted a file system is slow.
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';

export class Scratch {
  readonly root: string;
  private count = 0;
  private readonly endings: (() => void)[] = [];

  constructor(on: string) {
    mkdirSync(resolve(on), { recursive: true });
    this.root = realpathSync(mkdtempSync(join(resolve(on), 'spoold-bench-')));
  }

  /** One that is removed too when this process is told to end. */
  static untilInterrupted(on: string): Scratch {
    const scratch = new Scratch(on);
    for (const [signal, status] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      process.on(signal, () => {
        scratch.remove();
        process.exit(status);
      });
    }
    return scratch;
  }

  /** A new folder. */
  folder(name: string): string {
    this.count += 1;
    const folder = join(this.root, `${this.count}-${name}`);
    mkdirSync(folder);
    return folder;
  }

  /** To be done when the row is over, or the bench is interrupted. */
  atEnd(end: () => void): void {
    this.endings.push(end);
  }

  /** Stops what the row has started, last one first. */
  endRow(): void {
    for (let end = this.endings.pop(); end !== undefined; end = this.endings.pop()) end();
  }

  remove(): void {
    this.endRow();
    rmSync(this.root, { recursive: true, force: true });
  }
}
