// The folders of a job that a verb changes. A link in the place of one leads out of the state directory, to where no daemon
// looks: so they are looked at before anything is made or moved, and again, by device and inode, before it is said to be
// done. Nothing is locked between the two: what a swap in that moment has led elsewhere is told, and not undone.
import { lstatSync } from 'node:fs';
import { SpooldError, unless } from '../errors.ts';
import { ensureFolderDurably } from '../host/atomic.ts';
import type { JobLayout, Layout } from '../protocol/layout.ts';
import { STATES, type State } from '../protocol/states.ts';
import { formerJobs } from '../store/archive.ts';

/** Something that is no folder, in the place of one. */
export interface Displaced {
  path: string;
  /** `a link`, `no folder`. */
  what: string;
}

/** What of a job, and of its folders, is no folder: the daemon leaves it alone. Undefined if all that are there are. Nine calls of lstat. */
export function displacedIn(job: JobLayout): Displaced | undefined {
  return firstDisplaced([job.root, ...STATES.map((state) => job.folder(state)), job.runs]);
}

function firstDisplaced(paths: readonly string[]): Displaced | undefined {
  for (const path of paths) {
    const stat = statOf(path);
    if (stat !== undefined && !stat.isDirectory())
      return { path, what: stat.isSymbolicLink() ? 'a link' : 'no folder' };
  }
  return undefined;
}

export interface OwnFolders {
  /** To be called when the change is made, before it is told. Errors: JOB_LEFT_ALONE, JOB_TAKEN. */
  confirm(): void;
}

/**
 * Looks at a job and those of its folders that are to be changed; `make`: the one of them that is made if it is missing,
 * so that it survives a power cut. Errors: JOB_LEFT_ALONE.
 */
export function ownFolders(layout: Layout, name: string, states: readonly State[], make?: State): OwnFolders {
  const job = layout.job(name);
  const paths = [layout.jobs, job.root, ...states.map((state) => job.folder(state))];
  for (;;) {
    refuse(firstDisplaced(paths), 'Nothing was changed.');
    if (make !== undefined) ensureFolderDurably(job.folder(make));
    const before = new Map(paths.map((path) => [path, inodeOf(path)]));
    if (make !== undefined && before.get(job.folder(make)) === undefined) continue; // the job was archived under us
    return { confirm: () => confirm(layout, name, before) };
  }
}

function confirm(layout: Layout, name: string, before: ReadonlyMap<string, string | undefined>): void {
  refuse(firstDisplaced([...before.keys()]), 'It came to be there meanwhile: what was changed may lie elsewhere.');
  const { root } = layout.job(name);
  for (const [path, inode] of before) {
    const isSame = inode === undefined || inodeOf(path) === inode;
    if (isSame || isArchived(layout, name, path.slice(root.length), inode)) continue;
    throw new SpooldError('JOB_TAKEN', `Somebody has put another folder in the place of ${path} meanwhile.`, {
      path,
      exit: 1,
      hint: 'What was changed lies in the one before. Look where that is, and try again.',
    });
  }
}

/** A finished job that made way for another takes its folders along, and what came late moves on to the other. On its way it may slip past one look. */
function isArchived(layout: Layout, name: string, within: string, inode: string): boolean {
  const look = () =>
    [layout.job(name).root, ...formerJobs(layout, name)].some((root) => inodeOf(root + within) === inode);
  return look() || look();
}

function refuse(displaced: Displaced | undefined, outcome: string): void {
  if (displaced === undefined) return;
  const { path, what } = displaced;
  throw new SpooldError(
    'JOB_LEFT_ALONE',
    `${path} is ${what}, where there has to be a folder: no daemon takes what lies behind it.`,
    { path, exit: 1, hint: `${outcome} Move it away, and put a folder there.` },
  );
}

function inodeOf(path: string): string | undefined {
  const stat = statOf(path);
  return stat && `${stat.dev}:${stat.ino}`;
}

function statOf(path: string) {
  return unless('ENOTDIR', () => lstatSync(path, { bigint: true, throwIfNoEntry: false }));
}
