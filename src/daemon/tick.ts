// One turn of the daemon: look, reconcile, plan, apply. Everything in it is a synchronous call, so no other turn comes in
// between; what takes long stops at a deadline and goes on in the next turn.
import { statfsSync } from 'node:fs';
import { errnoOf, unless } from '../errors.ts';
import { createFolder, isThere, replaceWhole } from '../host/atomic.ts';
import { monotonic, wallClock } from '../host/clock.ts';
import { plan } from '../scheduler/plan.ts';
import { readParallel, summarise } from '../store/snapshot.ts';
import { lookAt, readClaims } from './claims.ts';
import { beginEnding, ENDING_INTERVAL_MS, endStrays } from './endings.ts';
import { isUntouched, lookAtUnfinished, noticeChanges, takeIn } from './intake.ts';
import { readSettings } from './job-settings.ts';
import { findJobs, forgetJob } from './jobs.ts';
import { deadlineOf, isTimeUp, startClock } from './job-clock.ts';
import type { Job } from './job.ts';
import { followHost, limitsOf, slotsOf } from './limits.ts';
import { errorFields } from './log.ts';
import { sampleMemory } from './memory.ts';
import { reconcile } from './reconcile.ts';
import { start } from './start.ts';
import { SLICE_MS, type World } from './world.ts';

/** What a start cannot do anything about: nothing new is started until the next look. */
const EXHAUSTED: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EMFILE', 'ENFILE']);
/** What the wall clock is corrected by in small is no step, in ms. */
const CLOCK_STEP_MS = 500;
/** What failed for trouble with the disk is tried again after this, in ms. */
const TROUBLE_AGAIN_MS = 1_000;

/** One turn. Gives the monotonic ms until which nothing is to be done unless a hint comes. */
export function tick(world: World): number {
  world.forgetProcesses();
  noticeClockStep(world);
  if (world.wake.topChanged || world.newNames.length > 0) spared(world, 'the folder of jobs', () => readTop(world));
  if (world.wake.takePoll()) lookAround(world);
  lookAtJobs(world);
  let allDone = takeEverythingIn(world);
  lookAtAttempts(world);
  spared(world, 'what attempts have left', () => endStrays(world));
  const deadline = monotonic() + SLICE_MS;
  for (const job of world.active) guarded(world, job, () => (allDone = reconcile(world, job, deadline) && allDone));
  startWhatMay(world);
  flush(world);
  return allDone ? nextDue(world) : 0;
}

/** The wall clock was set back: delays that were counted by it are counted anew from their results. */
function noticeClockStep(world: World): void {
  const offset = wallClock() - monotonic();
  const wasSetBack = offset < world.clockOffset - CLOCK_STEP_MS;
  world.clockOffset = offset;
  if (!wasSetBack) return;
  for (const job of world.jobs.values()) {
    for (const node of job.graph.all())
      if (node.state === 'pending' && node.notBefore > 0) job.hint('pending', `${node.id}.json`);
  }
}

/** Those that hints have named, and those whose time has come. */
function lookAtAttempts(world: World): void {
  const now = monotonic();
  for (const attempt of world.attempts) if (attempt.nextLook <= now) world.looks.add(attempt);
  const looks = [...world.looks];
  world.looks.clear();
  for (const [at, attempt] of looks.entries()) {
    if (monotonic() > now + SLICE_MS && at > 0) {
      for (const later of looks.slice(at)) world.looks.add(later); // the loop is to breathe
      return;
    }
    if (attempt.job.isLeftAlone || !guarded(world, attempt.job, () => lookAt(world, attempt)))
      attempt.nextLook = now + TROUBLE_AGAIN_MS;
  }
}

/** The truth, at every poll: all that a hint could have told is looked for. */
function lookAround(world: World): void {
  spared(world, 'the folder of jobs', () => readTop(world));
  spared(world, 'the room on the disk', () => holdWhileNothingCanStart(world));
  void sampleMemory(world);
  followHost(world);
  if (world.toLookAt.length === 0) world.toLookAt = [...world.jobs.values()].toReversed();
}

/** Those of which a full look has come; with thousands of them it takes several turns. */
function lookAtJobs(world: World): void {
  const deadline = monotonic() + SLICE_MS;
  for (let job = world.toLookAt.pop(); job !== undefined; job = world.toLookAt.pop()) {
    if (!job.isGone) lookAtJob(world, job);
    if (monotonic() > deadline) return;
  }
}

