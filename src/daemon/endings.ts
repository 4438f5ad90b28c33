// Ending an attempt: the reason is written first (a full disk does not prevent the rest), then its processes get TERM,
// and KILL when their time is up; at each tick we look again until none is left. A crash in between leaves `ending`,
// by which the next daemon goes on.
import { moveIfFree } from '../host/atomic.ts';
import { monotonic, uptime, wallClock } from '../host/clock.ts';
import { isOfThisPlace, type ProcessInfo, signalProcess, TICKS_PER_SECOND } from '../host/identity.ts';
import type { Holdings } from '../protocol/resources.ts';
import { membersOf, signalMembers } from '../runner/ending.ts';
import { type Ending, writeEnding } from '../store/runs.ts';
import type { Attempt, Job } from './job.ts';
import type { Stray, World } from './world.ts';

/** How often endings are looked at, in ms. */
export const ENDING_INTERVAL_MS = 50;
/** After KILL, a runner that still says nothing (stopped, or its disk is full) is ended itself after this long. */
const RUNNER_PATIENCE_MS = 5_000;

/** Says why, then signals for the first time. Harmless if it is being ended already. */
export function beginEnding(world: World, attempt: Attempt, reason: Ending['reason'], message: string): void {
  if (attempt.ending === undefined) {
    attempt.ending = { reason, message, at: wallClock() };
    if (!writeEnding(attempt.run.layout, attempt.ending)) {
      world.log.warn('the reason of an ending could not be written', { job: attempt.job.name, task: attempt.id });
    }
    world.event({ job: attempt.job.name, task: attempt.id, attempt: attempt.run.attempt, event: 'ending', reason });
  }
  attempt.nextLook = 0;
}

/** TERM to what is left of it, or KILL once its time is up. */
export function goOnEnding(world: World, attempt: Attempt): void {
  const now = monotonic();
  const runner = runnerHere(attempt);
  const members = processesOf(world, attempt);
  // Once: many take a second one for "at once". But a runner that has begun may not have forked its command yet.
  if (attempt.isTermed !== true) attempt.isTermed = signalMembers(members, 'SIGTERM') > 0;
  if (attempt.termAt === undefined) {
    attempt.termAt = now;
    return;
  }
  const killAfter = (attempt.spec?.killAfter ?? world.config.killAfter) * 1000;
  if (now - attempt.termAt < killAfter) return;
  signalMembers(members, 'SIGKILL');
  if (members.length === 0 && runner !== undefined && now - attempt.termAt > killAfter + RUNNER_PATIENCE_MS) {
    signalProcess(runner, 'SIGKILL');
  }
}

/** The processes of the attempt that live, its runner aside. `isDead`: so is the runner, and nothing that it has left may be missing. */
export function processesOf(world: World, attempt: Attempt, isDead = false): ProcessInfo[] {
  const runner = runnerHere(attempt);
  return membersOf(world.processes(isDead ? runner : undefined), {
    runDir: attempt.run.layout.root,
    ...(runner && { runner }),
  });
}

/** Its runner, where its number means what it meant: on another boot or elsewhere it may be anybody's. */
function runnerHere({ runner }: Attempt): Attempt['runner'] {
  return runner !== undefined && isOfThisPlace(runner) ? runner : undefined;
}

/** Cancelling a task cancels what it queued: the running ones are ended, the waiting ones moved by `cancelWaiting`. */
export function endFamily(world: World, job: Job, id: string): void {
  for (const member of job.graph.descendants(id)) {
    const attempt = job.attempts.get(member);
    if (attempt !== undefined) beginEnding(world, attempt, 'cancelled', `${id}, which queued it, was cancelled`);
    else if (job.graph.get(member)?.state === 'pending') job.toCancel.set(member, `${id} was cancelled`);
  }
  job.stir();
}

/**
 * Ends the family of a cancelled attempt, over several turns if it is large. Until all of that is on its way, the claim stays:
 * a daemon that comes after a crash finds it, and begins again.
 */
export function hasEndedFamily(world: World, attempt: Attempt): boolean {
  const { job, id } = attempt;
  if (!job.loaded) return false; // its family is not all known yet
  if (!attempt.isFamilyTold) endFamily(world, job, id);
  attempt.isFamilyTold = true;
  return job.toCancel.size === 0;
}

/** Moves what is to be cancelled, until `deadline` (monotonic ms): false if some are left. */
export function cancelWaiting(world: World, job: Job, deadline: number): boolean {
  for (const [id, reason] of job.toCancel) {
    if (job.graph.get(id)?.state === 'pending') cancel(world, job, id, reason);
    job.toCancel.delete(id); // last: if the move fails, it is made again
    if (monotonic() > deadline) return job.toCancel.size === 0;
  }
  return true;
}

function cancel(world: World, job: Job, id: string, reason: string): void {
  if (moveIfFree(job.layout.task('pending', id), job.layout.task('cancelled', id)) !== 'moved') return;
  job.graph.move(id, 'cancelled');
  job.summaryDue = true;
  world.event({ job: job.name, task: id, event: 'moved', from: 'pending', to: 'cancelled', reason, by: 'daemon' });
}

/** Ends what is left of an attempt that no claim stands for any more: of a removed job, or one moved away. */
export function addStray(world: World, job: string, runDir: string, holdings: Holdings): void {
  world.strays.push({ job, runDir, holdings, termAt: undefined, before: Math.ceil(uptime() * TICKS_PER_SECOND) });
}

/** Signals strays; those of which nothing is left are forgotten. */
export function endStrays(world: World): void {
  for (const stray of [...world.strays]) {
    const members = membersOf(world.processes(), { runDir: stray.runDir }).filter(
      (member) => member.startTicks <= stray.before,
    );
    if (members.length === 0) {
      world.strays.splice(world.strays.indexOf(stray), 1);
      continue;
    }
    const first = stray.termAt === undefined;
    stray.termAt ??= monotonic();
    const late = monotonic() - stray.termAt > world.config.killAfter * 1000;
    if (first || late) signalMembers(members, late ? 'SIGKILL' : 'SIGTERM');
    if (first) tellOfStray(world, stray);
  }
}

function tellOfStray(world: World, stray: Stray): void {
  world.log.warn('ending processes of an attempt that nothing stands for any more', {
    job: stray.job,
    run_dir: stray.runDir,
  });
  world.event({ job: stray.job, event: 'stray_ended', reason: stray.runDir });
}
