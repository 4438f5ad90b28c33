// `paused` and `parallel`: two files, for everything or for one job. The one says who and when; the other is a number.
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { SpooldError, unless } from '../errors.ts';
import { publish, remove, replaceWhole, syncFolder } from '../host/atomic.ts';
import { wallClock } from '../host/clock.ts';
import type { JobLayout, Layout } from '../protocol/layout.ts';
import { jobNames, readParallel } from '../store/snapshot.ts';
import { daemonOf } from '../store/daemon-record.ts';
import { textOf } from './facts.ts';
import { findJob } from './find.ts';
import { type OwnFolders, ownFolders } from './own-folders.ts';
import { recordEvents, userName } from './who.ts';

/** Who paused a place, and when; undefined where the file does not say (somebody may have used `touch`). */
export interface Pause {
  by: string | undefined;
  /** ISO 8601, UTC. */
  since: string;
}

/** The pause that holds at a place, or undefined if none does. */
export function readPause(place: Layout | JobLayout): Pause | undefined {
  const stat = unless('ENOTDIR', () => statSync(place.paused, { throwIfNoEntry: false }));
  if (stat === undefined) return undefined;
  const match = /^paused by (.+) at (\S+)$/m.exec(textOf(place.paused));
  return { by: match?.[1], since: match?.[2] ?? stat.mtime.toISOString() };
}

export interface PauseChange {
  job: string | undefined;
  changed: boolean;
  /** The pause that holds now, or that held. */
  pause: Pause | undefined;
}

/** Starts nothing new, anywhere or in one job. Unchanged if it is paused already. Errors: JOB_UNKNOWN, JOB_LEFT_ALONE, JOB_TAKEN. */
export function pause(layout: Layout, job: string | undefined): PauseChange {
  const place = placeOf(layout, job);
  const folders = ownPlace(layout, job);
  const now = new Date(wallClock()).toISOString();
  const changed = publish(place.paused, `paused by ${userName()} at ${now}\n`, { sync: true });
  if (changed) {
    syncFolder(dirname(place.paused));
    folders?.confirm();
    recordEvents(layout, [{ job, event: 'paused' }]);
  }
  return { job, changed, pause: readPause(place) };
}

/** The reverse of `pause`. */
export function resume(layout: Layout, job: string | undefined): PauseChange {
  const place = placeOf(layout, job);
  const folders = ownPlace(layout, job);
  const held = readPause(place);
  const changed = remove(place.paused);
  if (changed) {
    syncFolder(dirname(place.paused));
    folders?.confirm();
    recordEvents(layout, [{ job, event: 'resumed' }]);
  }
  return { job, changed, pause: held };
}

/** Jobs that are paused themselves. */
export function pausedJobs(layout: Layout): string[] {
  return jobNames(layout).filter((name) => readPause(layout.job(name)) !== undefined);
}

export interface Parallel {
  job: string | undefined;
  /** What the file says; `damaged`: not a whole number. */
  set: number | 'damaged' | undefined;
  /** How many tasks run at a time in all: what the file says, else what the daemon says itself, up to five seconds old. */
  inForce: number | undefined;
}

/** What is said about a place. Errors: JOB_UNKNOWN. */
export function parallelOf(layout: Layout, job: string | undefined): Parallel {
  const daemon = daemonOf(layout);
  const set = readParallel(placeOf(layout, job).parallel);
  const known = daemon.kind === 'stopped' ? undefined : daemon.record.max_parallel;
  return { job, set, inForce: job === undefined ? (typeof set === 'number' ? set : known) : undefined };
}

/** Every place where something is said: the whole first, then jobs that have a number of their own. */
export function allParallel(layout: Layout): Parallel[] {
  const jobs = jobNames(layout).map((name) => parallelOf(layout, name));
  return [parallelOf(layout, undefined), ...jobs.filter(({ set }) => set !== undefined)];
}

const MOST = 999_999;

/** Writes the number, or with undefined removes it. Errors: JOB_UNKNOWN, PARALLEL_INVALID, JOB_LEFT_ALONE, JOB_TAKEN. */
export function setParallel(layout: Layout, job: string | undefined, count: number | undefined): Parallel {
  const place = placeOf(layout, job);
  if (count !== undefined && !(Number.isInteger(count) && count >= 0 && count <= MOST)) {
    throw new SpooldError(
      'PARALLEL_INVALID',
      `${count} cannot be a number of tasks: a whole number from 0 to ${MOST} can.`,
    );
  }
  const folders = ownPlace(layout, job);
  if (count === undefined) remove(place.parallel);
  else replaceWhole(place.parallel, `${count}\n`, { sync: true });
  syncFolder(dirname(place.parallel));
  folders?.confirm();
  recordEvents(layout, [{ job, event: 'parallel', reason: count === undefined ? 'unset' : String(count) }]);
  return parallelOf(layout, job);
}

function placeOf(layout: Layout, job: string | undefined): Layout | JobLayout {
  return job === undefined ? layout : findJob(layout, job);
}

/** The folder that is written to, of a job; the directory itself was looked at when it was opened. */
function ownPlace(layout: Layout, job: string | undefined): OwnFolders | undefined {
  return job === undefined ? undefined : ownFolders(layout, job, []);
}
