// Why a task that runs, or has ended, is where it is: from its attempts, from what the daemon wrote beside it, and, for
// who it was, from the events.
import { FOR_EACH_KEY } from '../protocol/names.ts';
import type { State } from '../protocol/states.ts';
import { claimedAttempt, readEnding } from '../store/runs.ts';
import { type Attempt, attemptsOf } from './attempts.ts';
import type { Cause, OnLost } from './causes.ts';
import { causeOf, factsOf, jobDefaults, readTask, rejectionOf, textOf } from './facts.ts';
import { eventsOf } from './history.ts';
import type { Inquiry } from './inquiry.ts';

/** What a running task does now. */
export function runningCauses(inquiry: Inquiry, id: string): Cause[] {
  const { job } = inquiry;
  const latest = attemptsOf(job, id).at(-1);
  if (latest === undefined) return [{ cause: 'being_started' }];
  const { attempt, now } = latest;
  switch (now.kind) {
    case 'live': {
      const since = new Date(now.startedAt).toISOString();
      const host = now.here ? null : now.runner.host;
      const running: Cause = { cause: 'running', attempt, since, processes: null, host };
      if (now.ending === undefined) return [running];
      return [{ cause: 'being_ended', attempt, message: now.ending.message }, running];
    }
    case 'ended':
    case 'gone': {
      const status = now.kind === 'ended' ? now.status : null;
      const copied = now.kind === 'gone' && now.copied;
      return [{ cause: 'not_noted', attempt, status, left: null, copied, on_lost: onLost(inquiry, id) }];
    }
    default:
      return [{ cause: 'being_started' }];
  }
}

function onLost({ job }: Inquiry, id: string): OnLost {
  const read = readTask(job.task('running', id));
  const said = { ...jobDefaults(job), ...(read.kind === 'ok' ? read.raw : {}) }.on_lost;
  return said === 'fail' ? 'fail' : 'retry';
}

/** How a task came to the folder it lies in, none of those in which it is unfinished. */
export function endedCauses(inquiry: Inquiry, id: string, state: Ended): Cause[] {
  const all = verdictOf(inquiry, id, state);
  const attempt = claimedAttempt(inquiry.job, id);
  if (attempt === undefined) return all;
  const message = readEnding(inquiry.job.run(id, attempt))?.message ?? '';
  return [...all, { cause: 'being_ended', attempt, message }];
}

/** Characters of a rejection that are told. */
const MOST_TEXT = 4_000;

export type Ended = Exclude<State, 'pending' | 'running'>;

function verdictOf(inquiry: Inquiry, id: string, state: Ended): Cause[] {
  const { job } = inquiry;
  if (state === 'rejected') {
    const reason = rejectionOf(job, id);
    if (reason === '') return [byHand(inquiry, id, state)];
    const path = job.rejection(id);
    return [{ cause: 'rejected', reason, text: textOf(path).trim().slice(0, MOST_TEXT), path }];
  }
  if (state === 'skipped') {
    const cause = causeOf(job, id);
    if (cause === undefined) return [byHand(inquiry, id, state)];
    const { runIf } = factsHere(inquiry, id, state);
    return [{ cause: 'skipped', folder: cause.folder, run_if: runIf, why: inquiry.begin(cause.id) }];
  }
  if (state === 'cancelled') {
    const cause = causeOf(job, id, state);
    if (cause !== undefined) return [{ cause: 'stopped', folder: cause.folder, why: inquiry.begin(cause.id) }];
  }
  const latest = attemptsOf(job, id).findLast(({ now }) => now.kind !== 'void');
  if (state === 'cancelled') return [cancelledCause(inquiry, id, latest)];
  const result = latest?.now.kind === 'settled' ? latest.now.result : undefined;
  if (latest === undefined && state === 'succeeded') {
    const read = readTask(job.task(state, id));
    const tasks = read.kind === 'ok' ? read.raw[FOR_EACH_KEY] : undefined;
    if (typeof tasks === 'number') return [{ cause: 'for_each', tasks }];
  }
  if (latest === undefined || result?.to !== state) return [byHand(inquiry, id, state)];
  const { attempt } = latest;
  if (state === 'succeeded') return [{ cause: 'succeeded', attempt, seconds: result.duration_s }];
  const { reason, message, exit_code, signal } = result;
  return [{ cause: 'failed', attempt, reason, message, exit_code, signal }];
}

