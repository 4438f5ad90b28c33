// Waiting for work to end, families included. A look costs two stats a job while nothing moves; what can never end is
// told from what only takes long, and refused: no daemon, nothing able to start, or a task that waits for itself.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { unless } from '../errors.ts';
import { monotonic, wallClock } from '../host/clock.ts';
import type { JobLayout, Layout } from '../protocol/layout.ts';
import type { Address } from '../protocol/names.ts';
import { UNSUCCESSFUL } from '../protocol/states.ts';
import type { AttemptResult } from '../protocol/result.ts';
import { claimedAttempt, lastResult } from '../store/runs.ts';
import { jobNames, type JobState, jobStateOf, stateOf, summarise } from '../store/snapshot.ts';
import { idsIn } from '../store/tasks.ts';
import { surroundings } from './directory.ts';
import { factsOf, readTask, textOf } from './facts.ts';
import { findJob, findTask, type Found, heldNameOf } from './find.ts';
import { JobFolder } from './job-folder.ts';
import { pauseFor } from './logs.ts';
import { placeOf } from './place.ts';
import { refuseOwn } from './wait-itself.ts';
import { sizeOf, stampOf, type Unfinished, unfinishedIn } from './unfinished.ts';
import { type AwaitedJob, Watch } from './wait-stuck.ts';

export interface WaitItem {
  job: string;
  task?: string;
  state: Found | JobState | 'deleted';
  /** What it came to as an exit status; undefined while it is unfinished. */
  status: number | undefined;
  /** In words, where it did not succeed. */
  message?: string;
}

export interface WaitProgress {
  running: number;
  waiting: number;
  /** Addresses (or jobs) that have not ended, and how many there are in all. */
  left: number;
  of: number;
  /** Why nothing new is started, in the daemon's words. */
  holding: string | undefined;
}

export interface WaitOptions {
  /** Seconds. */
  timeout?: number | undefined;
  onProgress?: (progress: WaitProgress) => void;
  signal?: AbortSignal;
}

export type WaitOutcome = { kind: 'ended' | 'timeout' | 'interrupted'; items: WaitItem[]; status: number };

/**
 * Waits until all that is addressed has ended (no address: everything there is). The status is that of the task where
 * one task is addressed, else 0 or 1; 124 at the timeout.
 * Errors: JOB_UNKNOWN, TASK_UNKNOWN; with exit 3: WAIT_NO_DAEMON, WAIT_STUCK, WAIT_ITSELF.
 */
export async function waitFor(
  layout: Layout,
  addresses: readonly Address[],
  options: WaitOptions = {},
): Promise<WaitOutcome> {
  const inside = surroundings(layout);
  if (inside !== undefined) refuseOwn(layout, addresses, inside);
  const targets =
    addresses.length === 0
      ? jobNames(layout).map((job) => targetOf(layout, { job }))
      : addresses.map((address) => targetOf(layout, address));
  const watch = new Watch(layout);
  const started = monotonic();
  const only = addresses.length === 1 && addresses[0]?.task !== undefined;
  for (;;) {
    const before = monotonic();
    const left = targets.filter((target) => !target.hasEnded());
    const end =
      left.length === 0
        ? 'ended'
        : options.signal?.aborted
          ? 'interrupted'
          : isPast(started, options.timeout)
            ? 'timeout'
            : undefined;
    if (end !== undefined) {
      const items = targets.map((target) => target.item(!left.includes(target)));
      return { kind: end, items, status: end === 'timeout' ? 124 : statusOf(items, only) };
    }
    watch.check(left);
    options.onProgress?.(progressOf(layout, targets, left));
    const cost = monotonic() - before;
    const rest =
      options.timeout === undefined ? Number.POSITIVE_INFINITY : started + options.timeout * 1000 - monotonic();
    await pauseFor(Math.max(1, Math.min(Math.max(50, cost * 5), 2_000, rest)), options.signal);
  }
}

