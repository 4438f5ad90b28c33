// Lines appended to a file that rotates: `events.ndjson` (what happened) and `daemon.log` (what the daemon says).
// Several lines go in one O_APPEND write, so lines of many writers never mix; a power cut may lose the last ones.
// Telemetry only: nothing is ever decided by reading them.
import { closeSync, constants, fstatSync, openSync, renameSync, statSync, writeSync } from 'node:fs';
import { errnoOf } from '../errors.ts';
import { beforeChange } from '../host/atomic.ts';

/** Never written through a link, and no FIFO is waited for: such lines count as lost. */
const APPEND =
  constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const ROTATE_AT_BYTES = 64 * 1024 * 1024;

/** A file of lines that is renamed to `<path>.1` (one generation) when it grows over 64 MB. A failure to write is counted, never thrown: a full disk must not stop the daemon. */
export class LineLog {
  private readonly path: string;
  private fd: number | undefined;
  private inode = 0;
  private device = 0;
  private waiting: string[] = [];
  /** Lines that could not be written. */
  lost = 0;

  constructor(path: string) {
    this.path = path;
  }

  /** Keeps a line for the next `flush`. */
  add(line: string): void {
    this.waiting.push(line);
  }

  /** Writes the lines kept, in one call. */
  flush(): void {
    if (this.waiting.length === 0) return;
    const lines = this.waiting;
    this.waiting = [];
    try {
      beforeChange(this.path);
      writeSync(this.open(), `${lines.join('\n')}\n`);
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      this.lost += lines.length;
      this.close();
    }
  }

  close(): void {
    if (this.fd === undefined) return;
    closeSync(this.fd);
    this.fd = undefined;
  }

  /** The file that has the name now: another writer may have rotated it, or a person removed it. */
  private open(): number {
    const named = statSync(this.path, { throwIfNoEntry: false });
    const isCurrent = this.fd !== undefined && named?.ino === this.inode && named.dev === this.device;
    if (isCurrent && named.size <= ROTATE_AT_BYTES) return this.fd as number;
    if (isCurrent) renameSync(this.path, `${this.path}.1`);
    this.close();
    this.fd = openSync(this.path, APPEND, 0o600);
    ({ ino: this.inode, dev: this.device } = fstatSync(this.fd));
    return this.fd;
  }
}
