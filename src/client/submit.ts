// A whole job at once: built in a dot folder of jobs/, synced, and shown by one rename, so that it is there whole or not
// at all. A finished job of that name goes to archive/ first; an unfinished one is left alone, and that is an error.
import { join } from 'node:path';
import { SpooldError } from '../errors.ts';
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
import { JobLayout, type Layout } from '../protocol/layout.ts';
import type { State } from '../protocol/states.ts';
import type { Raw } from '../protocol/task.ts';
import { idsIn } from '../store/tasks.ts';
import { unfinishedIn } from './unfinished.ts';
import { recordEvents } from './who.ts';
import type { JobFiles } from './workflow.ts';

export interface Submitted {
  job: string;
  tasks: number;
  /** Where the finished job went that had the name before. */
  archived: string | undefined;
}

/** Above this many files one `sync -f` costs less than an fsync each. */
const SYNC_EACH_UP_TO = 8;

/** Makes a job of settings and tasks; it survives a power cut when this returns. Errors: JOB_UNFINISHED, JOB_TAKEN. */
export function submitJob(layout: Layout, name: string, files: JobFiles): Submitted {
  const job = layout.job(name);
  refuseIfUnfinished(job, name);
  ensureFolderDurably(layout.jobs);
  const building = new JobLayout(join(layout.jobs, unfinishedName('submit')));
  try {
    build(building, files);
    const archived = archiveIfThere(layout, job, name);
    if (moveNoReplace(building.root, job.root) !== 'moved') {
      throw new SpooldError('JOB_TAKEN', `Somebody has just made a job ${name}.`, {
        path: job.root,
        hint: 'Try again, or name another with --job.',
      });
    }
    if (archived !== undefined) moveLateDrops(new JobLayout(archived), job);
    syncFolder(layout.jobs);
    recordEvents(layout, [{ job: name, event: 'submitted', to: 'pending', reason: `${files.tasks.size} tasks` }]);
    return { job: name, tasks: files.tasks.size, archived };
  } finally {
    removeTree(building.root);
  }
}

/** What was dropped between the look and the archiving was meant for the job of this name, which is the new one now. */
function moveLateDrops(old: JobLayout, job: JobLayout): void {
  for (const id of idsIn(old.folder('pending'))) moveNoReplace(old.task('pending', id), job.task('pending', id));
}

function build(job: JobLayout, { settings, tasks, succeeded = new Map() }: JobFiles): void {
  const each = tasks.size + succeeded.size <= SYNC_EACH_UP_TO;
  createFolder(job.root);
  createExclusive(job.settings, `${JSON.stringify(settings, null, 2)}\n`, { sync: each });
  fill(job, 'pending', tasks, each);
  if (succeeded.size > 0) fill(job, 'succeeded', succeeded, each);
  if (each) syncFolder(job.root);
  else syncFileSystem(job.root);
}

function fill(job: JobLayout, state: State, tasks: ReadonlyMap<string, Raw>, sync: boolean): void {
  createFolder(job.folder(state));
  for (const [id, raw] of tasks) createExclusive(job.task(state, id), `${JSON.stringify(raw)}\n`, { sync });
  if (sync) syncFolder(job.folder(state));
}

function refuseIfUnfinished(job: JobLayout, name: string): void {
  if (!isThere(job.root)) return;
  const { running, pending, held } = unfinishedIn(job);
  const left = [...running, ...pending, ...held];
  if (left.length === 0) return;
  const some = left.slice(0, 3).join(', ') + (left.length > 3 ? `, and ${left.length - 3} more` : '');
  throw new SpooldError('JOB_UNFINISHED', `The job ${name} is there and not finished: ${some}.`, {
    path: job.root,
    hint: `Wait for it (spoold wait ${name}), cancel it (spoold cancel ${name}), or give this one another name with --job.`,
  });
}

function archiveIfThere(layout: Layout, job: JobLayout, name: string): string | undefined {
  if (!isThere(job.root)) return undefined;
  refuseIfUnfinished(job, name); // building took a while, and what has started since would be ended
  ensureFolderDurably(layout.archive);
  const time = new Date(wallClock()).toISOString().replaceAll(/[-:]/g, '').replace(/\.\d+/, '');
  for (let n = 1; ; n++) {
    const target = join(layout.archive, `${name}.${time}${n === 1 ? '' : `.${n}`}`);
    const moved = moveNoReplace(job.root, target);
    if (moved === 'exists') continue;
    if (moved === 'missing') return undefined;
    syncFolder(layout.archive);
    recordEvents(layout, [{ job: name, event: 'archived', reason: `its name was needed again: ${target}` }]);
    return target;
  }
}
