// Why a task that waits does not start: what it waits for, one thing after the other.
import { isThere } from '../host/atomic.ts';
import { wallClock } from '../host/clock.ts';
import type { JobLayout, Layout } from '../protocol/layout.ts';
import type { State } from '../protocol/states.ts';
import { parseDuration } from '../protocol/values.ts';
import { claimedAttempt, readResult, runsOf } from '../store/runs.ts';
import { readParallel, stateOf } from '../store/snapshot.ts';
import { causeOf, factsOf, jobDefaults, loadGraph, type Raw, readTask, rejectionOf } from './facts.ts';
import { type Found, heldNameOf } from './find.ts';
import { readPause } from './pause.ts';
import { jobDamage, placeOf } from './place.ts';

export type Obstacle =
  /** `left`: how many of what it queued are unfinished, where itself it has ended. */
  | { kind: 'dependency'; task: string; state: Found | 'unknown'; left?: number }
  | { kind: 'time'; until: string; why: 'retry' | 'not_before' }
  /** Its attempt before is not over yet. */
  | { kind: 'attempt'; attempt: number }
  | { kind: 'paused'; place: 'everything' | 'job' }
  | { kind: 'parallel'; place: 'everything' | 'job' }
  | { kind: 'job_damaged'; reason: string }
  | { kind: 'daemon'; reason: string }
  /** Nothing else: it starts when its turn comes. */
  | { kind: 'slot' };

/** What a waiting task waits for. Reads the job's unfinished tasks where it depends on one that queued others. */
export function obstaclesOf(layout: Layout, job: JobLayout, id: string, raw: Raw, queuedAt: number): Obstacle[] {
  const all: Obstacle[] = [...placeObstacles(layout, job), ...taskObstacles(job, id, raw, queuedAt)];
  const { dependencies } = factsOf(id, raw, {});
  const direct = dependencies.map((task) => dependencyOf(job, task));
  all.push(...direct.filter(({ state }) => state !== 'succeeded'));
  const ended = direct.filter(({ state }) => state === 'succeeded').map(({ task }) => task);
  if (ended.length > 0) all.push(...unfinishedFamilies(job, ended));
  return all.length > 0 ? all : [{ kind: 'slot' }];
}

function dependencyOf(job: JobLayout, task: string): Obstacle & { kind: 'dependency' } {
  const state = stateOf(job, task) ?? (heldNameOf(job, task) === undefined ? 'unknown' : 'held');
  return { kind: 'dependency', task, state };
}

function unfinishedFamilies(job: JobLayout, ids: readonly string[]): Obstacle[] {
  const graph = loadGraph(job);
  return ids.flatMap((task): Obstacle[] => {
    const left = graph.unfinishedIn(task);
    if (left > 0) return [{ kind: 'dependency', task, state: 'succeeded', left }];
    const judged = graph.readiness({ dependencies: [task], runIf: 'success' });
    return judged.kind === 'doomed' ? [{ kind: 'dependency', task: judged.cause.id, state: judged.cause.folder }] : [];
  });
}

function placeObstacles(layout: Layout, job: JobLayout): Obstacle[] {
  const all: Obstacle[] = [];
  const place = placeOf(layout);
  if (place.daemon.kind === 'stopped') all.push({ kind: 'daemon', reason: 'no daemon serves the directory' });
  else if (place.daemon.record.holding !== undefined) all.push({ kind: 'daemon', reason: place.daemon.record.holding });
  else if (place.daemon.record.stopping !== undefined) all.push({ kind: 'daemon', reason: 'the daemon is stopping' });
  if (place.pause !== undefined) all.push({ kind: 'paused', place: 'everything' });
  if (readPause(job) !== undefined) all.push({ kind: 'paused', place: 'job' });
  if (place.parallel === 0) all.push({ kind: 'parallel', place: 'everything' });
  if (readParallel(job.parallel) === 0) all.push({ kind: 'parallel', place: 'job' });
  const damage = jobDamage(job.settings);
  if (damage !== undefined) all.push({ kind: 'job_damaged', reason: damage });
  return all;
}

function taskObstacles(job: JobLayout, id: string, raw: Raw, queuedAt: number): Obstacle[] {
  const all: Obstacle[] = [];
  const claimed = claimedAttempt(job, id);
  if (claimed !== undefined) all.push({ kind: 'attempt', attempt: claimed });
  const retry = retryAt(job, id);
  if (retry !== undefined && Date.parse(retry) > wallClock()) all.push({ kind: 'time', until: retry, why: 'retry' });
  const start = notBefore({ ...jobDefaults(job), ...raw }.not_before, queuedAt);
  if (start !== undefined && start > wallClock())
    all.push({ kind: 'time', until: new Date(start).toISOString(), why: 'not_before' });
  return all;
}

/** When the next attempt is due, if the last one's result said so. */
export function retryAt(job: JobLayout, id: string): string | undefined {
  const last = runsOf(job, id).findLast((run) => isThere(run.layout.result));
  const result = last && (readResult(last.layout) as { to: string; retry_at?: string | null } | undefined);
  return result?.to === 'pending' && result.retry_at ? result.retry_at : undefined;
}

function notBefore(value: unknown, queuedAt: number): number | undefined {
  const delay = parseDuration(value);
  if (typeof delay === 'number') return queuedAt + delay * 1000;
  const at = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(at) ? undefined : at;
}

/** The most telling fact about a task in a list, for a line of its own. */
export type Remark =
  | { kind: 'waits for'; tasks: { task: string; state: Found | 'unknown' }[] }
  | { kind: 'retry'; at: string }
  | { kind: 'rejected'; reason: string }
  | { kind: 'skipped'; cause: string; folder: State }
  | { kind: 'unreadable'; reason: string };

export function remarkOn(job: JobLayout, id: string, state: State): Remark | undefined {
  if (state === 'rejected') return { kind: 'rejected', reason: rejectionOf(job, id) };
  if (state === 'skipped') {
    const cause = causeOf(job, id);
    return cause && { kind: 'skipped', cause: cause.id, folder: cause.folder };
  }
  if (state !== 'pending') return undefined;
  const read = readTask(job.task('pending', id));
  if (read.kind === 'damaged') return { kind: 'unreadable', reason: read.reason };
  if (read.kind === 'missing') return undefined;
  const unmet = factsOf(id, read.raw, {})
    .dependencies.map((task) => dependencyOf(job, task))
    .filter((d) => d.state !== 'succeeded');
  if (unmet.length > 0) return { kind: 'waits for', tasks: unmet };
  const at = retryAt(job, id);
  return at !== undefined && Date.parse(at) > wallClock() ? { kind: 'retry', at } : undefined;
}
