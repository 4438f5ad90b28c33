// What tasks printed. Bytes are passed on as they came; the end of a log is found from its end, so a large one costs no
// more than what is shown. Following is a look ten times a second at what grew: a log is appended to, never rewritten.
import { closeSync, fstatSync, readSync } from 'node:fs';
import { SpooldError, unless } from '../errors.ts';
import { isThere } from '../host/atomic.ts';
import { monotonic } from '../host/clock.ts';
import { openRegular } from '../host/regular.ts';
import type { JobLayout, Layout, RunLayout } from '../protocol/layout.ts';
import { compareNatural } from '../protocol/names.ts';
import { claimedAttempt, isVoid } from '../store/runs.ts';
import { stateOf } from '../store/snapshot.ts';
import { type Attempt, attemptOf, attemptsOf, latestAttempt, latestAttempts } from './attempts.ts';
import { findJob, findTask, heldNameOf } from './find.ts';
import { JobFolder } from './job-folder.ts';
import { sizeOf, unfinishedIn } from './unfinished.ts';

const CHUNK = 64 * 1024;

/** Where bytes go; resolves when it takes more. */
export type Sink = (bytes: Uint8Array) => Promise<void> | void;

/** Undefined where there is none, or something else in its place. */
function openLog({ output }: RunLayout): number | undefined {
  return unless(['ENOENT', 'ENOTDIR', 'EINVAL', 'ELOOP', 'ENXIO'], () => openRegular(output));
}

/** Hands on the bytes of a log from `from` to its present end; gives the offset after them. No file: nothing. */
async function copyLog(run: RunLayout, from: number, sink: Sink): Promise<number> {
  if (isVoid(run)) return from; // its name is the script's second one
  const fd = openLog(run);
  if (fd === undefined) return from;
  try {
    let at = from;
    for (;;) {
      const bytes = Buffer.allocUnsafe(CHUNK);
      const length = readSync(fd, bytes, 0, CHUNK, at);
      if (length === 0) return at;
      await sink(bytes.subarray(0, length));
      at += length;
    }
  } finally {
    closeSync(fd);
  }
}

/** The offset at which the last `lines` lines of a log begin. */
function startOfLastLines(run: RunLayout, lines: number): number {
  const fd = openLog(run);
  if (fd === undefined) return 0;
  try {
    const { size } = fstatSync(fd);
    if (lines === 0) return size;
    let left = lines;
    const bytes = Buffer.allocUnsafe(CHUNK);
    for (let end = size; end > 0; ) {
      const start = Math.max(0, end - CHUNK);
      readSync(fd, bytes, 0, end - start, start);
      for (let i = end - start - 1; i >= 0; i--) {
        // The newline that ends the last line begins no other.
        if (bytes[i] === 0x0a && start + i !== size - 1 && --left === 0) return start + i + 1;
      }
      end = start;
    }
    return 0;
  } finally {
    closeSync(fd);
  }
}

const LONGEST_SHOWN = 16 * 1024;

/** The last lines of an attempt's output as text, at most the last 16 KB of them. */
export function lastLinesOf({ layout }: Pick<Log, 'layout'>, lines: number): string[] {
  if (lines === 0 || isVoid(layout)) return [];
  const fd = openLog(layout);
  if (fd === undefined) return [];
  try {
    const { size } = fstatSync(fd);
    const bytes = Buffer.alloc(Math.min(size, LONGEST_SHOWN));
    const length = readSync(fd, bytes, 0, bytes.length, size - bytes.length);
    const text = bytes.toString('utf8', 0, length).replace(/\n$/, '');
    return text === '' ? [] : text.split('\n').slice(-lines);
  } finally {
    closeSync(fd);
  }
}

export interface LogOptions {
  /** Only the last so many lines of each log. */
  lines: number | undefined;
  /** Which attempt; undefined: the latest. */
  attempt: number | undefined;
}

