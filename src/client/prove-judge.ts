// The judge of a job that was killed about: the account that its tasks kept, and the folders. What was accepted lies in
// one folder that is final; no attempt began twice, or while an earlier one lived, or before what it depends on had
// succeeded; whatever ran again has a result that says why it was to, and what was done to it bears that out.
import { readFileSync } from 'node:fs';
import { unless } from '../errors.ts';
import { isThere, namesIn } from '../host/atomic.ts';
import type { JobLayout } from '../protocol/layout.ts';
import type { AttemptResult } from '../protocol/result.ts';
import { FINAL_STATES, type State } from '../protocol/states.ts';
import { readResult, runsOf } from '../store/runs.ts';
import { foldersHolding } from '../store/tasks.ts';
import { type Accepted, childrenOf, FAILS_FIRST, UNTOLD } from './prove-work.ts';

/** What contradicts, a sentence each. */
export interface Findings {
  /** Accepted and gone, in two places, not finished, or called succeeded without having come to its end. */
  lost: string[];
  /** Two attempts of a task at one time, one attempt twice, or one before what it depends on had succeeded. */
  overlapping: string[];
  /** Run again, or ended otherwise than it should have, and no result says why, or what it says is not so. */
  reruns: string[];
}

export function noFindings(): Findings {
  return { lost: [], overlapping: [], reruns: [] };
}

export interface Line {
  what: 'begin' | 'end';
  attempt: number;
  /** What was said besides. */
  more: string;
  /** Its place in the whole account. */
  at: number;
}

/** What tasks have written, in order, by `JOB/TASK`. */
export type Account = ReadonlyMap<string, readonly Line[]>;

/** Reads the lines that tasks append: `begin JOB/TASK ATTEMPT…` and `end JOB/TASK ATTEMPT`. */
export function readAccount(path: string): Account {
  const account = new Map<string, Line[]>();
  for (const [at, text] of (unless('ENOENT', () => readFileSync(path, 'utf8'))?.split('\n') ?? []).entries()) {
    const match = /^(begin|end) (\S+) (\d+) ?(.*)$/.exec(text);
    if (match === null) continue;
    const [, what, task = '', attempt, more = ''] = match;
    const lines = account.get(task) ?? [];
    lines.push({ what: what as Line['what'], attempt: Number(attempt), more, at });
    account.set(task, lines);
  }
  return account;
}

/** A job that has come to rest, and what is known of it. */
export interface Case {
  name: string;
  layout: JobLayout;
  accepted: readonly Accepted[];
  account: Account;
  /** Attempts whose runner was killed, as `JOB/TASK.ATTEMPT`: these may be called lost, and no other that began. */
  cut: ReadonlySet<string>;
}

/** One task of it. */
interface Known {
  name: string;
  task: Accepted;
  folders: readonly State[];
  lines: readonly Line[];
  results: ReadonlyMap<number, AttemptResult | undefined>;
  /** Place in the account at which an attempt that succeeded came to its end; undefined if none did. */
  doneAt: number | undefined;
}

/** Judges a job; adds what contradicts to `findings` and gives how many tasks it had. */
export function judgeJob(job: Case, findings: Findings): number {
  const { name, layout } = job;
  const all = new Map<string, Known>();
  for (const task of job.accepted) {
    all.set(task.id, lookAt(job, task));
    const children = childrenOf(task);
    // Children are promised by an attempt that succeeded; one that was cut off may have dropped one, or none.
    const dropped = isThere(layout.task('succeeded', task.id)) ? children : children.filter((id) => hasRun(layout, id));
    for (const id of dropped) all.set(id, lookAt(job, { ...task, id, kind: 'child', dependencies: [] }));
  }
  for (const known of all.values()) judgeTask(known, job, all, findings);
  for (const left of namesIn(layout.folder('running'))) findings.lost.push(`${name}: running/${left} is left`);
  for (const left of namesIn(layout.folder('rejected')))
    if (left.endsWith('.json') && !all.has(left.slice(0, -'.json'.length)))
      findings.lost.push(`${name}: rejected/${left} is nothing that was queued`);
  return all.size;
}

/** Which attempts could not say what they did, as `JOB/TASK.ATTEMPT`. */
export function untold({ name, layout, accepted }: Omit<Case, 'account'>): string[] {
  const ids = accepted.flatMap((task) => [task.id, ...childrenOf(task)]);
  const runs = ids.flatMap((id) => runsOf(layout, id).map((run) => [`${name}/${id}.${run.attempt}`, run] as const));
  return runs.flatMap(([attempt, run]) => (readResult(run.layout)?.exit_code === UNTOLD ? [attempt] : []));
}

function hasRun(job: JobLayout, id: string): boolean {
  return foldersHolding(job, id).length > 0 || runsOf(job, id).length > 0;
}

function lookAt({ name: jobName, layout, account }: Case, task: Accepted): Known {
  const name = `${jobName}/${task.id}`;
  const lines = account.get(name) ?? [];
  const results = new Map(runsOf(layout, task.id).map((run) => [run.attempt, readResult(run.layout)]));
  const end = lines.find(({ what, attempt }) => what === 'end' && results.get(attempt)?.outcome === 'succeeded');
  const isRejected = isThere(layout.task('rejected', task.id));
  const folders = [...foldersHolding(layout, task.id), ...(isRejected ? (['rejected'] as const) : [])];
  return { name, task, folders, lines, results, doneAt: end?.at };
}

