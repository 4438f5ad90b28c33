// A whole file swapped for another while the process goes on with other things: what is slow about it, the sync, is done by a
// thread of the pool beside the file, under a name of its own; the swap itself is one rename.
import { close, fsync, open, renameSync, writeFile } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { unless } from '../errors.ts';
import { beforeChange, remove, unfinishedName } from './atomic.ts';

/** A file that is on the disk, and not in its place yet. */
export interface Aside {
  /** Puts it there, on top of what is there. After a power cut the old one may be there again, as whole as the new one. */
  swapIn(): void;
  discard(): void;
}

/** Writes and syncs it beside `path`. Rejects with the system's error, and leaves nothing then. */
export async function writeAside(path: string, content: string): Promise<Aside> {
  const unfinished = join(dirname(path), unfinishedName());
  beforeChange(path);
  const fd = await promisify(open)(unfinished, 'wx', 0o666);
  try {
    await promisify(writeFile)(fd, content);
    await promisify(fsync)(fd);
  } catch (error) {
    remove(unfinished);
    throw error;
  } finally {
    await promisify(close)(fd);
  }
  return {
    swapIn: () => {
      try {
        beforeChange(path);
        renameSync(unfinished, path);
      } catch (error) {
        unless('ESTALE', () => remove(unfinished));
        throw error;
      }
    },
    discard: () => void remove(unfinished),
  };
}