function isPast(started: number, timeout: number | undefined): boolean {
  return timeout !== undefined && monotonic() - started >= timeout * 1000;
}

function statusOf(items: readonly WaitItem[], only: boolean): number {
  if (only) return items[0]?.status ?? 1;
  return items.every(({ status }) => status === 0) ? 0 : 1;
}

function progressOf(layout: Layout, targets: readonly Target[], left: readonly Target[]): WaitProgress {
  const place = placeOf(layout);
  const holding = place.daemon.kind === 'stopped' ? undefined : place.daemon.record.holding;
  const jobs = [...new Map(left.map((target) => [target.name, target.unfinished()])).values()];
  const running = jobs.reduce((sum, job) => sum + job.running.size, 0);
  const waiting = jobs.reduce((sum, job) => sum + job.pending.size + job.held.size, 0);
  return { running, waiting, left: left.length, of: targets.length, holding };
}

// ── What is waited for ────────────────────────────────────────────────────────────────────────────────────────────

interface Target extends AwaitedJob {
  hasEnded(): boolean;
  item(ended: boolean): WaitItem;
}

function targetOf(layout: Layout, { job, task }: Address): Target {
  if (task === undefined) {
    findJob(layout, job);
    return new WholeJob(layout, job);
  }
  findTask(layout, job, task);
  return new OneTask(layout, job, task);
}

class WholeJob implements Target {
  readonly name: string;
  private readonly folder: JobFolder;
  private last: Unfinished;
  private vanished = 0;

  constructor(layout: Layout, name: string) {
    this.name = name;
    this.folder = new JobFolder(layout, name);
    this.last = unfinishedIn(this.job);
  }

  get job(): JobLayout {
    return this.folder.layout;
  }

  hasEnded(): boolean {
    if (!this.folder.isThere()) return true; // removed
    const before = this.last;
    if (sizeOf(this.unfinished()) > 0) this.vanished = 0;
    else if (this.vanished > 0 || !this.areAllThere(before)) return ++this.vanished > 3;
    else return true;
    return false;
  }

  /** False if one that was unfinished is in no folder now: perhaps all of the job is being removed, which a look later tells. */
  private areAllThere({ pending, running }: Unfinished): boolean {
    return [...pending, ...running].every((id) => id.startsWith('.') || stateOf(this.job, id) !== undefined);
  }

  unfinished(): Unfinished {
    this.last = fresh(this.job, this.last);
    return this.last;
  }

  item(ended: boolean): WaitItem {
    if (!this.folder.isThere())
      return { job: this.name, state: 'deleted', status: 1, message: 'its folder was removed' };
    const { counts } = summarise(this.job, wallClock());
    const state = jobStateOf(counts);
    if (!ended) return { job: this.name, state, status: undefined };
    const bad = UNSUCCESSFUL.flatMap((folder) => (counts[folder] > 0 ? [`${counts[folder]} ${folder}`] : []));
    return {
      job: this.name,
      state,
      status: state === 'failed' ? 1 : 0,
      ...(bad.length > 0 && { message: bad.join(', ') }),
    };
  }
}

class OneTask implements Target {
  readonly name: string;
  readonly job: JobLayout;
  private readonly id: string;
  /** Ancestors of unfinished tasks: they never change. */
  private readonly ancestors = new Map<string, readonly string[]>();
  private last: Unfinished | undefined;
  private missing = 0;

  constructor(layout: Layout, name: string, id: string) {
    this.name = name;
    this.job = layout.job(name);
    this.id = id;
  }

  hasEnded(): boolean {
    const state = this.state();
    if (
      state === 'pending' ||
      state === 'running' ||
      state === 'held' ||
      claimedAttempt(this.job, this.id) !== undefined
    ) {
      this.missing = 0;
      return false;
    }
    // A rename under way can hide a name from one look, not from three in a row.
    if (state === undefined) return ++this.missing >= 3;
    this.missing = 0;
    return !this.hasUnfinishedFamily();
  }

