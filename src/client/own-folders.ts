// The folders of a job that a verb changes. A link in the place of one leads out of the state directory, to where no daemon
// looks: so they are looked at before anything is made or moved, and again, by device and inode, before it is said to be
// done. Nothing is locked between the two: what a swap in that moment has led elsewhere is told, and not undone.
import { lstatSync } from 'node:fs';
import { SpooldError, unless } from '../errors.ts';
import { ensureFolderDurably } from '../host/atomic.ts';
import type { JobLayout, Layout } from '../protocol/layout.ts';
import { STATES, type State } from '../protocol/states.ts';
import { formerJobs } from '../store/archive.ts';
import { isClosed, openingCommand } from './access.ts';

/** Something that keeps everybody from working in a folder. */
export interface Obstacle {
  path: string;
  /** `closed`: it may not be looked into. */
  kind: 'link' | 'no folder' | 'closed';
}

/** The first of a job and its folders that is no folder, or may not be looked into; undefined if all that are there are in order. Nine calls of lstat. */
export function obstacleIn(job: JobLayout): Obstacle | undefined {
  return firstObstacle([job.root, ...STATES.map((state) => job.folder(state)), job.runs]);
}

function firstObstacle(paths: readonly string[]): Obstacle | undefined {
  for (const path of paths) {
    const stat = statOf(path);
    if (stat === undefined) continue;
    if (!stat.isDirectory()) return { path, kind: stat.isSymbolicLink() ? 'link' : 'no folder' };
    if (isClosed(path, stat)) return { path, kind: 'closed' };
  }
  return undefined;
}

/** In words, with what to do about it. */
export function obstacleWords({ path, kind }: Obstacle): string {
  if (kind === 'closed') return `${path} may not be read by you: ${openingCommand(path)}`;
  return `${path} is ${kind === 'link' ? 'a link' : 'no folder'}: move it away, and put a folder there`;
}

export interface OwnFolders {
  /** To be called when the change is made, before it is told. Errors: JOB_LEFT_ALONE, JOB_TAKEN, NO_PERMISSION. */
  confirm(): void;
}

/**
 * Looks at a job and those of its folders that are to be changed; `make`: the one of them that is made if it is missing,
 * so that it survives a power cut. Errors: JOB_LEFT_ALONE, NO_PERMISSION.
 */
export function ownFolders(layout: Layout, name: string, states: readonly State[], make?: State): OwnFolders {
  const job = layout.job(name);
  const paths = [layout.jobs, job.root, ...states.map((state) => job.folder(state))];
  for (;;) {
    refuse(firstObstacle(paths), 'Nothing was changed.');
    if (make !== undefined) ensureFolderDurably(job.folder(make));
    const before = new Map(paths.map((path) => [path, inodeOf(path)]));
    if (make !== undefined && before.get(job.folder(make)) === undefined) continue; // the job was archived under us
    return { confirm: () => confirm(layout, name, before) };
  }
}

function confirm(layout: Layout, name: string, before: ReadonlyMap<string, string | undefined>): void {
  refuse(firstObstacle([...before.keys()]), 'It came to be there meanwhile: what was changed may lie elsewhere.');
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

function refuse(obstacle: Obstacle | undefined, outcome: string): void {
  if (obstacle === undefined) return;
  const { path, kind } = obstacle;
  const [message, remedy] =
    kind === 'closed'
      ? [`${path} may not be read or changed by you (permission denied).`, `Open it: ${openingCommand(path)}`]
      : [
          `${path} is ${kind === 'link' ? 'a link' : 'no folder'}, where there has to be a folder: no daemon takes what lies behind it.`,
          'Move it away, and put a folder there.',
        ];
  const code = kind === 'closed' ? 'NO_PERMISSION' : 'JOB_LEFT_ALONE';
  throw new SpooldError(code, message, { path, exit: 1, hint: `${outcome} ${remedy}` });
}

function inodeOf(path: string): string | undefined {
  const stat = statOf(path);
  return stat && `${stat.dev}:${stat.ino}`;
}

function statOf(path: string) {
  return unless('ENOTDIR', () => lstatSync(path, { bigint: true, throwIfNoEntry: false }));
}
