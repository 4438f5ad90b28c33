// The attempts of a task as the disk and /proc show them. Each kind carries exactly what is known of it.
import { statSync } from 'node:fs';
import { unless } from '../errors.ts';
import { isThere, namesIn } from '../host/atomic.ts';
import { wallClock } from '../host/clock.ts';
import { livenessOf } from '../host/identity.ts';
import type { JobLayout, RunLayout } from '../protocol/layout.ts';
import { parseRunName } from '../protocol/names.ts';
import type { RunnerLine } from '../protocol/pid-file.ts';
import type { AttemptResult } from '../protocol/result.ts';
import {
  type Ending,
  isOfThisRun,
  isVoid,
  readEnding,
  readPidFile,
  readResult,
  readTimes,
  type Run,
  runsOf,
} from '../store/runs.ts';
import { processesOf } from './processes.ts';

export type AttemptNow =
  | { kind: 'settled'; result: AttemptResult }
  /** Its runner lives; `here` is false where it is on another host or in another container. */
  | { kind: 'live'; runner: RunnerLine; startedAt: number; ending: Ending | undefined; here: boolean }
  /** Handed over, and not begun yet. */
  | { kind: 'starting' }
  /** Its last word is there, and no daemon has settled it yet. */
  | { kind: 'ended'; status: number; startedAt: number; finishedAt: number }
  /** Its runner died without a last word; or (`copied`) never was of this directory, which is a copy of the one that it serves. */
  | { kind: 'gone'; runner: RunnerLine; startedAt: number; copied: boolean }
  /** It never began and never will. */
  | { kind: 'void' };

export interface Attempt {
  /** From 1. */
  attempt: number;
  layout: RunLayout;
  now: AttemptNow;
}

/** All attempts that are on the disk, first one first. */
export function attemptsOf(job: JobLayout, id: string): Attempt[] {
  return runsOf(job, id).map(attemptOf);
}

/** What is known of one attempt. */
export function attemptOf({ attempt, layout }: Pick<Run, 'attempt' | 'layout'>): Attempt {
  return { attempt, layout, now: lookAt(layout) };
}

function lookAt(run: RunLayout): AttemptNow {
  const result = readResult(run);
  if (result !== undefined) return { kind: 'settled', result };
  if (isVoid(run)) return { kind: 'void' };
  const { runner, lastWord } = readPidFile(run);
  if (runner === undefined) return { kind: 'starting' };
  const { startedAt, finishedAt } = readTimes(run, wallClock());
  if (lastWord !== undefined) return { kind: 'ended', status: lastWord.status, startedAt, finishedAt };
  const copied = !isOfThisRun(run, runner);
  const liveness = livenessOf(runner);
  if (copied || liveness === 'dead') return { kind: 'gone', runner, startedAt, copied };
  return { kind: 'live', runner, startedAt, ending: readEnding(run), here: liveness === 'alive' };
}

/** Task → its highest attempt, by one reading of runs/. */
export function latestAttempts(job: JobLayout): Map<string, number> {
  const latest = new Map<string, number>();
  for (const name of namesIn(job.runs)) {
    const run = parseRunName(name);
    if (run !== undefined && run.attempt > (latest.get(run.task) ?? 0)) latest.set(run.task, run.attempt);
  }
  return latest;
}

/** The highest attempt of one task without reading runs/; 0 if there is none. `atLeast` is one known to have been. */
export function latestAttempt(job: JobLayout, id: string, atLeast = 0): number {
  let latest = atLeast;
  for (let n = latest + 1, absent = 0; absent < 16; n++) {
    if (isThere(job.run(id, n).root)) [latest, absent] = [n, 0];
    else absent += 1;
  }
  return latest;
}

/** How many processes of an attempt without a runner are left: one look through /proc. */
export function leftOf({ layout, now }: Attempt): number {
  return now.kind === 'gone' && !now.copied ? processesOf(layout.root, undefined).length : 0;
}

/** When a file came to where it lies (milliseconds since 1970): a rename leaves its mark on the inode. */
export function movedAt(path: string): number | undefined {
  return unless('ENOTDIR', () => statSync(path, { throwIfNoEntry: false }))?.ctimeMs;
}
