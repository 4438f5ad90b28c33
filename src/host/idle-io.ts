// The words that put a command behind all others on the disk, where the host can: ionice of util-linux, which has the
// option to start the command also where the system refuses (a container may). Looked for once.
import { accessSync, constants, realpathSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';
import { unless } from '../errors.ts';

const NOT_USABLE = ['ENOENT', 'EACCES', 'ENOTDIR', 'ELOOP'];

/** `/usr/bin/ionice -c 3 -t`, to be put before a command; empty where there is none on `path`. */
export function findIdleIo(path = '/usr/bin:/bin'): string[] {
  for (const folder of path.split(delimiter)) {
    const file = join(folder, 'ionice');
    const target = folder.startsWith('/') ? unless(NOT_USABLE, () => executable(file)) : undefined;
    // busybox has one by this name, which knows no -t.
    if (target !== undefined) return basename(target) === 'ionice' ? [file, '-c', '3', '-t'] : [];
  }
  return [];
}

function executable(file: string): string {
  accessSync(file, constants.X_OK);
  return realpathSync(file);
}

let known: string[] | undefined;

/** The same for this process's own PATH, looked for once. */
export function idleIo(): string[] {
  known ??= findIdleIo(process.env.PATH);
  return known;
}
