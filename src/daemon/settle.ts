// The end of an attempt, in this order: drop folder closed and emptied (and its children synced), its family ended if it is
// cancelled, result.json, the task moved to the folder that the result names, the claim unlinked. A crash after any of them
// is finished by the next look: without a result the attempt is judged again from its facts, with one the move is made again.
import { errnoOf } from '../errors.ts';
import { createFolder, isFolder, isThere, moveByLink } from '../host/atomic.ts';
import { monotonic, wallClock } from '../host/clock.ts';
import { TICKS_PER_SECOND } from '../host/identity.ts';
import { type AttemptResult, type Destination, describeExit, type Reason } from '../protocol/result.ts';
import type { LastWord } from '../protocol/pid-file.ts';
import type { TaskSpec } from '../protocol/task.ts';
import { decideRetry } from '../scheduler/retry.ts';
import { closeDrops, readResult, readTimes, resultsBefore, thinRun, unclaimTask, writeResult } from '../store/runs.ts';
import { stateOf } from '../store/snapshot.ts';
import { foldersHolding, readDrop } from '../store/tasks.ts';
import { clearAfterSync, hasTakenAll, takeChildren } from './children.ts';
import { addStray, ENDING_INTERVAL_MS, hasEndedFamily } from './endings.ts';
import { relocate } from './intake.ts';
import { isTimeUp } from './job-clock.ts';
import { dueAfter, sameIdText, specFrom } from './judge.ts';
import { rejectDrop } from './rejections.ts';
import type { Attempt } from './job.ts';
import type { World } from './world.ts';

export type End =
  | { kind: 'exited'; lastWord: LastWord }
  /** It was being ended, and is over. */
  | { kind: 'ended'; lastWord?: LastWord }
  | { kind: 'lost' }
  /** It was never handed over: something it needs is missing. */
  | { kind: 'unstartable'; reason: Reason; message: string };

/** What became of it, before a retry is thought of. */
interface Verdict {
  to: Destination;
  outcome: AttemptResult['outcome'];
  reason: Reason;
  message: string;
  /** It counts against the retry budget, and another attempt may follow. */
  failed: boolean;
}

/** One that could not be settled is looked at again after this, in ms. */
const SETTLE_AGAIN_MS = 1_000;

/** How often in a row a task may be lost and tried again without a price. */
const MAX_LOST_IN_A_ROW = 3;

/** Writes down how an attempt ended and moves its task there. A disk too full for it is tried again. */
export function settle(world: World, attempt: Attempt, end: End): void {
  if (!isFolder(attempt.run.layout.root)) return giveBack(world, attempt); // removed by hand: nothing can be written of it
  try {
    const { closed } = attempt.run.layout;
    const mayTake = attempt.drops?.folder === closed || hasTakenAll(attempt);
    if (mayTake && !attempt.told?.isClosed && closeDrops(attempt.run.layout, end.kind === 'lost'))
      if (!takeChildren(world, attempt, closed, 'last')) return;
    if (!hasTakenAll(attempt)) return void (attempt.nextLook = monotonic() + SETTLE_AGAIN_MS);
    const result = resultOf(attempt, end, world.host);
    if (isCancelled(attempt, result.to) && !hasEndedFamily(world, attempt)) return lookSoon(world, attempt);
    writeResult(attempt.run.layout, result);
    conclude(world, attempt, result);
  } catch (error) {
    delete attempt.told; // whatever is there by now, a look finds it
    if (errnoOf(error) === undefined) throw error;
    if (!isFolder(attempt.run.layout.root)) return giveBack(world, attempt);
    attempt.nextLook = monotonic() + SETTLE_AGAIN_MS;
    world.log.error('an attempt could not be settled; tried again', {
      job: attempt.job.name,
      task: attempt.id,
      error: (error as Error).message,
    });
  }
}

