// Folders that may not be read or changed by us, or take no more: a system's error about one → an error that names the folder
// and says what to do. Which one is closed is found by looking upwards from the path that the error has, for that may be of
// something in it.
import { accessSync, constants, lstatSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf, SpooldError, unless } from '../errors.ts';
import { shellWord } from '../protocol/shell.ts';

const FULL = new Map([
  ['ENOSPC', 'the disk is full'],
  ['EDQUOT', 'your quota on that disk is used up'],
]);

/** What is to be said of an error: itself if it is ours; NO_PERMISSION if the system refused access to something; DISK_FULL; else undefined. */
export function knownError(error: unknown): SpooldError | undefined {
  if (error instanceof SpooldError) return error;
  const { path, syscall } = error as NodeJS.ErrnoException;
  if (path === undefined || syscall === 'watch') return undefined; // no more watches is ENOSPC, too
  const full = FULL.get(errnoOf(error) ?? '');
  if (full !== undefined)
    return new SpooldError('DISK_FULL', `In ${dirname(path)} nothing can be written: ${full}.`, {
      path: dirname(path),
      exit: 1,
      cause: error,
      hint: 'Make room on it (df and df -i say how much there is), and try again.',
    });
  if (errnoOf(error) !== 'EACCES') return undefined;
  const closed = nearest(path);
  return new SpooldError('NO_PERMISSION', `${closed} may not be read or changed by you (permission denied).`, {
    path: closed,
    exit: 1,
    cause: error,
    hint: `Open it: ${openingCommand(closed)}`,
  });
}

/** The first one upwards that can be seen: what is in it cannot. */
function nearest(path: string): string {
  let at = path;
  while (statOf(at) === undefined && at !== dirname(at)) at = dirname(at);
  return at;
}

export function openingCommand(path: string): string {
  return `chmod u+rw${statOf(path)?.isDirectory() === false ? '' : 'x'} ${shellWord(path)}`;
}

/** True if a folder may not be looked into. Of one that its owner's rights open, no more is asked. */
export function isClosed(path: string, { mode }: { mode: number | bigint }): boolean {
  if ((Number(mode) & 0o500) === 0o500) return false;
  return unless('EACCES', () => (accessSync(path, constants.R_OK | constants.X_OK), true)) === undefined;
}

function statOf(path: string): Stats | undefined {
  return unless(['EACCES', 'ENOTDIR'], () => lstatSync(path, { throwIfNoEntry: false }));
}
