// What should be a folder, as `doctor` looks at it: that it is one and no link, that others may not write to it, and that
// we may. What lies behind a link is not ours: nothing there is looked at, and nothing is changed through it.
import { lstatSync, type Stats, statSync } from 'node:fs';
import { unless } from '../errors.ts';
import { isFolder, setOwnMode } from '../host/atomic.ts';
import type { JobLayout } from '../protocol/layout.ts';
import { STATES } from '../protocol/states.ts';
import { type Finding, isDenied, octal, TO_LIST, type Ward, withoutRights } from './doctor-finding.ts';

/** A folder that a daemon uses, if it is there. `mayBeOpen`: others may write to it. */
export function* folder(path: string, mayBeOpen = false): Iterable<Finding> {
  const stat = unless('ENOTDIR', () => lstatSync(path, { throwIfNoEntry: false }));
  if (stat === undefined) return;
  if (!stat.isDirectory())
    return yield {
      kind: 'no_folder',
      path,
      says: `it should be a folder, and is ${stat.isSymbolicLink() ? 'a link' : 'something else'}.`,
      would: 'Nothing behind it is looked at. Move it away, and put a folder there.',
      by: 'you',
    };
  if (!mayBeOpen) yield* openToAll(path, stat);
  yield* withoutRights(path);
}

/** Those of a job. A daemon that finds one of them amiss leaves the whole job alone. */
export function* foldersOf(job: JobLayout, { othersMayDrop }: Ward): Iterable<Finding> {
  for (const path of [job.root, job.runs, ...STATES.map((state) => job.folder(state))])
    yield* folder(path, othersMayDrop && path === job.folder('pending'));
}

/** True if the names in a folder can be read, and it is one. */
export function canBeRead(path: string): boolean {
  return !isDenied(path, TO_LIST) && isFolder(path);
}

/** Whoever may write into a folder of ours runs commands as its owner. */
export function* openToAll(path: string, { mode }: Stats): Iterable<Finding> {
  if ((mode & 0o002) === 0) return;
  yield {
    kind: 'mode',
    path,
    says: `every user of this host may write to it (mode ${octal(mode)}).`,
    would: 'Others are kept out: chmod o-rwx.',
    by: 'doctor',
    mend: () => setOwnMode(path, mode & 0o7770),
  };
}

/** Settings may lie elsewhere, behind a link. What that leads to is for its owner to close. */
export function* fileOpenToAll(path: string): Iterable<Finding> {
  const own = lstatSync(path, { throwIfNoEntry: false });
  if (own === undefined) return;
  if (!own.isSymbolicLink()) return yield* openToAll(path, own);
  const target = unless(['ELOOP', 'ENOTDIR'], () => statSync(path, { throwIfNoEntry: false }));
  if (target === undefined || (target.mode & 0o002) === 0) return;
  yield {
    kind: 'mode',
    path,
    says: `it is a link, and every user of this host may write to what it leads to (mode ${octal(target.mode)}).`,
    would: 'Whoever writes there runs commands as you. Close it: chmod o-w.',
    by: 'you',
  };
}