/** The result is there: do the move that it names. */
export function finishMove(world: World, attempt: Attempt): void {
  const result = readResult(attempt.run.layout);
  if (result === undefined) return;
  // A power cut may have kept the result and taken the moves of the family.
  if (isCancelled(attempt, result.to) && !hasEndedFamily(world, attempt)) return lookSoon(world, attempt);
  conclude(world, attempt, result);
}

function conclude(world: World, attempt: Attempt, result: AttemptResult): void {
  const { job, id } = attempt;
  const moved = moveTo(world, attempt, result.to);
  unclaimTask(job.layout, id);
  job.end(attempt);
  world.looks.delete(attempt);
  job.summaryDue = true;
  if (result.to !== 'pending') job.tries.delete(id);
  world.event({
    job: job.name,
    task: id,
    attempt: attempt.run.attempt,
    event: 'ended',
    from: 'running',
    to: result.to,
    reason: result.reason,
  });
  if (result.to === 'succeeded') thinAfterSync(world, attempt, result);
  else world.unsynced = true;
  if (!moved) {
    relocate(world, job, id); // a person has moved it: the folder wins
    if (stateOf(job.layout, id) === undefined) job.graph.forget(id);
    job.graph.judgeAgain(id);
  } else {
    job.graph.move(id, result.to);
    if (result.retry_at !== undefined) job.graph.delay(id, dueAfter(result));
  }
}

/** By its end, or by a hand meanwhile; who has no family is not asked. */
function isCancelled({ job, id }: Attempt, to: Destination): boolean {
  if (to === 'cancelled') return true;
  const [member] = job.loaded ? job.graph.descendants(id) : [id];
  if (member === undefined || isThere(job.layout.task('running', id))) return false;
  return isThere(job.layout.task('cancelled', id));
}

function lookSoon(world: World, attempt: Attempt): void {
  attempt.nextLook = monotonic() + (world.holding === undefined ? ENDING_INTERVAL_MS : SETTLE_AGAIN_MS);
}

function thinAfterSync(world: World, attempt: Attempt, result: AttemptResult): void {
  const hasStdin = attempt.spec === undefined || typeof attempt.spec.stdin === 'string';
  const { layout } = attempt.run;
  const hasOutput = (result.output_bytes ?? 0) > 0;
  world.afterSync(() => {
    if (!attempt.job.isGone) thinRun(layout, { hasStdin, hasOutput }); // else it may be an attempt of another job of this name
  });
  if (attempt.dropped) clearAfterSync(world, attempt);
}

/** running/ → the folder, by link and unlink; what somebody put there under the same name meanwhile is rejected. False if it was not in running/. */
function moveTo(world: World, attempt: Attempt, to: Destination): boolean {
  const { job, id } = attempt;
  const from = job.layout.task('running', id);
  const target = job.layout.task(to, id);
  let moved = moveByLink(from, target);
  if (moved === 'no folder') {
    createFolder(job.layout.folder(to));
    moved = moveByLink(from, target);
  } else if (moved === 'exists') {
    rejectDrop(world, job, id, sameIdText(job, id, 'running', target), target);
    moved = moveByLink(from, target);
  }
  if (moved !== 'moved') return false;
  job.expectEcho('running', id);
  return true;
}

/** It never ran and never will: its task waits again, and no attempt is counted. */
export function giveBack(world: World, attempt: Attempt): void {
  const { job, id } = attempt;
  const wasCancelled = attempt.ending?.reason === 'cancelled' && isThere(job.layout.task('running', id));
  if (isCancelled(attempt, wasCancelled ? 'cancelled' : 'pending') && !hasEndedFamily(world, attempt))
    return lookSoon(world, attempt);
  const hasScript = isThere(attempt.run.layout.script);
  if (attempt.handedAt !== undefined && !hasScript)
    addStray(world, job.name, attempt.run.layout.root, attempt.holdings);
  const to = wasCancelled ? 'cancelled' : 'pending';
  if (moveTo(world, attempt, to)) job.expectEcho(to, id); // taken for a drop, it would not wait
  unclaimTask(job.layout, id);
  world.unsynced = true; // a power cut that undid it would leave what looks like a lost attempt
  job.end(attempt);
  world.looks.delete(attempt);
  const reason = attempt.runner === undefined ? 'it never began' : 'its run directory was removed';
  world.event({ job: job.name, task: id, attempt: attempt.run.attempt, event: 'given_back', reason });
  relocate(world, job, id);
  if (attempt.spec !== undefined) job.graph.delay(id, wallClock() + FAILED_AGAIN_MS);
  job.graph.judgeAgain(id);
}

