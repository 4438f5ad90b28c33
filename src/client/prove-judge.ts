// The judge of a job that was killed about: the account that its tasks kept, and the folders. What was accepted lies in
// one folder that is final; no attempt began twice, or while an earlier one lived; whatever ran again has a result that
// says why it was to.
import { readFileSync } from 'node:fs';
import { unless } from '../errors.ts';
import { isThere, namesIn } from '../host/atomic.ts';
import type { JobLayout } from '../protocol/layout.ts';
import type { AttemptResult } from '../protocol/result.ts';
import { FINAL_STATES, type State } from '../protocol/states.ts';
import { readResult, runsOf } from '../store/runs.ts';
import { foldersHolding } from '../store/tasks.ts';
import { type Accepted, childrenOf } from './prove-work.ts';

/** What contradicts, a sentence each. */
export interface Findings {
  /** Accepted and gone, in two places, not finished, or called succeeded without having come to its end. */
  lost: string[];
  /** Two attempts of a task at one time, or one attempt twice. */
  overlapping: string[];
  /** Run again, or ended otherwise than it should have, and no result says why. */
  reruns: string[];
}

export function noFindings(): Findings {
  return { lost: [], overlapping: [], reruns: [] };
}

/** The lines of an account, by task. */
export type Account = ReadonlyMap<string, readonly string[]>;

/** What the tasks have written, `begin ATTEMPT…` and `end ATTEMPT`, in order, by `JOB/TASK`. */
export function readAccount(path: string): Account {
  const account = new Map<string, string[]>();
  for (const line of unless('ENOENT', () => readFileSync(path, 'utf8'))?.split('\n') ?? []) {
    const match = /^(begin|end) (\S+) (.+)$/.exec(line);
    if (match === null) continue;
    const [, what, task = '', rest] = match;
    const lines = account.get(task) ?? [];
    lines.push(`${what} ${rest}`);
    account.set(task, lines);
  }
  return account;
}

/** Judges a job that has come to rest; adds what contradicts to `findings` and gives how many tasks it had. */
export function judgeJob(
  name: string,
  job: JobLayout,
  accepted: readonly Accepted[],
  account: Account,
  findings: Findings,
): number {
  const all = [...accepted];
  for (const task of accepted) {
    const children = childrenOf(task);
    // Children are promised by an attempt that succeeded; one that was cut off may have dropped one, or none.
    const dropped = isThere(job.task('succeeded', task.id)) ? children : children.filter((id) => hasRun(job, id));
    all.push(...dropped.map((id): Accepted => ({ ...task, id, kind: 'child', dependencies: [] })));
  }
  for (const task of all) judgeTask(`${name}/${task.id}`, job, task, account.get(`${name}/${task.id}`) ?? [], findings);
  for (const left of namesIn(job.folder('running'))) findings.lost.push(`${name}: running/${left} is left`);
  return all.length;
}

function hasRun(job: JobLayout, id: string): boolean {
  return foldersHolding(job, id).length > 0 || runsOf(job, id).length > 0;
}

function judgeTask(name: string, job: JobLayout, task: Accepted, lines: readonly string[], findings: Findings): void {
  const folders = [...foldersHolding(job, task.id), ...(isThere(job.task('rejected', task.id)) ? ['rejected'] : [])];
  const [state] = folders as State[];
  if (folders.length !== 1 || !FINAL_STATES.includes(state as never))
    findings.lost.push(`${name} is in ${folders.length === 0 ? 'no folder' : folders.join(' and ')}`);
  const results = new Map(runsOf(job, task.id).map((run) => [run.attempt, readResult(run.layout)]));
  judgeOverlaps(name, lines, findings);
  if (task.byHand) return;
  judgeReruns(name, lines, results, findings);
  if (folders.length === 1) judgeEnd(name, job, task, state as State, lines, results, findings);
}

function judgeOverlaps(name: string, lines: readonly string[], { overlapping }: Findings): void {
  const begun: string[] = [];
  for (const [at, line] of lines.entries()) {
    const [what, attempt = '', ...rest] = line.split(' ');
    if (what === 'begin') {
      if (begun.includes(attempt)) overlapping.push(`${name}: attempt ${attempt} began twice`);
      if (rest.length > 0) overlapping.push(`${name}: attempt ${attempt} began ${rest.join(' ')}`);
      begun.push(attempt);
    } else if (begun.at(-1) !== attempt) {
      overlapping.push(`${name}: attempt ${attempt} came to its end after attempt ${begun.at(-1)} had begun`);
    } else if (lines.indexOf(line) !== at) overlapping.push(`${name}: attempt ${attempt} came to its end twice`);
  }
}

type Results = ReadonlyMap<number, AttemptResult | undefined>;

function judgeReruns(name: string, lines: readonly string[], results: Results, { reruns }: Findings): void {
  const begun = [...new Set(lines.flatMap((line) => (line.startsWith('begin ') ? Number(line.split(' ')[1]) : [])))];
  begun.sort((a, b) => a - b);
  for (const [index, attempt] of begun.entries()) {
    const result = results.get(attempt);
    const next = begun[index + 1];
    if (result === undefined) reruns.push(`${name}: attempt ${attempt} ran, and no result speaks of it`);
    else if (next !== undefined && result.to !== 'pending')
      reruns.push(
        `${name}: attempt ${next} ran although ${attempt} had sent the task to ${result.to} (${result.reason})`,
      );
  }
}

/** Where a task may end whose work is not at fault: four attempts lost in a row, or its dependency's end. */
function judgeEnd(
  name: string,
  job: JobLayout,
  { kind }: Accepted,
  state: State,
  lines: readonly string[],
  results: Results,
  { lost, reruns }: Findings,
): void {
  const known = [...results.values()].flatMap((result) => result ?? []);
  const good = [...results].filter(([, result]) => result?.outcome === 'succeeded');
  const last = known.at(-1);
  if (state === 'succeeded') {
    if (good.length !== 1) lost.push(`${name} succeeded, by ${good.length} attempts`);
    for (const [attempt] of good)
      if (!lines.includes(`end ${attempt}`))
        lost.push(`${name} succeeded, and attempt ${attempt} never came to its end`);
    if (kind === 'slow') reruns.push(`${name} succeeded, and its timeout should have ended it`);
  } else if (state === 'failed') {
    const lostInARow = known.slice(-4).every(({ reason }) => reason === 'lost') && known.length >= 4;
    const asItShould = kind === 'slow' && ['timeout', 'lost'].includes(last?.reason ?? '');
    if (!lostInARow && !asItShould) reruns.push(`${name} failed: ${last?.message ?? 'no result says why'}`);
  } else if (state === 'skipped') {
    if (!isThere(job.reason(name.slice(name.indexOf('/') + 1)))) reruns.push(`${name} was skipped, without a reason`);
  } else if (last?.outcome !== 'cancelled') reruns.push(`${name} was ${state}, and nobody asked for it`);
}