function lookAtJob(world: World, job: Job): void {
  guarded(world, job, () => {
    if (job.graph.judgeUnheard()) job.stir();
    if (isAtRest(world, job) && isUntouched(job, !world.wake.relyOnWatches(job))) return;
    if (!job.stillThere()) return forgetJob(world, job);
    openAgain(job);
    job.forgetEchoes();
    job.settingsDue = true;
    lookAtSettings(world, job);
    if (job.isGone || job.isLeftAlone) return;
    readClaims(world, job);
    writeSummary(world, job);
  });
}

/** Without running/ nothing starts; who removes it to archive the job takes less time than there is between two looks. */
function openAgain(job: Job): void {
  const isClosed = !isThere(job.layout.folder('running'));
  if (isClosed && job.isClosed) createFolder(job.layout.folder('running'));
  job.isClosed = isClosed && !job.isClosed;
}

/** Nothing of it runs, or is due. */
function isAtRest(world: World, job: Job): boolean {
  return job.attempts.size === 0 && !world.active.has(job) && !job.summaryDue;
}

function readTop(world: World): void {
  findJobs(world, monotonic() + SLICE_MS);
  const before = [world.paused, world.parallel].join();
  world.paused = isThere(world.layout.paused);
  const parallel = readParallel(world.layout.parallel);
  if (parallel === 'damaged')
    world.log.warn('a file `parallel` should hold a whole number', { path: world.layout.parallel });
  else world.parallel = parallel;
  if ([world.paused, world.parallel].join() !== before) stirAll(world);
}

export function stirAll(world: World): void {
  for (const job of world.jobs.values()) job.stir();
}

/** Takes in what was dropped, edited, moved; false if some of it is left for the next turn. */
function takeEverythingIn(world: World): boolean {
  const deadline = monotonic() + SLICE_MS;
  let all = true;
  for (const job of world.active) {
    guarded(world, job, () => {
      if (job.settingsDue) lookAtSettings(world, job);
      if (job.isGone || job.isLeftAlone) return;
      const done = takeIn(world, job, deadline);
      if (done && !job.hasFailedLooks) job.markLoaded();
      all &&= done;
    });
    if (monotonic() > deadline) {
      world.active.delete(job);
      job.stir(); // the others go first in the next turn
      return false;
    }
  }
  return all;
}

function lookAtSettings(world: World, job: Job): void {
  job.settingsDue = false;
  if (!job.stillThere()) return forgetJob(world, job);
  readSettings(world, job);
  if (job.trouble !== undefined) return;
  if (world.wake.watchJob(job)) {
    job.settingsDue = true; // what changed before the watch stood is found by another look
    job.stir();
    world.wake.now();
  }
  noticeChanges(job);
}

/** Fills the free slots, in order. */
function startWhatMay(world: World): void {
  const now = wallClock();
  const stopped = world.stopping !== undefined || world.paused || world.holding !== undefined;
  const free = stopped ? 0 : slotsOf(world) - world.attempts.size - world.strays.length;
  for (const job of world.active) rest(world, job, now);
  const planned = free > 0 ? plan(world.ready, limitsOf(world, free), now) : undefined;
  world.roomFor = planned?.roomFor && `${planned.roomFor.job.name}/${planned.roomFor.id}`;
  for (const { job, id, holdings } of planned?.starts ?? []) {
    const begin = (): void => {
      if (isTimeUp(job)) {
        job.graph.judgeAgain(id);
        return job.stir();
      }
      startClock(job);
      start(world, job, id, holdings);
    };
    if (!guarded(world, job, begin)) job.graph.delay(id, now + TROUBLE_AGAIN_MS);
    rest(world, job, now);
  }
}

/** While it is being read, what is known of a cancelled attempt's family is not all of it; when its time is up, the rest is cancelled. */
function mayStart(job: Job): boolean {
  if (isTimeUp(job)) return false;
  return job.loaded || [...job.attempts.values()].every(({ ending }) => ending?.reason !== 'cancelled');
}

function earlier(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);
}

