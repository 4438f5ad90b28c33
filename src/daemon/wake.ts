// What ends the daemon's wait: timers, and hints from the file system. A hint only shortens the wait: all that it would
// have said is found by the next look. One plain inotify watch per folder: chokidar would watch every file in it, and reads
// a folder at most once a second, so a new job would be seen that late.
import { type FSWatcher, statSync, watch } from 'node:fs';
import { basename } from 'node:path';
import { errnoOf, unless } from '../errors.ts';
import { monotonic } from '../host/clock.ts';
import { taskIdOf } from '../protocol/names.ts';
import type { State } from '../protocol/states.ts';
import { type Attempt, type Job, WATCHED } from './job.ts';
import type { Waker, World } from './world.ts';

interface Watch {
  watcher: FSWatcher;
  inode: bigint;
}

/** A loop that was blocked for longer than this may have lost hints: the kernel's queue overflows without a word. */
const LAG_MS = 200;
/** With 1,000 jobs at rest, the stats of all their folders are most of what a full look costs: every twelfth makes them all. */
const THOROUGH_EVERY = 12;
/** How long hints that are most likely echoes are gathered. */
const SOON_MS = 20;

export class Wake implements Waker {
  private readonly world: World;
  private readonly watches = new Map<Job, Map<string, Watch>>();
  private readonly attempts = new Map<Attempt, FSWatcher[]>();
  private top: FSWatcher[] = [];
  private wakeUp: (() => void) | undefined;
  private isAwake = false;
  private soonTimer: NodeJS.Timeout | undefined;
  /** Monotonic ms of the next full look. */
  private nextPoll = 0;
  private polls = 0;
  /** The last full look relies on no watch. */
  private isThorough = true;
  /** The folder of jobs, or the settings at the top, may have changed. */
  topChanged = true;

  constructor(world: World) {
    this.world = world;
  }

  /** Ends the wait. */
  now = (): void => {
    this.isAwake = true;
    this.wakeUp?.();
  };

  /** Ends the wait in a moment, for all that comes until then. */
  private soon(): void {
    this.soonTimer ??= setTimeout(() => {
      this.soonTimer = undefined;
      this.now();
    }, SOON_MS);
  }

  /** Has the next tick look at everything. */
  pollNow(): void {
    this.nextPoll = 0;
    this.now();
  }

  /** True if a full look is due; the next one is then due a poll interval later. */
  takePoll(): boolean {
    if (monotonic() < this.nextPoll) return false;
    this.polls += 1;
    this.isThorough = this.nextPoll === 0 || this.polls % THOROUGH_EVERY === 0;
    this.nextPoll = monotonic() + this.world.config.pollInterval * 1000;
    return true;
  }