/** What never began, whatever the trouble was, is tried again after this, in ms. */
const FAILED_AGAIN_MS = 1_000;

function resultOf(attempt: Attempt, end: End, host: string): AttemptResult {
  const now = wallClock();
  const began = end.kind !== 'unstartable';
  const times = began ? (attempt.told ?? readTimes(attempt.run.layout, now)) : undefined;
  const lastWord = end.kind === 'exited' || end.kind === 'ended' ? end.lastWord : undefined;
  const finishedAt = lastWord === undefined || times === undefined ? now : times.finishedAt;
  const verdict = badChild(attempt, verdictOf(attempt, end));
  const exit = lastWord === undefined ? undefined : describeExit(lastWord.status);
  const result: AttemptResult = {
    job: attempt.job.name,
    task: attempt.id,
    attempt: attempt.run.attempt,
    outcome: verdict.outcome,
    to: verdict.to,
    reason: verdict.reason,
    message: verdict.message,
    exit_code: lastWord?.status ?? null,
    signal: exit?.signal ?? null,
    queued_at: iso(attempt.job.graph.get(attempt.id)?.queuedAt),
    started_at: iso(times?.startedAt),
    finished_at: iso(finishedAt) as string,
    duration_s: times === undefined ? null : Math.max(0, Math.round(finishedAt - times.startedAt) / 1000),
    cpu_s: lastWord === undefined ? null : lastWord.cpuTicks / TICKS_PER_SECOND,
    max_rss_bytes: Math.max(attempt.peakRss, attempt.told?.maxRss ?? 0) || null,
    output_bytes: times?.outputBytes ?? 0,
    host,
  };
  if (verdict.failed) retryMaybe(attempt, result, times?.startedAt ?? now, finishedAt);
  return result;
}

function iso(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}

function verdictOf(attempt: Attempt, end: End): Verdict {
  switch (end.kind) {
    case 'exited':
      return exited(end.lastWord.status);
    case 'ended':
      return ended(attempt);
    case 'lost':
      return lost(attempt);
    case 'unstartable':
      return { to: 'failed', outcome: 'failed', reason: end.reason, message: end.message, failed: true };
  }
}

function exited(status: number): Verdict {
  if (status === 0)
    return { to: 'succeeded', outcome: 'succeeded', reason: 'exit', message: 'it succeeded', failed: false };
  const { signal, words } = describeExit(status);
  const reason: Reason =
    status === 127 ? 'not_found' : status === 126 ? 'not_executable' : signal !== undefined ? 'signal' : 'exit';
  return { to: 'failed', outcome: 'failed', reason, message: words, failed: true };
}

function ended(attempt: Attempt): Verdict {
  const reason = attempt.ending?.reason ?? 'cancelled';
  const message = attempt.ending?.message ?? 'it was ended';
  if (reason === 'timeout') return { to: 'failed', outcome: 'failed', reason, message, failed: true };
  if (reason === 'stopped') return { to: 'pending', outcome: 'cancelled', reason, message, failed: false };
  const where = stateOf(attempt.job.layout, attempt.id);
  const to: Destination = where === undefined || where === 'running' || where === 'rejected' ? 'cancelled' : where;
  return { to, outcome: 'cancelled', reason, message, failed: false };
}

