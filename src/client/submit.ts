// A whole job at once: built in a dot folder of jobs/, synced, and shown by one rename, so that it is there whole or not
// at all. A finished job of that name makes way for it (store/archive.ts); an unfinished one is left alone, and that is an error.
import { join } from 'node:path';
import { errnoOf, SpooldError } from '../errors.ts';
import {
  createExclusive,
  createFolder,
  ensureFolderDurably,
  isThere,
  moveNoReplace,
  removeTree,
  syncFileSystem,
  syncFolder,
  unfinishedName,
} from '../host/atomic.ts';
import { wallClock } from '../host/clock.ts';
import { folderIdentity } from '../host/identity.ts';
import { JobLayout, type Layout } from '../protocol/layout.ts';
import { type State, STATES } from '../protocol/states.ts';
import type { Raw } from '../protocol/task.ts';
import { type Archiving, archivingsIn, closeJob, finishArchiving, jobTaken, putAside } from '../store/archive.ts';
import { dirOption } from './directory.ts';
import { refuseTwin } from './find.ts';
import { ownFolders } from './own-folders.ts';
import { unfinishedIn } from './unfinished.ts';
import { recordEvents } from './who.ts';
import type { JobFiles } from './workflow.ts';

export interface Submitted {
  job: string;
  tasks: number;
  /** Where the finished job went that had the name before. */
  archived: string | undefined;
  /** Why it is not in archive/ yet; the daemon goes on trying. */
  notArchived?: string | undefined;
}

/** Above this many files one `sync -f` costs less than an fsync each. */
const SYNC_EACH_UP_TO = 8;

/** Makes a job of settings and tasks; it survives a power cut when this returns. Errors: JOB_UNFINISHED, JOB_TAKEN, JOB_CASE, JOB_LEFT_ALONE. */
export function submitJob(layout: Layout, name: string, files: JobFiles): Submitted {
  const job = layout.job(name);
  ownFolders(layout, name, STATES);
  const folders = ownFolders(layout, name, []); // those of a finished job go away with it
  refuseIfUnfinished(layout, name);
  refuseTwin(layout, name);
  ensureFolderDurably(layout.jobs);
  for (const one of archivingsIn(layout)) if (one.job === name) archive(layout, one); // a crash has left it
  const building = new JobLayout(join(layout.jobs, unfinishedName('submit')));
  try {
    build(building, files);
    const former = putAside(layout, name, closeFinished(layout, name), wallClock());
    const isShown = moveNoReplace(building.root, job.root) === 'moved';
    syncFolder(layout.jobs);
    if (isShown) folders.confirm();
    const notArchived = former && archive(layout, former);
    if (!isShown) throw jobTaken(job.root, name);
    recordEvents(layout, [{ job: name, event: 'submitted', to: 'pending', reason: `${files.tasks.size} tasks` }]);
    const archived = notArchived === undefined ? former?.to : former?.from;
    return { job: name, tasks: files.tasks.size, archived, notArchived };
  } finally {
    removeTree(building.root);
  }
}

/**
 * Building took a while: what has started since would be ended, so nothing more may start while we look again. Gives which
 * folder that is said of.
 */
function closeFinished(layout: Layout, name: string): string | undefined {
  const job = layout.job(name);
  const judged = folderIdentity(job.root);
  closeJob(job);
  try {
    refuseIfUnfinished(layout, name);
  } catch (error) {
    createFolder(job.folder('running'));
    throw error;
  }
  return judged;
}

/**
 * Once the new job is on the disk: what was dropped too late for the old one was meant for it. Gives why that cannot be done
 * (archive/ is on another disk, or it is full), which undoes nothing: the daemon tries it again.
 */
function archive(layout: Layout, former: Archiving): string | undefined {
  try {
    if (finishArchiving(layout, former, moveNoReplace) === 'given back') return undefined;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return (error as Error).message;
  }
  recordEvents(layout, [{ job: former.job, event: 'archived', reason: `its name was needed again: ${former.to}` }]);
  return undefined;
}

function build(job: JobLayout, { settings, tasks, succeeded = new Map() }: JobFiles): void {
  const each = tasks.size + succeeded.size <= SYNC_EACH_UP_TO;
  createFolder(job.root);
  createExclusive(job.settings, settingsText(settings), { sync: each });
  fill(job, 'pending', tasks, each);
  if (succeeded.size > 0) fill(job, 'succeeded', succeeded, each);
  if (each) syncFolder(job.root);
  else syncFileSystem(job.root);
}

/** For people, on lines of their own; where that were long, its indentation could make it too large to be read. */
function settingsText(settings: Raw): string {
  const text = JSON.stringify(settings, null, 2);
  return `${text.length > 100_000 ? JSON.stringify(settings) : text}\n`;
}

function fill(job: JobLayout, state: State, tasks: ReadonlyMap<string, Raw>, sync: boolean): void {
  createFolder(job.folder(state));
  for (const [id, raw] of tasks) createExclusive(job.task(state, id), `${JSON.stringify(raw)}\n`, { sync });
  if (sync) syncFolder(job.folder(state));
}

function refuseIfUnfinished(layout: Layout, name: string): void {
  const job = layout.job(name);
  if (!isThere(job.root)) return;
  const { running, pending, held } = unfinishedIn(job);
  const left = [...running, ...pending, ...held.keys()];
  if (left.length === 0) return;
  const some = left.slice(0, 3).join(', ') + (left.length > 3 ? `, and ${left.length - 3} more` : '');
  const dir = dirOption(layout);
  throw new SpooldError('JOB_UNFINISHED', `The job ${name} is there and not finished: ${some}.`, {
    path: job.root,
    hint: `Wait for it (spoold wait${dir} ${name}), cancel it (spoold cancel${dir} ${name}), or give this one another name with --job.`,
  });
}