  /** Waits for a hint, but not past `until` (monotonic ms) or the next full look. */
  async sleep(until: number): Promise<void> {
    const due = Math.max(monotonic(), Math.min(until, this.nextPoll)); // what was due before is no lag
    if (!this.isAwake) {
      const wait = Math.max(0, due - monotonic());
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, wait);
        this.wakeUp = () => {
          clearTimeout(timer);
          setImmediate(resolve); // hints that are ready now come along
        };
      });
      if (monotonic() - due > LAG_MS) this.nextPoll = 0;
    } else {
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.wakeUp = undefined;
    this.isAwake = false;
  }

  /** Watches the folder of jobs, and the top for `paused` and `parallel`. */
  watchTop(): void {
    const { jobs, root, paused, parallel } = this.world.layout;
    const names = [basename(paused), basename(parallel)];
    const changed = (): void => {
      this.topChanged = true;
      this.now();
    };
    const watchers = [
      this.open(jobs, changed),
      this.open(root, (name) => {
        if (name === null || names.includes(name)) changed(); // our own log lines change that folder all the time
      }),
    ];
    this.top = watchers.filter((watcher) => watcher !== undefined);
    this.topChanged = true; // whatever was made before the watch stood
  }

  /** Arms what is not watched yet of a job, and what was made again since: true if there was any of that. */
  watchJob(job: Job): boolean {
    const watches = this.watches.get(job) ?? new Map<string, Watch>();
    this.watches.set(job, watches);
    let isNew = this.arm(watches, job.layout.root, (name) => this.jobChanged(job, name));
    for (const state of WATCHED)
      isNew = this.arm(watches, job.layout.folder(state), (name) => this.folderChanged(job, state, name)) || isNew;
    return isNew;
  }

  /** Each of its folders has a watch. */
  isWatched(job: Job): boolean {
    return this.watches.get(job)?.size === WATCHED.length + 1;
  }

  relyOnWatches(job: Job): boolean {
    return !this.isThorough && this.isWatched(job);
  }

  forgetJob(job: Job): void {
    for (const { watcher } of this.watches.get(job)?.values() ?? []) watcher.close();
    this.watches.delete(job);
  }

  /** Watches an attempt's drop folder; one that another daemon started also by its PID file, where the end is written. */
  watchAttempt(attempt: Attempt): void {
    if (this.attempts.has(attempt)) return;
    const { pending, pid } = attempt.run.layout;
    const paths = attempt.handedAt === undefined ? [pending, pid] : [pending];
    const watchers = paths.flatMap((path) => {
      const watcher = this.open(path, () => {
        this.world.looks.add(attempt);
        this.now();
      });
      return watcher === undefined ? [] : [watcher];
    });
    this.attempts.set(attempt, watchers);
  }

  /** Closes the watches of attempts that have ended. */
  forgetEnded(): void {
    for (const [attempt, watchers] of this.attempts) {
      if (attempt.job.attempts.get(attempt.id) === attempt) continue;
      for (const watcher of watchers) watcher.close();
      this.attempts.delete(attempt);
    }
  }

  close(): void {
    for (const job of this.watches.keys()) this.forgetJob(job);
    for (const watchers of this.attempts.values()) for (const watcher of watchers) watcher.close();
    clearTimeout(this.soonTimer);
    for (const watcher of this.top) watcher.close();
  }

  private arm(watches: Map<string, Watch>, path: string, onChange: (name: string | null) => void): boolean {
    const inode = unless('ENOTDIR', () => statSync(path, { bigint: true, throwIfNoEntry: false }))?.ino;
    const before = watches.get(path);
    if (before !== undefined && before.inode === inode) return false;
    before?.watcher.close();
    watches.delete(path);
    if (inode === undefined) return false;
    const watcher = this.open(path, onChange);
    if (watcher !== undefined) watches.set(path, { watcher, inode });
    return watcher !== undefined;
  }

  private open(path: string, onChange: (name: string | null) => void): FSWatcher | undefined {
    try {
      const watcher = watch(path, { persistent: false }, (_, name) => onChange(name));
      watcher.on('error', (error) => this.complain(error));
      return watcher;
    } catch (error) {
      this.complain(error);
      return undefined;
    }
  }

  private jobChanged(job: Job, name: string | null): void {
    if (name === 'state.json' || name?.startsWith('.')) return;
    job.settingsDue = true;
    job.stir();
    this.now();
  }

  private folderChanged(job: Job, state: State, name: string | null): void {
    if (name === null) job.soil(state);
    else if (job.isEcho(state, name)) return;
    else if (name === state) {
      job.touched ||= state === 'pending'; // `touch pending`: edits in place are to be read
      job.soil(state);
    } else if (name.startsWith('.') && !name.startsWith('.bundle-')) {
      // A client that links a file into place removes its dot name next; seen between the two, it had a second name.
      if (state !== 'pending' || job.unfinished.size === 0) return;
      for (const id of job.unfinished.keys()) job.hint(state, `${id}.json`);
      this.now();
      return;
    } else job.hint(state, name);
    // What starts new work is urgent; most of the rest are echoes of our own moves, and are looked at together.
    if (state === 'pending' && !job.attempts.has(taskIdOf(name ?? '') ?? '')) this.now();
    else this.soon();
  }

  /** No more watches to be had: the look at every poll does it alone. */
  private complain(error: unknown): void {
    if (errnoOf(error) === 'ENOENT') return;
    this.world.log.warn('a folder cannot be watched; changes are seen at every poll_interval only', {
      error: (error as Error).message,
    });
  }
}