function judgeTask(known: Known, job: Case, all: ReadonlyMap<string, Known>, findings: Findings): void {
  const { name, task, folders } = known;
  const [state] = folders;
  if (folders.length !== 1 || !FINAL_STATES.includes(state as never))
    findings.lost.push(`${name} is in ${folders.length === 0 ? 'no folder' : folders.join(' and ')}`);
  judgeOverlaps(known, findings);
  if (task.byHand) return;
  judgeOrder(known, all, findings);
  judgeReruns(known, job, findings);
  if (folders.length === 1) judgeEnd(known, job, all, findings);
}

function judgeOverlaps({ name, lines }: Known, { overlapping }: Findings): void {
  const begun: number[] = [];
  const ended = new Set<number>();
  for (const { what, attempt, more } of lines) {
    if (what === 'begin') {
      if (begun.includes(attempt)) overlapping.push(`${name}: attempt ${attempt} began twice`);
      if (more !== '') overlapping.push(`${name}: attempt ${attempt} began ${more}`);
      begun.push(attempt);
    } else if (begun.at(-1) !== attempt) {
      overlapping.push(`${name}: attempt ${attempt} came to its end after attempt ${begun.at(-1)} had begun`);
    } else if (ended.has(attempt)) overlapping.push(`${name}: attempt ${attempt} came to its end twice`);
    if (what === 'end') ended.add(attempt);
  }
}

/** What a task waits for: its dependencies and all that these have queued. Undefined where a hand had a part in any of it. */
function awaited({ task }: Known, all: ReadonlyMap<string, Known>): Known[] | undefined {
  const families = task.dependencies.flatMap((id) => all.get(id) ?? []);
  const members = families.flatMap((known) => [
    known,
    ...childrenOf(known.task).flatMap((child) => all.get(child) ?? []),
  ]);
  return members.some((member) => member.task.byHand) ? undefined : members;
}

function judgeOrder(known: Known, all: ReadonlyMap<string, Known>, { overlapping }: Findings): void {
  const [first] = known.lines;
  if (first === undefined) return;
  for (const { name, doneAt } of awaited(known, all) ?? [])
    if (doneAt === undefined || doneAt > first.at) overlapping.push(`${known.name} began before ${name} had succeeded`);
}

function judgeReruns({ name, task, lines, results }: Known, { cut }: Case, { reruns }: Findings): void {
  const begun = [...new Set(lines.flatMap(({ what, attempt }) => (what === 'begin' ? attempt : [])))];
  begun.sort((a, b) => a - b);
  const isFirstFailure = (result: AttemptResult): boolean => task.kind === 'flaky' && result.exit_code === FAILS_FIRST;
  for (const [index, attempt] of begun.entries()) {
    const result = results.get(attempt);
    const next = begun[index + 1];
    if (result === undefined) reruns.push(`${name}: attempt ${attempt} ran, and no result speaks of it`);
    else if (next !== undefined && result.to !== 'pending')
      reruns.push(
        `${name}: attempt ${next} ran although ${attempt} had sent the task to ${result.to} (${result.reason})`,
      );
    else if (result.reason === 'lost' ? !cut.has(`${name}.${attempt}`) : next !== undefined && !isFirstFailure(result))
      reruns.push(`${name}: attempt ${attempt} has a cause that nobody gave it (${result.reason}): ${result.message}`);
  }
}

/** Where a task may end whose work is not at fault: four attempts lost in a row, or its dependency's end. */
function judgeEnd(known: Known, job: Case, all: ReadonlyMap<string, Known>, { lost, reruns }: Findings): void {
  const { name, task, lines, results } = known;
  const [state] = known.folders;
  const ends = [...results.values()].flatMap((result) => result ?? []);
  const good = [...results].flatMap(([attempt, result]) => (result?.outcome === 'succeeded' ? attempt : []));
  const last = ends.at(-1);
  if (state === 'succeeded') {
    if (good.length !== 1) lost.push(`${name} succeeded, by ${good.length} attempts`);
    for (const attempt of good)
      if (!lines.some((line) => line.what === 'end' && line.attempt === attempt))
        lost.push(`${name} succeeded, and attempt ${attempt} never came to its end`);
    if (task.kind === 'slow') reruns.push(`${name} succeeded, and its timeout should have ended it`);
  } else if (state === 'failed') {
    const lostInARow = ends.slice(-4).every(({ reason }) => reason === 'lost') && ends.length >= 4;
    const asItShould = task.kind === 'slow' && last?.reason === 'timeout';
    if (!lostInARow && !asItShould) reruns.push(`${name} failed: ${last?.message ?? 'no result says why'}`);
  } else if (state === 'skipped') {
    const members = awaited(known, all);
    const hasCause = members === undefined || members.some(({ folders }) => !folders.includes('succeeded'));
    if (!hasCause) reruns.push(`${name} was skipped, and all that it waits for has succeeded`);
    if (!isThere(job.layout.reason(task.id))) reruns.push(`${name} was skipped, without a reason`);
  } else if (last?.outcome !== 'cancelled') reruns.push(`${name} was ${state}, and nobody asked for it`);
}