/** Its runner died without a word, and nothing of it is left: nobody knows how it ended. */
function lost(attempt: Attempt): Verdict {
  const message = 'its runner died without leaving an exit status (killed, or the host went down)';
  const base = { outcome: 'failed', reason: 'lost', failed: false } as const;
  if (specOf(attempt)?.onLost === 'fail') return { ...base, to: 'failed', message };
  if (isTimeUp(attempt.job))
    return { ...base, to: 'failed', message: `${message}; it is not run again, for the time of the job is over` };
  let inARow = 1;
  for (const before of resultsBefore(attempt.job.layout, attempt.id, attempt.run.attempt)) {
    if (before.reason !== 'lost' || before.to !== 'pending') break;
    inARow += 1;
  }
  if (inARow > MAX_LOST_IN_A_ROW)
    return { ...base, to: 'failed', message: `${message}, for the ${inARow}th time in a row` };
  return { ...base, to: 'pending', message: `${message}; it is run again (on_lost: retry)` };
}

/** A child that is no valid task fails the attempt that dropped it, whatever its command said. */
function badChild(attempt: Attempt, verdict: Verdict): Verdict {
  if (attempt.badChild === undefined || verdict.to !== 'succeeded') return verdict;
  return {
    to: 'failed',
    outcome: 'failed',
    reason: 'bad_child',
    message: `it dropped a child that is no valid task: ${attempt.badChild}`,
    failed: true,
  };
}

/** Another attempt, if the budget since the last final folder and the job's time allow it. */
function retryMaybe(attempt: Attempt, result: AttemptResult, startedAt: number, endedAt: number): void {
  const retry = specOf(attempt)?.retry;
  if (retry === undefined || retry.max === 0) return;
  const { attempts, firstStartedAt } = triesOf(attempt, startedAt);
  const decision = decideRetry(
    retry,
    { reason: result.reason, exitCode: result.exit_code },
    { attempts, firstStartedAt, endedAt, name: `${result.job}/${result.task}` },
  );
  if (decision.retry && isTimeUp(attempt.job)) {
    result.message += '; it is not tried again, for the time of the job is over';
  } else if (decision.retry) {
    result.to = 'pending';
    if (result.reason !== 'lost' && result.started_at !== null)
      attempt.job.tries.set(attempt.id, { attempt: attempt.run.attempt, count: attempts, firstStartedAt });
    result.retry_at = new Date(decision.at).toISOString();
    result.message += `; attempt ${attempts} of ${retry.max + 1}, tried again`;
  } else if (decision.why === 'used up') {
    result.message += `; it was the last of ${retry.max + 1} attempts`;
  } else if (decision.why === 'not this failure') {
    result.message += '; it is not tried again, for retry.on does not name such a failure';
  } else if (decision.why === 'out of time') {
    result.message += '; it is not tried again, for the time of retry.max_time is over';
  }
}

/** What has been spent since the last final folder, this attempt included: from memory, or as the results say. */
function triesOf({ job, id, run }: Attempt, startedAt: number): { attempts: number; firstStartedAt: number } {
  const known = job.tries.get(id);
  job.tries.delete(id);
  if (known?.attempt === run.attempt - 1) return { attempts: known.count + 1, firstStartedAt: known.firstStartedAt };
  let attempts = 1;
  let firstStartedAt = startedAt;
  for (const before of resultsBefore(job.layout, id, run.attempt)) {
    if (before.reason === 'lost' || before.reason === 'stopped') continue;
    if (before.to !== 'pending' || before.outcome === 'cancelled') break; // a final folder, or a move by hand
    attempts += 1;
    if (before.started_at !== null) firstStartedAt = Date.parse(before.started_at);
  }
  return { attempts, firstStartedAt };
}

/** The task's text, from memory or from running/. */
export function specOf(attempt: Attempt): TaskSpec | undefined {
  if (attempt.spec !== undefined) return attempt.spec;
  const [state] = foldersHolding(attempt.job.layout, attempt.id);
  if (state === undefined) return undefined;
  const drop = readDrop(attempt.job.layout.task(state, attempt.id));
  const parsed = drop.kind === 'json' ? specFrom(attempt.job, attempt.id, drop.value) : undefined;
  if (parsed !== undefined && 'spec' in parsed) attempt.spec = parsed.spec;
  return attempt.spec;
}