/** A job with nothing to be looked at now is left out of the next turns until something stirs it; where it waits for a slot, it is `ready`. */
function rest(world: World, job: Job, now: number): void {
  job.free = mayStart(job) ? job.limit - job.attempts.size : 0;
  if (job.free > 0 && job.hasReady(now)) world.ready.add(job);
  else world.ready.delete(job);
  const due = earlier(job.free > 0 ? job.graph.nextDue() : undefined, deadlineOf(job, now));
  if (due === undefined) world.dues.delete(job);
  else world.dues.set(job, due);
  const isBusy = job.settingsDue || job.isUnread || !job.loaded || job.graph.isUnsettled || job.toCancel.size > 0;
  if (isBusy) job.stir();
  else world.active.delete(job);
}

function flush(world: World): void {
  world.events.flush();
  world.log.flush();
  world.wake.forgetEnded();
}

/** When something is to be done even without a hint, in monotonic ms. */
function nextDue(world: World): number {
  let due = world.strays.length > 0 ? monotonic() + ENDING_INTERVAL_MS : Number.POSITIVE_INFINITY;
  for (const [job, at] of world.dues) {
    if (at <= wallClock()) job.stir();
    due = Math.min(due, monotonic() + at - wallClock());
  }
  const deadline = monotonic() + SLICE_MS;
  for (const job of world.settling) {
    let next: number | undefined = monotonic() + TROUBLE_AGAIN_MS;
    if (!job.isLeftAlone) guarded(world, job, () => (next = lookAtUnfinished(world, job, deadline)));
    if (next === undefined) world.settling.delete(job);
    else due = Math.min(due, next);
  }
  for (const attempt of world.attempts) due = Math.min(due, attempt.nextLook);
  const isBehind = world.looks.size + world.newNames.length + world.toLookAt.length > 0;
  return isBehind || world.wake.topChanged ? 0 : due;
}

/** Nothing is started without a launcher, or on a disk that is nearly full: a task's output would be lost with the daemon's own files. */
function holdWhileNothingCanStart(world: World): void {
  const holding = lowDisk(world) ?? world.noLauncher;
  if (holding === world.holding) return;
  if (holding === undefined) world.log.info('what kept tasks from starting is over');
  else world.log.warn('nothing new is started', { reason: holding });
  world.holding = holding;
  stirAll(world);
}

/** How little is free, in words, if that is less than `min_free`; undefined where it cannot be told. */
function lowDisk({ config, layout }: World): string | undefined {
  const { bytes, inodes } = config.minFree;
  const disk = unless(['ENOSYS', 'EACCES', 'ENOENT'], () => statfsSync(layout.root));
  if (disk === undefined) return undefined;
  const free = disk.bavail * disk.bsize;
  const low =
    free < bytes
      ? `${Math.floor(free / 1e6)} MB are free`
      : disk.files > 0 && disk.ffree < inodes
        ? `${disk.ffree} inodes are free`
        : undefined;
  return (
    low &&
    `the disk is nearly full: ${low} where ${layout.root} is, and min_free asks for ${Math.floor(bytes / 1e6)} MB and ${inodes} inodes`
  );
}

function writeSummary(world: World, job: Job): void {
  if (!job.summaryDue || job.attempts.size > 0 || world.active.has(job)) return;
  job.summaryDue = false;
  replaceWhole(job.layout.summary, `${JSON.stringify(summarise(job.layout, wallClock()))}\n`);
}

/** `stop --kill`: all that runs is ended, and goes back to pending. */
export function endAll(world: World): void {
  for (const attempt of world.attempts) beginEnding(world, attempt, 'stopped', 'spoold stop --kill');
}

/** Trouble that is no job's: as below. What is no answer of the system is a bug, and ends the daemon. */
function spared(world: World, what: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    world.log.error('trouble; tried again at the next look', { what, error: (error as Error).message });
  }
}

/** Trouble in one job is that job's: said, and tried again at the next look. The daemon goes on. */
function guarded(world: World, job: Job, action: () => void): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (EXHAUSTED.has(errnoOf(error) ?? '')) world.holding = (error as Error).message; // until the next look at the disk
    if (job.stillThere() && errnoOf(error) !== 'ESTALE')
      // then another has our place, and the loop says so
      world.log.error('trouble with a job; tried again at the next look', { job: job.name, ...errorFields(error) });
    return false;
  }
}