/** What the task's file in this folder asks of its dependencies. */
function factsHere({ job }: Inquiry, id: string, state: State) {
  const read = readTask(job.task(state, id));
  return factsOf(id, read.kind === 'ok' ? read.raw : {}, jobDefaults(job));
}

function cancelledCause(inquiry: Inquiry, id: string, latest: Attempt | undefined): Cause {
  const { by, reason } = moverOf(inquiry, id, 'cancelled');
  const result = latest?.now.kind === 'settled' && latest.now.result.to === 'cancelled' ? latest.now.result : undefined;
  const message = reason ?? result?.message ?? null;
  if (latest === undefined) return { cause: 'cancelled', attempt: null, after: null, by, message };
  // One that is not settled is being ended by it.
  const wasEnded = latest.now.kind === 'settled' && result === undefined;
  const [attempt, after] = wasEnded ? [null, latest.attempt] : [latest.attempt, null];
  return { cause: 'cancelled', attempt, after, by, message };
}

function byHand(inquiry: Inquiry, id: string, state: State): Cause {
  const { by, at } = moverOf(inquiry, id, state);
  return { cause: 'moved_by_hand', by, at };
}

/** How far back in what is said of one task its last move is looked for. */
const MOST_EVENTS = 50;

/** Who moved a task to the folder it lies in, and why, as far as the events have it. A name says more than `person`. */
function moverOf({ layout, name }: Inquiry, id: string, state: State) {
  let seen = 0;
  let found: { by: string | null; at: string | null; reason: string | null } | undefined;
  for (const event of eventsOf(layout, name, id)) {
    if (++seen > MOST_EVENTS || (event.to !== undefined && event.to !== state)) break;
    if (event.to === undefined || event.event === 'ended') continue;
    const by = event.by === undefined || event.by === 'person' ? null : event.by;
    found ??= { by: null, at: event.t, reason: null };
    if (by !== null && by !== 'daemon') found = { by, at: event.t, reason: null };
    else if (by === 'daemon' && found.by === null) found = { by, at: event.t, reason: event.reason ?? null };
  }
  return found ?? { by: null, at: null, reason: null };
}

const LONGEST_CHAIN = 100;

/** True if a task is one of `ids`, or was skipped because of one, link by link. */
function comesFrom({ job }: Inquiry, id: string, ids: ReadonlySet<string>): boolean {
  let at: string | undefined = id;
  for (let n = 0; at !== undefined && n < LONGEST_CHAIN; n++) {
    if (ids.has(at)) return true;
    at = causeOf(job, at)?.id;
  }
  return false;
}

/** Candidates of one job that are looked at. */
const MOST_CANDIDATES = 200;

/** Tasks started since `since` (ISO 8601) that ask for an end or a failure of one of `ids`: they ran instead. */
export function ranInstead(inquiry: Inquiry, ids: ReadonlySet<string>, since: string): Cause[] {
  const started = new Set<string>();
  for (const { t, event, task } of eventsOf(inquiry.layout, inquiry.name)) {
    if (Date.parse(t) < Date.parse(since) - 1000 || started.size >= MOST_CANDIDATES) break;
    if (event === 'started' && task !== undefined) started.add(task);
  }
  const tasks = [...started].filter((id) => {
    const state = inquiry.stateOf(id);
    if (state === undefined || state === 'held') return false;
    const { runIf, dependencies } = factsHere(inquiry, id, state);
    return runIf !== 'success' && dependencies.some((dependency) => comesFrom(inquiry, dependency, ids));
  });
  return tasks.length === 0 ? [] : [{ cause: 'ran_instead', tasks: tasks.toReversed() }];
}