/** The attempt whose log is meant; undefined if there was none yet. Errors: JOB_UNKNOWN, TASK_UNKNOWN, ATTEMPT_UNKNOWN. */
export function attemptToShow(
  layout: Layout,
  job: string,
  id: string,
  wanted: number | undefined,
): Attempt | undefined {
  const found = findTask(layout, job, id);
  const attempts = attemptsOf(found.layout, id).filter(({ now }) => now.kind !== 'void');
  if (wanted === undefined) return attempts.at(-1);
  const attempt = attempts.find((one) => one.attempt === wanted);
  if (attempt !== undefined) return attempt;
  const there = attempts.map((one) => one.attempt).join(', ');
  throw new SpooldError('ATTEMPT_UNKNOWN', `${job}/${id} has no attempt ${wanted}.`, {
    path: found.layout.root,
    hint: there === '' ? 'It has not been started yet.' : `There is: ${there}.`,
  });
}

/** An attempt, as far as its log goes. */
export type Log = Pick<Attempt, 'attempt' | 'layout'>;

/** What one attempt printed so far. */
export function showLog(attempt: Log, lines: number | undefined, sink: Sink): Promise<number> {
  return copyLog(attempt.layout, lines === undefined ? 0 : startOfLastLines(attempt.layout, lines), sink);
}

/** What all tasks of a job printed in their latest attempts, by name, each line behind `task | `. */
export async function showJobLogs(layout: Layout, name: string, lines: number | undefined, sink: Sink): Promise<void> {
  for (const { id, attempt } of latestOf(findJob(layout, name))) {
    const prefix = new LinePrefix(id, sink);
    await showLog(attempt, lines, prefix.add);
    await prefix.end();
  }
}

function latestOf(job: JobLayout): { id: string; attempt: Log }[] {
  return [...latestAttempts(job)]
    .sort(([a], [b]) => compareNatural(a, b))
    .map(([id, attempt]) => ({ id, attempt: { attempt, layout: job.run(id, attempt) } }));
}

/** Hands on whole lines, each behind `task | `; a line without an end is kept until it has one, or grows over 1 MB. */
class LinePrefix {
  private readonly prefix: Buffer;
  private readonly sink: Sink;
  private kept: Buffer[] = [];
  private size = 0;

  constructor(id: string, sink: Sink) {
    this.prefix = Buffer.from(`${id} | `);
    this.sink = sink;
  }

  readonly add = async (bytes: Uint8Array): Promise<void> => {
    let rest = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const out: Buffer[] = [];
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
      out.push(this.prefix, ...this.kept, rest.subarray(0, end + 1));
      this.kept = [];
      this.size = 0;
      rest = rest.subarray(end + 1);
    }
    if (rest.length > 0) {
      this.kept.push(Buffer.from(rest));
      this.size += rest.length;
    }
    if (out.length > 0) await this.sink(Buffer.concat(out));
    if (this.size > 1e6) await this.end();
  };

  /** Hands on what is left, ended by a newline of ours. */
  async end(): Promise<void> {
    if (this.size === 0) return;
    const line = Buffer.concat([this.prefix, ...this.kept, Buffer.from('\n')]);
    this.kept = [];
    this.size = 0;
    await this.sink(line);
  }
}

export interface FollowOptions extends LogOptions {
  sink: Sink;
  /** Called when the next attempt's log begins, or while there is none yet (`attempt` undefined). */
  onAttempt?: (attempt: number | undefined) => void;
  signal?: AbortSignal;
}

const LOOK_EVERY_MS = 100;

/** Follows a task's output, over to the next attempt of a retry, until the task has ended (with --attempt: until that attempt has). */
export async function followTask(layout: Layout, job: string, id: string, options: FollowOptions): Promise<void> {
  const folder = new JobFolder(layout, job);
  const first = attemptToShow(layout, job, id, options.attempt);
  const follower = new TaskFollower(folder, id, options);
  if (first !== undefined) await follower.begin(first, options.lines);
  else options.onAttempt?.(undefined);
  while (options.signal?.aborted !== true && folder.isThere()) {
    const ended =
      options.attempt === undefined ? hasEnded(folder.layout, id) : isOver(folder.layout, id, options.attempt);
    await follower.look();
    if (ended) return;
    await pauseFor(LOOK_EVERY_MS, options.signal);
  }
}

