// Whether a task could have a slot now, and who holds them: the limit of its job, then the limit of all. Who runs is what
// claims say, a link in running/ for each; their number is bounded by the limits.
import { availableParallelism } from 'node:os';
import { namesIn } from '../host/atomic.ts';
import type { JobLayout, Layout } from '../protocol/layout.ts';
import type { DaemonState } from '../store/daemon-record.ts';
import { claimedAttempt, readTimes } from '../store/runs.ts';
import { jobNames, readParallel } from '../store/snapshot.ts';
import { wallClock } from '../host/clock.ts';
import type { Cause, Holder } from './causes.ts';
import { readTask } from './facts.ts';

/** Of a limit that is reached, so many who hold it are told. */
const MOST_HOLDERS = 20;

interface Limit {
  limit: number;
  /** In words for people: what to change for another one. */
  saidBy: string;
}

/** The limits that are reached now: of the job, or of everything. */
export function fullSlots(layout: Layout, name: string, daemon: DaemonState): Cause[] {
  const job = layout.job(name);
  const own = jobLimit(job);
  const inJob = claimsIn(job);
  if (own !== undefined && inJob.length >= own.limit) {
    const holders = inJob.slice(0, MOST_HOLDERS).flatMap((id) => holderOf(name, job, id));
    return [{ cause: 'slots', place: 'job', limit: own.limit, said_by: own.saidBy, held_back: null, holders }];
  }
  const all = globalLimit(layout, daemon);
  const everywhere = jobNames(layout).flatMap((other) =>
    claimsIn(layout.job(other)).map((id) => ({ name: other, job: layout.job(other), id })),
  );
  if (everywhere.length < all.limit) return [];
  const holders = everywhere
    .slice(0, MOST_HOLDERS)
    .flatMap(({ name: other, job: its, id }) => holderOf(other, its, id));
  return [
    { cause: 'slots', place: 'everything', limit: all.limit, said_by: all.saidBy, held_back: all.heldBack, holders },
  ];
}

function jobLimit(job: JobLayout): Limit | undefined {
  const parallel = readParallel(job.parallel);
  if (typeof parallel === 'number') return { limit: parallel, saidBy: job.parallel };
  const read = readTask(job.settings);
  const said = read.kind === 'ok' ? read.raw.max_parallel : undefined;
  if (typeof said === 'number') return { limit: said, saidBy: job.settings };
  return said === 'none' ? undefined : { limit: 1, saidBy: 'default' };
}

function globalLimit(layout: Layout, daemon: DaemonState): Limit & { heldBack: string | null } {
  const parallel = readParallel(layout.parallel);
  if (typeof parallel === 'number') return { limit: parallel, saidBy: layout.parallel, heldBack: null };
  const inForce = daemon.kind === 'stopped' ? undefined : daemon.record.max_parallel;
  const heldBack = daemon.record?.held_back ?? null;
  return { limit: inForce ?? availableParallelism(), saidBy: layout.config, heldBack };
}

/** Tasks of a job whose attempt is not over. */
function claimsIn(job: JobLayout): string[] {
  return namesIn(job.folder('running')).flatMap((name) =>
    name.endsWith('.run') ? [name.slice(0, -'.run'.length)] : [],
  );
}

function holderOf(name: string, job: JobLayout, id: string): Holder[] {
  const attempt = claimedAttempt(job, id);
  if (attempt === undefined) return [];
  return [
    { job: name, task: id, since: new Date(readTimes(job.run(id, attempt), wallClock()).startedAt).toISOString() },
  ];
}
