// Names to choose from while an address is being typed.
import type { Layout } from '../protocol/layout.ts';
import { compareNatural } from '../protocol/names.ts';
import { STATES } from '../protocol/states.ts';
import { jobNames } from '../store/snapshot.ts';
import { idsIn } from '../store/tasks.ts';

const MOST = 500;

/** Jobs whose name begins so. */
export function jobsBeginning(layout: Layout, prefix: string): string[] {
  return jobNames(layout)
    .filter((name) => name.startsWith(prefix))
    .slice(0, MOST);
}

/** Tasks of a job whose id begins so. */
export function tasksBeginning(layout: Layout, job: string, prefix: string): string[] {
  const ids = STATES.flatMap((state) => idsIn(layout.job(job).folder(state)).filter((id) => id.startsWith(prefix)));
  return [...new Set(ids)].sort(compareNatural).slice(0, MOST);
}

/** Addresses that begin so: jobs until there is a slash, then tasks. `JOB/` is given where a task is what is wanted. */
export function addressesBeginning(layout: Layout, prefix: string, wanted: 'any' | 'task'): string[] {
  const [job = '', task] = prefix.split('/');
  if (task !== undefined) return tasksBeginning(layout, job, task).map((id) => `${job}/${id}`);
  const jobs = jobsBeginning(layout, job);
  if (wanted === 'any' && jobs.length !== 1) return jobs;
  return jobs.flatMap((name) => (wanted === 'any' ? [name, `${name}/`] : [`${name}/`]));
}