/** True if it lies in a final folder and no attempt of it is left, or nowhere any more. */
function hasEnded(job: JobLayout, id: string): boolean {
  const state = stateOf(job, id);
  if (state === 'pending' || state === 'running') return false;
  if (state === undefined && heldNameOf(job, id) !== undefined) return false;
  return claimedAttempt(job, id) === undefined;
}

function isOver(job: JobLayout, id: string, attempt: number): boolean {
  const run = job.run(id, attempt);
  const { now } = attemptOf({ attempt, layout: run });
  return !isThere(run.root) || (now.kind !== 'live' && now.kind !== 'starting');
}

/** One task's log, handed on as it grows. */
class TaskFollower {
  /** The latest attempt that there was at the last look. */
  latest: number;
  private readonly folder: JobFolder;
  private readonly id: string;
  private readonly options: FollowOptions;
  /** The attempt before the first one that is shown. */
  private readonly after: number;
  private current: { attempt: number; at: number } | undefined;

  constructor(folder: JobFolder, id: string, options: FollowOptions, after = 0) {
    this.folder = folder;
    this.id = id;
    this.options = options;
    this.after = after;
    this.latest = after;
  }

  async begin({ attempt, layout }: Log, lines: number | undefined): Promise<void> {
    this.current = { attempt, at: lines === undefined ? 0 : startOfLastLines(layout, lines) };
    await this.look();
  }

  async look(): Promise<void> {
    if (this.current !== undefined) await this.copy(this.current);
    if (this.options.attempt !== undefined) return;
    const before = this.current?.attempt ?? this.after;
    this.latest = latestAttempt(this.folder.layout, this.id, before);
    if (this.latest === before) return;
    if (this.current !== undefined) await this.copy(this.current); // what it printed at its very end
    for (let attempt = before + 1; attempt <= this.latest; attempt++) {
      const layout = this.folder.layout.run(this.id, attempt);
      if (!isThere(layout.output) || isVoid(layout)) continue;
      this.current = { attempt, at: 0 };
      this.options.onAttempt?.(attempt);
      await this.copy(this.current);
    }
  }

  private async copy(current: { attempt: number; at: number }): Promise<void> {
    current.at = await copyLog(this.folder.layout.run(this.id, current.attempt), current.at, this.options.sink);
  }
}

/** Follows all tasks of a job, those that start later too, until the job has ended. */
export async function followJob(
  layout: Layout,
  name: string,
  options: Omit<FollowOptions, 'attempt' | 'onAttempt'>,
): Promise<void> {
  findJob(layout, name);
  const folder = new JobFolder(layout, name);
  const live = new Map<string, { follower: TaskFollower; prefix: LinePrefix }>();
  const shown = new Map<string, number>();
  for (let first = true; options.signal?.aborted !== true && folder.isThere(); first = false) {
    const began = monotonic();
    const job = folder.layout;
    const ended = sizeOf(unfinishedIn(job)) === 0;
    const latest = latestOf(job);
    // Those that are shown already go first: what depended on them comes after them.
    for (const [id, { follower, prefix }] of live) {
      const over = ended || hasEnded(job, id);
      await follower.look();
      if (!over) continue;
      await prefix.end();
      live.delete(id);
      shown.set(id, follower.latest);
    }
    for (const { id, attempt } of latest) {
      if (live.has(id) || (shown.get(id) ?? 0) >= attempt.attempt) continue;
      const over = ended || hasEnded(job, id);
      const prefix = new LinePrefix(id, options.sink);
      const all = { lines: undefined, attempt: undefined, sink: prefix.add };
      const follower = new TaskFollower(folder, id, all, shown.get(id));
      if (first) await follower.begin(attempt, options.lines);
      else await follower.look(); // it may have been tried more than once since the last one
      if (over) await prefix.end();
      else live.set(id, { follower, prefix });
      shown.set(id, follower.latest);
    }
    if (ended) return;
    // Where runs/ is large, a look costs more and is taken less often.
    await pauseFor(Math.max(LOOK_EVERY_MS, (monotonic() - began) * 5), options.signal);
  }
  for (const { prefix } of live.values()) await prefix.end(); // the job was removed
}

/** Resolves after so many milliseconds, or at once when `signal` is aborted. */
export function pauseFor(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    }
    if (signal?.aborted) done();
    else signal?.addEventListener('abort', done);
  });
}
