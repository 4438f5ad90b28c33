// An address → what it names on the disk, or an error that says what there is instead.
import { SpooldError } from '../errors.ts';
import { isThere, namesIn } from '../host/atomic.ts';
import type { JobLayout, Layout } from '../protocol/layout.ts';
import type { State } from '../protocol/states.ts';
import { closest } from '../protocol/suggest.ts';
import { lastArchived } from '../store/archive.ts';
import { heldId, isHeldName, jobNames, stateOf } from '../store/snapshot.ts';
import { idsIn } from '../store/tasks.ts';
import { dirOption } from './directory.ts';

/** Where a task lies; `held`: its file in pending/ has a name that is no task's. */
export type Found = State | 'held';

export interface FoundTask {
  job: string;
  id: string;
  layout: JobLayout;
  state: Found;
}

/** The job's paths. Errors: JOB_UNKNOWN. */
export function findJob(layout: Layout, name: string): JobLayout {
  const job = layout.job(name);
  if (isThere(`${job.root}/.`)) return job; // as a folder: a file of that name is no job
  const archived = lastArchived(layout, name);
  const jobs = jobNames(layout);
  const withTask = jobs.find((other) => stateOf(layout.job(other), name) !== undefined);
  const near = withTask === undefined ? closest(name, jobs) : `${withTask}/${name}`;
  const hint =
    archived !== undefined
      ? `It was archived: ${archived}`
      : near !== undefined
        ? `Did you mean ${near}?`
        : `spoold status${dirOption(layout)} lists the jobs there are.`;
  throw new SpooldError('JOB_UNKNOWN', `There is no job ${name} in ${layout.root}.`, { path: job.root, hint });
}

/** Errors: JOB_CASE, where a job that is to be made differs from one that is there only in case: no daemon would serve it. */
export function refuseTwin(layout: Layout, name: string): void {
  const { root } = layout.job(name);
  if (isThere(root)) return;
  const lower = name.toLowerCase();
  const twin = jobNames(layout).find((other) => other !== name && other.toLowerCase() === lower);
  if (twin === undefined) return;
  throw new SpooldError('JOB_CASE', `There is a job ${twin}, and ${name} differs from it only in case.`, {
    path: root,
    hint: 'No daemon would serve it: some file systems do not keep the two apart. Take that one, or another name.',
  });
}

/** A task and where it lies. Errors: JOB_UNKNOWN, TASK_UNKNOWN. */
export function findTask(layout: Layout, job: string, id: string): FoundTask {
  const found = lookForTask(layout, job, id);
  if (found !== undefined) return found;
  const jobLayout = layout.job(job);
  const bare = id.replace(/\.json$/, ''); // the name of its file
  const near = bare !== id && stateOf(jobLayout, bare) !== undefined ? bare : closest(id, idsToSuggest(jobLayout));
  throw new SpooldError('TASK_UNKNOWN', `There is no task ${id} in the job ${job}.`, {
    path: jobLayout.root,
    hint:
      near === undefined ? `spoold status${dirOption(layout)} ${job} lists its tasks.` : `Did you mean ${job}/${near}?`,
  });
}

/** As `findTask`, undefined if no folder holds it. */
function lookForTask(layout: Layout, job: string, id: string): FoundTask | undefined {
  const jobLayout = findJob(layout, job);
  const state = stateOf(jobLayout, id);
  if (state !== undefined) return { job, id, layout: jobLayout, state };
  return heldNameOf(jobLayout, id) === undefined ? undefined : { job, id, layout: jobLayout, state: 'held' };
}

/** The name under which a task is held back in pending/: `x.held`, `x.yaml`. */
export function heldNameOf(job: JobLayout, id: string): string | undefined {
  return namesIn(job.folder('pending')).find((name) => isHeldName(name) && heldId(name) === id);
}

function* idsToSuggest(job: JobLayout): IterableIterator<string> {
  for (const state of ['running', 'pending', 'failed', 'cancelled', 'skipped', 'rejected', 'succeeded'] as const) {
    yield* idsIn(job.folder(state)).slice(0, 10_000);
  }
}
