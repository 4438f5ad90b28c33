// A job's `job_timeout`: its clock is the file `started` in its folder, written before the first task starts, so that it
// outlives the daemon; removed once nothing of the job waits or runs. When time is up, what runs is ended and what waits
// is cancelled: a crash in between finds the same file, and the next daemon goes on.
import { overwrite, readParsed, remove } from '../host/atomic.ts';
import { wallClock } from '../host/clock.ts';
import { formatDuration } from '../protocol/values.ts';
import { beginEnding } from './endings.ts';
import type { Job } from './job.ts';
import type { World } from './world.ts';

/** A task of it is about to start. */
export function startClock(job: Job): void {
  if (typeof job.settings.jobTimeout !== 'number' || job.startedAt !== undefined) return;
  const now = wallClock();
  overwrite(job.layout.started, `${new Date(now).toISOString()}\n`);
  job.startedAt = now;
}

/** As an earlier daemon left it. */
export function readClock(job: Job): void {
  const read = readParsed(job.layout.started, (text) => Date.parse(text.trim()));
  job.startedAt = read.kind === 'ok' && Number.isFinite(read.value) ? read.value : undefined;
}

/** When it is to be looked at although nothing happens, in milliseconds since 1970. */
export function deadlineOf(job: Job, now: number): number | undefined {
  const at = endOf(job);
  return at === undefined || at <= now ? undefined : at;
}

function endOf({ settings: { jobTimeout }, startedAt }: Job): number | undefined {
  return typeof jobTimeout === 'number' && startedAt !== undefined ? startedAt + jobTimeout * 1000 : undefined;
}

/** Nothing of it is started any more. */
export function isTimeUp(job: Job): boolean {
  const end = endOf(job);
  return end !== undefined && end <= wallClock();
}

export function holdToItsTime(world: World, job: Job): void {
  if (job.startedAt === undefined) return;
  if (!job.graph.isBusy && job.attempts.size === 0 && job.hints.size === 0 && job.dirty.size === 0) {
    remove(job.layout.started);
    job.startedAt = undefined;
    return;
  }
  if (!isTimeUp(job)) return;
  const reason = `the job ran longer than its job_timeout of ${formatDuration(job.settings.jobTimeout as number)}`;
  for (const attempt of job.attempts.values()) {
    if (attempt.ending !== undefined) continue;
    beginEnding(world, attempt, 'timeout', reason);
    world.looks.add(attempt);
  }
  for (const { id, state } of job.graph.all()) if (state === 'pending') job.toCancel.set(id, reason);
}
