// What the tasks of a job print, as they print it, until the job has ended. Each attempt that runs is watched in its run
// directory from its mkdir to its result.json; a look every quarter of a second finds what the watches missed. Of attempts
// that are over only the names are kept, and folders are read a tenth of the time at most, so a job of any size may be followed.
import { closeSync, constants, type FSWatcher, fstatSync, openSync, readSync, statSync, watch } from 'node:fs';
import { join } from 'node:path';
import { unless } from '../errors.ts';
import { ensureFolder, isThere, namesIn } from '../host/atomic.ts';
import { monotonic, wallClock } from '../host/clock.ts';
import { readRegular } from '../host/regular.ts';
import type { JobLayout, RunLayout } from '../protocol/layout.ts';
import { compareNatural, parseRunName, type RunName } from '../protocol/names.ts';
import { isVoid } from '../store/runs.ts';
import { sizeOf, unfinishedIn } from './unfinished.ts';

export interface FollowHandlers {
  /** Bytes as an attempt printed them. A promise: take no more until it is kept. */
  onOutput(attempt: RunName, bytes: Buffer): Promise<void> | undefined;
  /** An attempt is over, and all it printed was handed on. */
  onEnd?(attempt: RunName): void;
}

const LOOK_EVERY_MS = 250;
/** After a look into folders that took longer than this, for they may have very many names, we leave them alone for a while: */
const LONG_LOOK_MS = 5;
/** so many times as long. */
const RESTS = 9;
const CHUNK_BYTES = 64 * 1024;
/** One attempt gives way to the others after so much. */
const CHUNKS_AT_A_TIME = 16;

/**
 * Hands on what a job's tasks print; resolves once nothing of it is unfinished and all output was handed on, or `signal`
 * said to leave it.
 */
export function followJob(job: JobLayout, handlers: FollowHandlers, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const follower = new Follower(job, handlers, resolve, reject);
    follower.begin();
    signal?.addEventListener('abort', () => follower.leave());
  });
}

class Follower {
  private readonly job: JobLayout;
  private readonly handlers: FollowHandlers;
  private readonly resolve: () => void;
  private readonly reject: (error: unknown) => void;
  private readonly active = new Map<string, Tail>();
  private readonly over = new Set<string>();
  private readonly watchers: FSWatcher[] = [];
  private timer: NodeJS.Timeout | undefined;
  private runsSeen = 0n;
  private isDone = false;
  private isHeldUp = false;
  private lookIsDue = false;
  /** Until when (monotonic ms) we leave folders alone. */
  private restsUntil = 0;

  constructor(job: JobLayout, handlers: FollowHandlers, resolve: () => void, reject: (error: unknown) => void) {
    this.job = job;
    this.handlers = handlers;
    this.resolve = resolve;
    this.reject = reject;
  }

  begin(): void {
    this.guard(() => {
      // Folders that the daemon makes when it needs them: there is nothing to watch without them.
      for (const folder of [this.job.runs, this.job.folder('running')]) ensureFolder(folder);
      this.hint(this.job.runs, (name) => this.meet(name));
      this.hint(this.job.folder('running'), () => this.soon());
      this.timer = setInterval(() => this.guard(() => this.look(true)), LOOK_EVERY_MS);
      this.look(true);
    });
  }

  leave(): void {
    if (this.isDone) return;
    this.finish();
    this.resolve();
  }

  /** Watches that cannot be had are done without: the timer looks. */
  private hint(folder: string, onName: (name: string) => void): void {
    try {
      const watcher = watch(folder, { persistent: false }, (_, name) => this.guard(() => onName(name ?? '')));
      watcher.on('error', () => watcher.close());
      this.watchers.push(watcher);
    } catch {
      // No more watches (ENOSPC, EMFILE), or no folder any more.
    }
  }

  private guard(action: () => void): void {
    if (this.isDone) return;
    try {
      action();
    } catch (error) {
      this.finish();
      this.reject(error);
    }
  }

  private soon(ms = 3): void {
    if (this.lookIsDue) return;
    this.lookIsDue = true;
    setTimeout(() => {
      this.lookIsDue = false;
      this.guard(() => this.look(false));
    }, ms);
  }

  private look(byTimer: boolean): void {
    const rest = this.restsUntil - monotonic();
    if (byTimer && rest <= 0) this.meetNew(); // else the watch tells
    for (const tail of [...this.active.values()]) if (byTimer || tail.isDue) this.read(tail);
    if (this.active.size > 0 && (!byTimer || rest > 0)) return;
    if (rest > 0) return this.soon(rest);
    if (this.paced(() => sizeOf(unfinishedIn(this.job))) > 0) return;
    // Attempts that ended meanwhile have made their directories before what they belong to left pending/ and running/.
    this.meetNew(true);
    for (const tail of [...this.active.values()]) this.read(tail, true);
    if (this.active.size > 0) return;
    this.finish();
    this.resolve();
  }

  private finish(): void {
    this.isDone = true;
    clearInterval(this.timer);
    for (const watcher of this.watchers) watcher.close();
    for (const tail of this.active.values()) tail.close();
  }

