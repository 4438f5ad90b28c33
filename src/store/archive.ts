// A finished job makes way for another of its name: its running/ is removed, so that no task of it can start; it is renamed
// out of sight in jobs/, so that nothing more can be dropped into it; then the new one is shown; then what had come too late
// for the old one is moved to the new one, and the old one to archive/. A crash in between leaves a job without running/,
// which the daemon makes again, or `.archived-<job>.<time>` in jobs/, which the next `submit` or the daemon finishes: one that
// is not finished after all, while nothing has its name, gets that back.
import { join } from 'node:path';
import { SpooldError, unless } from '../errors.ts';
import {
  ensureFolderDurably,
  isThere,
  type Moved,
  moveNoReplace,
  namesIn,
  removeEmptyFolder,
  renameFolder,
  syncFolder,
} from '../host/atomic.ts';
import { folderIdentity } from '../host/identity.ts';
import { JobLayout, type Layout } from '../protocol/layout.ts';
import { compareNatural, taskIdOf } from '../protocol/names.ts';
import { reject } from './tasks.ts';

const PREFIX = '.archived-';

/** A job on its way to archive/. */
export interface Archiving {
  job: string;
  /** Where it lies now, in jobs/. */
  from: string;
  /** Where it goes. */
  to: string;
}

/** Keeps the tasks of a job from starting, if none runs. */
export function closeJob(job: JobLayout): void {
  removeEmptyFolder(job.folder('running'));
}

/**
 * Takes a job out of sight; undefined if there is none. `judged`: the folder that was found to be finished, or to be absent.
 * Another one, which somebody else has shown since, is left where it is. `now` in milliseconds since 1970. Errors: JOB_TAKEN.
 */
export function putAside(layout: Layout, job: string, judged: string | undefined, now: number): Archiving | undefined {
  const { root } = layout.job(job);
  const time = new Date(now).toISOString().replaceAll(/[-:]/g, '').replace(/\.\d+/, '');
  for (let n = 1; ; n++) {
    const entry = `${job}.${time}${n === 1 ? '' : `.${n}`}`;
    const [from, to] = [join(layout.jobs, `${PREFIX}${entry}`), join(layout.archive, entry)];
    if (folderIdentity(root) !== judged) throw jobTaken(root, job);
    if (judged === undefined) return undefined;
    if (isThere(to) || moveNoReplace(root, from) !== 'moved') continue;
    if (folderIdentity(from) === judged) return { job, from, to };
    // Shown in this very moment. If we die here, it is not finished, and gets its name back as well.
    moveNoReplace(from, root);
    throw jobTaken(root, job);
  }
}

export function jobTaken(path: string, job: string): SpooldError {
  return new SpooldError('JOB_TAKEN', `Somebody has just made or moved a job ${job}.`, {
    path,
    hint: 'Try again, or name another with --job.',
  });
}

/** Those that a crash, or somebody who is still at it, has left half way. */
export function archivingsIn(layout: Layout): Archiving[] {
  return namesIn(layout.jobs).flatMap((name) => {
    const [, entry, job] = /^\.archived-((.+?)\.\d{8}T\d{6}Z(?:\.\d+)?)$/.exec(name) ?? [];
    if (entry === undefined || job === undefined) return [];
    return [{ job, from: join(layout.jobs, name), to: join(layout.archive, entry) }];
  });
}

/** Where jobs that had this name lie now; by chance others, whose names begin so. */
export function formerJobs(layout: Layout, job: string): string[] {
  const former = archivingsIn(layout).filter((one) => one.job === job);
  const archived = namesIn(layout.archive).filter((name) => name.startsWith(`${job}.`)); // by hand, under any other name
  return [...former.map(({ from }) => from), ...archived.map((name) => join(layout.archive, name))];
}

/** Where the last job of this name that was archived lies. */
export function lastArchived(layout: Layout, job: string): string | undefined {
  const isOfThis = (name: string) =>
    name.startsWith(`${job}.`) && /^\d{8}T\d{6}Z(\.\d+)?$/.test(name.slice(job.length + 1));
  const last = namesIn(layout.archive).filter(isOfThis).sort(compareNatural).at(-1);
  return last === undefined ? undefined : join(layout.archive, last);
}

/**
 * Moves what had come too late, by `move`, then the job itself; what its new name's job has already is rejected there. All
 * of it is on the disk when this returns. Harmless if somebody else does it meanwhile. Where no job has its name and it is
 * not finished, it takes that back instead, for its tasks go by its settings. Gives which of the two it was.
 */
export function finishArchiving(
  layout: Layout,
  { job, from, to }: Archiving,
  move: (from: string, to: string) => Moved,
): 'archived' | 'given back' {
  const [old, successor] = [new JobLayout(from), layout.job(job)];
  const late = namesIn(old.folder('pending')).filter(isDrop);
  const isUnfinished = late.length > 0 || namesIn(old.folder('running')).length > 0;
  if (isUnfinished && !isThere(successor.root) && move(from, successor.root) === 'moved') {
    syncFolder(layout.jobs);
    return 'given back';
  }
  if (late.length > 0) {
    const pending = successor.folder('pending');
    ensureFolderDurably(pending);
    for (const name of late) {
      const path = join(old.folder('pending'), name);
      if (move(path, join(pending, name)) !== 'exists') continue;
      const id = taskIdOf(name) ?? name;
      reject(
        successor,
        path,
        id,
        `${path}: it was dropped while its job was archived, and the job that has the name now has a task ${id}.\nGive one of them another id.`,
      );
    }
    for (const folder of [pending, old.folder('pending')]) unless('ENOENT', () => syncFolder(folder));
  }
  ensureFolderDurably(layout.archive);
  unless(['ENOENT', 'EEXIST', 'ENOTEMPTY'], () => renameFolder(from, to));
  for (const folder of [layout.archive, layout.jobs]) syncFolder(folder);
  return 'archived';
}

/** A task, or an array that was being spread. */
function isDrop(name: string): boolean {
  return taskIdOf(name) !== undefined || name.startsWith('.bundle-');
}
