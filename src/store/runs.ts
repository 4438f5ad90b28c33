// Attempts on the disk. Making one: mkdir runs/x.N, then the claim running/x.run by symlink (never replaced, unlinked
// last). Whatever of pid, ending and result.json is not whole counts as absent. Voiding is one link(2), which needs no
// space and excludes the runner as the runner excludes it.
import { lstatSync, readlinkSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { errnoOf, unless } from '../errors.ts';
import {
  append,
  claimLink,
  createFolder,
  isFolder,
  isThere,
  linkExclusive,
  overwrite,
  readParsed,
  remove,
  removeEmptyFolder,
  renameFolder,
} from '../host/atomic.ts';
import { uptime } from '../host/clock.ts';
import { isOfThisBoot, TICKS_PER_SECOND } from '../host/identity.ts';
import { readRegular } from '../host/regular.ts';
import { type JobLayout, RunLayout } from '../protocol/layout.ts';
import { parseRunName, runName } from '../protocol/names.ts';
import { parsePidFile, type PidFile, type RunnerLine } from '../protocol/pid-file.ts';
import { type Holdings, NO_HOLDINGS, parseHoldings } from '../protocol/resources.ts';
import { type AttemptResult, parseResult } from '../protocol/result.ts';

/** Gone, or something else in its place: a loop of links, a FIFO, a socket, a folder. */
const NO_FILE = ['ENOENT', 'ENOTDIR', 'ELOOP', 'EINVAL', 'ENXIO', 'EISDIR'];

export interface Run {
  /** From 1. */
  attempt: number;
  layout: RunLayout;
}

/** Makes the run directory of the next attempt, with its drop folder, and runs/ too if it is gone. `from` is a number that may be free. */
export function createRun(job: JobLayout, id: string, from: number): Run {
  for (let attempt = Math.max(1, from); ; attempt++) {
    const layout = job.run(id, attempt);
    if (!createIn(job.runs, layout.root)) continue;
    createFolder(layout.pending);
    return { attempt, layout };
  }
}

/** Makes a folder, and the one that it lies in where a hand has removed it. False if the name is taken. */
function createIn(parent: string, path: string): boolean {
  const isNew = unless('ENOENT', () => createFolder(path));
  if (isNew !== undefined) return isNew;
  createFolder(parent);
  return createFolder(path);
}

/** Removes a run directory that was never handed over. */
export function discardRun(run: RunLayout): void {
  for (const file of [run.script, run.stdin]) remove(file);
  removeEmptyFolder(run.pending);
  removeEmptyFolder(run.root);
}

/** Claims a task for an attempt. False if another claim stands, or the job is being archived and has no running/ any more. */
export function claimTask(job: JobLayout, id: string, attempt: number): boolean {
  return unless('ENOENT', () => claimLink(join('..', 'runs', runName(id, attempt)), job.claim(id))) ?? false;
}

/** Ends a claim. */
export function unclaimTask(job: JobLayout, id: string): void {
  remove(job.claim(id));
}

/** The attempt that a claim names, or undefined where there is no claim. */
export function claimedAttempt(job: JobLayout, id: string): number | undefined {
  const target = unless(['ENOENT', 'EINVAL', 'ENOTDIR'], () => readlinkSync(job.claim(id)));
  if (target === undefined) return undefined;
  const parsed = parseRunName(basename(target));
  return parsed?.task === id ? parsed.attempt : undefined;
}

/** An attempt that exists, or undefined. */
export function findRun(job: JobLayout, id: string, attempt: number): Run | undefined {
  const layout = job.run(id, attempt);
  return isThere(layout.root) ? { attempt, layout } : undefined;
}

/** False if line 1 of `pid` was written in another directory, of which this one is a copy. */
export function isOfThisRun(run: RunLayout, line: Pick<RunnerLine, 'inode'>): boolean {
  const inode = unless(['ENOENT', 'ENOTDIR'], () => statSync(run.root, { bigint: true }).ino);
  return inode !== undefined && String(inode) === line.inode;
}

/** What `ending` says: why the attempt is being ended, written before anything is signalled. */
export interface Ending {
  reason: keyof typeof ENDING_WORDS;
  /** In words, for the result. */
  message: string;
  /** Milliseconds since 1970. */
  at: number;
}

/** What is said where only the reason could be written. */
const ENDING_WORDS = {
  timeout: 'it ran longer than its timeout',
  cancelled: 'it was cancelled',
  deleted: 'its file was deleted',
  stopped: 'the daemon was told to end what runs',
  moved: 'its file was moved away',
};

/**
 * False if it cannot be written: what follows must not wait for that. A disk that takes no more data takes a link that
 * leads nowhere and is named after the reason: it is kept in the inode, as an empty file is.
 */
export function writeEnding(run: RunLayout, ending: Ending): boolean {
  if (!isFolder(run.root)) return false; // a link would lead elsewhere
  return (
    isTaken(() => (overwrite(run.ending, `${JSON.stringify(ending)}\n`), true)) ||
    isTaken(() => (remove(run.ending), claimLink(ending.reason, run.ending)))
  );
}

function isTaken(action: () => boolean): boolean {
  try {
    return action();
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return false;
  }
}

export function readEnding(run: RunLayout): Ending | undefined {
  const link = unless('ENOTDIR', () => lstatSync(run.ending, { throwIfNoEntry: false }));
  if (link?.isSymbolicLink()) {
    const reason = readlinkSync(run.ending) as Ending['reason'];
    return Object.hasOwn(ENDING_WORDS, reason)
      ? { reason, message: ENDING_WORDS[reason], at: link.mtimeMs }
      : undefined;
  }
  const read = readParsed(run.ending, (text) => JSON.parse(text) as Ending);
  return read.kind === 'ok' && typeof read.value?.reason === 'string' ? read.value : undefined;
}

export function readPidFile(run: RunLayout): PidFile {
  const text = unless(NO_FILE, () => readRegular(run.pid));
  return text === undefined ? {} : parsePidFile(text);
}

export function readResult(run: RunLayout): AttemptResult | undefined {
  if (!isThere(run.result)) return undefined; // the common answer, and an exception costs more than a stat
  const text = unless(NO_FILE, () => readRegular(run.result));
  return text === undefined ? undefined : parseResult(text);
}

/** A reader takes half a result for none, so that a crash here is followed by settling once more. */
export function writeResult(run: RunLayout, result: AttemptResult): void {
  overwrite(run.result, `${JSON.stringify(result)}\n`);
}

/** The boot of the host on which the attempt was to be handed over; undefined if its `run` does not say. */
export function handedOverOn(run: RunLayout): string | undefined {
  const text = unless(NO_FILE, () => readRegular(run.script));
  return /^# boot: (\S+)$/m.exec(text ?? '')?.[1];
}

/** The resources that the attempt was given, as its `run` says. */
export function holdingsOf(run: RunLayout): Holdings {
  const text = unless(NO_FILE, () => readRegular(run.script));
  const [, held] = /^(?:#.*\n)*# holds: (.+)\n/.exec(text ?? '') ?? []; // the command may have such a line, too
  return held === undefined ? NO_HOLDINGS : parseHoldings(held);
}

/** True if the attempt may never run: output.log is the very file `run`. */
export function isVoid(run: RunLayout): boolean {
  const output = unless('ENOTDIR', () => lstatSync(run.output, { bigint: true, throwIfNoEntry: false }));
  if (output === undefined || output.nlink < 2n) return false;
  const script = unless('ENOTDIR', () => lstatSync(run.script, { bigint: true, throwIfNoEntry: false }));
  return script !== undefined && script.ino === output.ino && script.dev === output.dev;
}

/** Keeps an attempt that was handed over from ever running. False if it has begun after all, or its files are gone: look again. */
export function voidRun(run: RunLayout): boolean {
  return unless(['ENOENT', 'ENOTDIR'], () => linkExclusive(run.script, run.output)) ?? false;
}

export interface RunTimes {
  /** Milliseconds since 1970. */
  startedAt: number;
  finishedAt: number;
  outputBytes: number;
}

/** When the runner began (the birth of its PID file, or what its first line says) and said its last word (the last change of it), and how much was printed. */
export function readTimes(run: RunLayout, now: number): RunTimes {
  const pid = unless('ENOTDIR', () => statSync(run.pid, { throwIfNoEntry: false }));
  const output = unless('ENOTDIR', () => lstatSync(run.output, { throwIfNoEntry: false }));
  const finishedAt = pid?.mtimeMs ?? now;
  const birth = pid?.birthtimeMs || output?.birthtimeMs || (startOf(run, now) ?? finishedAt);
  return { startedAt: Math.min(birth, finishedAt), finishedAt, outputBytes: output?.size ?? 0 };
}

/** Where the file system keeps no births: the start of the runner, if this host has not been started again since. */
function startOf(run: RunLayout, now: number): number | undefined {
  const { runner } = readPidFile(run);
  if (runner === undefined || !isOfThisBoot(runner)) return undefined;
  return now - (uptime() - runner.startTicks / TICKS_PER_SECOND) * 1000;
}

/** The results of earlier attempts, latest first, until `enough` says so; attempts without one are passed over. */
export function* resultsBefore(job: JobLayout, id: string, attempt: number): IterableIterator<AttemptResult> {
  for (let n = attempt - 1; n >= 1; n--) {
    const result = readResult(job.run(id, n));
    if (result !== undefined) yield result;
  }
}

/** Attempts of a task that are on the disk, first one first. Numbers that were given back or pruned are passed over, as far as 16 in a row. */
export function runsOf(job: JobLayout, id: string): Run[] {
  const runs: Run[] = [];
  for (let attempt = 1, absent = 0; absent < 16; attempt++) {
    const run = findRun(job, id, attempt);
    absent = run === undefined ? absent + 1 : 0;
    if (run !== undefined) runs.push(run);
  }
  return runs;
}

/** The result of the latest attempt that has one. */
export function lastResult(job: JobLayout, id: string): AttemptResult | undefined {
  for (const { layout } of runsOf(job, id).toReversed()) {
    const result = readResult(layout);
    if (result !== undefined) return result;
  }
  return undefined;
}

/** Has the tasks that an attempt queues counted by whoever adopts it. Where that cannot be written, they are queued all the same. */
export function noteQueued(run: RunLayout, ids: readonly string[]): void {
  try {
    append(run.queued, ids.map((id) => `${id}\n`).join(''));
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
  }
}

/** How many tasks an attempt has queued. */
export function countQueued(run: RunLayout): number {
  const read = readParsed(run.queued, (text) => text.split('\n').length - 1);
  return read.kind === 'ok' ? read.value : 0;
}

/** Removes of a succeeded attempt what says nothing any more: its script, its input, an empty log. */
export function thinRun(run: RunLayout, { hasStdin, hasOutput }: { hasStdin: boolean; hasOutput: boolean }): void {
  remove(run.script);
  if (hasStdin) remove(run.stdin);
  if (!hasOutput) remove(run.output);
}

/**
 * Closes an attempt's drop folder, so that nothing more can be dropped: it is removed if it is empty, else renamed
 * away. `keep`: always renamed, for it tells that the attempt did not come to its end. True if there is a closed one to be
 * taken in.
 */
export function closeDrops(run: RunLayout, keep: boolean): boolean {
  const isOccupied = keep
    ? isFolder(run.pending)
    : unless('ENOTDIR', () => removeEmptyFolder(run.pending)) === 'occupied'; // it may have been made a file
  if (isOccupied) renameFolder(run.pending, run.closed);
  return isThere(run.closed);
}