  /** Meets every attempt that is not known, if runs/ has changed since: in the order in which they were made. */
  private meetNew(always = false): void {
    const stat = unless('ENOENT', () => statSync(this.job.runs, { bigint: true }));
    if (stat === undefined || (!always && stat.mtimeNs === this.runsSeen)) return;
    // A clock of the file system ticks slowly: a folder changed just now may change again unseen.
    this.runsSeen = wallClock() - Number(stat.mtimeMs) > 100 ? stat.mtimeNs : 0n;
    const unknown = this.paced(() => {
      const names = namesIn(this.job.runs).filter((name) => !this.active.has(name) && !this.over.has(name));
      const made = new Map(names.map((name) => [name, birthOf(join(this.job.runs, name))]));
      return names.sort((a, b) => Number((made.get(a) ?? 0n) - (made.get(b) ?? 0n)) || compareNatural(a, b));
    });
    for (const name of unknown) this.meet(name);
  }

  private paced<T>(look: () => T): T {
    const before = monotonic();
    const found = look();
    const now = monotonic();
    if (now - before > LONG_LOOK_MS) this.restsUntil = Math.max(this.restsUntil, now) + RESTS * (now - before);
    return found;
  }

  private meet(name: string): void {
    if (this.active.has(name) || this.over.has(name)) return;
    const run = parseRunName(name);
    if (run === undefined) return;
    const layout = this.job.run(run.task, run.attempt);
    if (!isThere(layout.root)) return;
    for (const earlier of [...this.active.values()]) this.read(earlier); // what it waited for has said all by now
    const tail = new Tail(run, layout, (bytes) => this.handOn(run, bytes));
    this.active.set(name, tail);
    tail.watch(() => this.guard(() => this.read(tail)));
    this.read(tail);
  }

  /** False: whoever takes the output cannot take more now. What was not read waits on the disk. */
  private handOn(run: RunName, bytes: Buffer): boolean {
    const taken = this.handlers.onOutput(run, bytes);
    if (taken === undefined) return true;
    this.isHeldUp = true;
    const goOn = () => {
      this.isHeldUp = false;
      this.guard(() => this.look(true));
    };
    taken.then(goOn, goOn);
    return false;
  }

  /** `isLast`: nothing of the job is unfinished, so what has not begun by now was made for an attempt that was given back. */
  private read(tail: Tail, isLast = false): void {
    if (tail.isClosed || this.isHeldUp) return;
    const state = tail.read();
    if (state === 'more') setImmediate(() => this.guard(() => this.read(tail)));
    if (state !== 'over' && state !== 'gone' && !(isLast && state === 'not begun')) return;
    tail.close();
    this.active.delete(tail.name);
    if (state !== 'gone') this.over.add(tail.name); // the number of one that is gone may be given again
    this.handlers.onEnd?.(tail.run);
    this.soon();
  }
}

/** The output of one attempt. */
class Tail {
  readonly run: RunName;
  readonly name: string;
  isClosed = false;
  isDue = false;
  private readonly layout: RunLayout;
  private readonly handOn: (bytes: Buffer) => boolean;
  private fd: number | undefined;
  private watcher: FSWatcher | undefined;

  constructor(run: RunName, layout: RunLayout, handOn: (bytes: Buffer) => boolean) {
    this.run = run;
    this.name = `${run.task}.${run.attempt}`;
    this.layout = layout;
    this.handOn = handOn;
  }

  watch(onChange: () => void): void {
    try {
      this.watcher = watch(this.layout.root, { persistent: false }, () => {
        if (this.isDue) return;
        this.isDue = true; // a burst of changes is read once
        setImmediate(onChange);
      });
      this.watcher.on('error', () => this.watcher?.close());
    } catch {
      // The timer looks.
    }
  }

  /** Hands on what is new. `over`: the attempt has its result or is void, `gone`: it was removed, and nothing is left to be read. */
  read(): 'over' | 'gone' | 'more' | 'waiting' | 'not begun' {
    this.isDue = false;
    if (this.fd === undefined && !isThere(this.layout.root)) return 'gone';
    const isOver = hasResult(this.layout) || !isThere(this.layout.root);
    this.fd ??= this.open();
    if (this.fd === undefined) return isOver ? 'over' : 'not begun';
    if (fstatSync(this.fd).nlink > 1 && isVoid(this.layout)) return 'over';
    for (let i = 0; i < CHUNKS_AT_A_TIME; i++) {
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      const length = readSync(this.fd, chunk, 0, CHUNK_BYTES, null);
      if (length === 0) return isOver ? 'over' : 'waiting';
      if (!this.handOn(chunk.subarray(0, length))) return 'waiting';
    }
    return 'more';
  }

  close(): void {
    this.isClosed = true;
    this.watcher?.close();
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }

  private open(): number | undefined {
    return unless(['ENOENT', 'ENOTDIR', 'ELOOP'], () =>
      openSync(this.layout.output, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK),
    );
  }
}

function birthOf(path: string): bigint {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.birthtimeNs ?? 0n;
}

/** A result that is incomplete counts as none. */
function hasResult(run: RunLayout): boolean {
  const text = unless(['ENOENT', 'ENOTDIR', 'EINVAL'], () => readRegular(run.result));
  return text !== undefined && text.endsWith('\n');
}