  unfinished(): Unfinished {
    this.last = fresh(this.job, this.last);
    return this.last;
  }

  item(ended: boolean): WaitItem {
    const base = { job: this.name, task: this.id };
    const state = this.state();
    if (state === undefined) return { ...base, state: 'deleted', status: 1, message: 'its file was deleted' };
    if (!ended) return { ...base, state, status: undefined };
    const result = lastResult(this.job, this.id);
    if (state !== 'succeeded') {
      const status = state === 'failed' ? failureStatus(result) : 1;
      const why = result?.to === state ? result.message : undefined; // else it was moved since that attempt
      return { ...base, state, status, message: why ?? state };
    }
    const bad = this.unsuccessfulFamily();
    return bad === undefined
      ? { ...base, state, status: 0 }
      : { ...base, state, status: 1, message: `${bad.id}, which it queued, is ${bad.state}` };
  }

  private state(): Found | undefined {
    return stateOf(this.job, this.id) ?? (heldNameOf(this.job, this.id) === undefined ? undefined : 'held');
  }

  private hasUnfinishedFamily(): boolean {
    const { pending, running, held } = this.unfinished();
    return (
      [...pending].some((id) => this.hasQueued(id, this.job.task('pending', id))) ||
      [...running].some((id) => this.hasQueued(id, this.job.task('running', id))) ||
      [...held].some(([id, name]) => this.hasQueued(id, join(this.job.folder('pending'), name)))
    );
  }

  /** True if this task, or one that it queued, has queued that one. `path`: where it was seen; it may have moved since. */
  private hasQueued(id: string, path: string): boolean {
    const ancestors = this.lineage(id, path) ?? this.lineage(id, this.job.task(stateOf(this.job, id) ?? 'pending', id));
    return ancestors?.includes(this.id) ?? false;
  }

  /** Undefined if its file is not there, or not whole. */
  private lineage(id: string, path: string): readonly string[] | undefined {
    const known = this.ancestors.get(id);
    if (known !== undefined) return known;
    const read = readTask(path);
    if (read.kind !== 'ok') return undefined;
    const { ancestors } = factsOf(id, read.raw, {});
    this.ancestors.set(id, ancestors);
    return ancestors;
  }

  private unsuccessfulFamily(): { id: string; state: string } | undefined {
    for (const state of UNSUCCESSFUL) {
      for (const id of idsIn(this.job.folder(state))) {
        const noted =
          state === 'rejected' ? /^ancestors: (.+)$/m.exec(textOf(this.job.rejection(id)))?.[1]?.split(' ') : undefined;
        if ((noted ?? this.lineage(id, this.job.task(state, id)))?.includes(this.id)) return { id, state };
      }
    }
    return undefined;
  }
}

/** Reasons for which a command was never started. */
const NOT_STARTED: ReadonlySet<string> = new Set(['cwd', 'env', 'stdin', 'start']);

/** The task's own status; 125 where we could not even start it; 1 where there is none that says failure. */
function failureStatus(result: AttemptResult | undefined): number {
  if (result === undefined || result.reason === 'lost') return 1;
  if (result.exit_code === null) return NOT_STARTED.has(result.reason) ? 125 : 1;
  return result.exit_code === 0 ? 1 : result.exit_code;
}

/** `last`, or what is there now if a folder has changed since. A change within one tick of the clock is seen a moment later. */
function fresh(job: JobLayout, last: Unfinished | undefined): Unfinished {
  const isOld = last !== undefined && last.stamp === stampOf(job) && wallClock() - lastChange(job) > 100;
  return isOld ? last : unfinishedIn(job);
}

function lastChange(job: JobLayout): number {
  const times = (['pending', 'running'] as const).map(
    (state) => unless('ENOTDIR', () => statSync(job.folder(state), { throwIfNoEntry: false }))?.mtimeMs ?? 0,
  );
  return Math.max(...times);
}
