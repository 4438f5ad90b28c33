// A whole file swapped for another while the process goes on with other things: what is slow about it is the sync, which a
// thread of the pool does while the file has a name of its own; the swap itself is one rename.
import { closeSync, fsync, openSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { unless } from '../errors.ts';
import { beforeChange, createExclusive, remove, unfinishedName } from './atomic.ts';

/** A file that is on the disk, and not in its place yet. */
export interface Aside {
  /** Puts it there, on top of what is there. After a power cut the old one may be there again, as whole as the new one. */
  swapIn(): void;
  discard(): void;
}

/** Writes and syncs it beside `path`. Rejects with the system's error, and leaves nothing then. */
export async function writeAside(path: string, content: string): Promise<Aside> {
  const unfinished = join(dirname(path), unfinishedName());
  const discard = (): void => void unless('ESTALE', () => remove(unfinished)); // not a byte, where the place is another's
  createExclusive(unfinished, content);
  try {
    const fd = openSync(unfinished, 'r');
    await promisify(fsync)(fd).finally(() => closeSync(fd));
  } catch (error) {
    discard();
    throw error;
  }
  return { swapIn: () => swap(unfinished, path, discard), discard };
}

function swap(unfinished: string, path: string, discard: () => void): void {
  try {
    beforeChange(path);
    renameSync(unfinished, path);
  } catch (error) {
    discard();
    throw error;
  }
}
