// The look at claims: each live attempt's facts are gathered lazily, judged by the table in scheduler/look.ts, and acted
// on. At start and at every poll over running/, whose size concurrency bounds; in between, where a hint points.
import { statSync } from 'node:fs';
import { unless } from '../errors.ts';
import { isSameFile, isThere, namesIn, remove } from '../host/atomic.ts';
import { monotonic, uptime } from '../host/clock.ts';
import { isOfThisBoot, livenessOf, seesTheSame, TICKS_PER_SECOND } from '../host/identity.ts';
import { type AttemptFacts, look, type Verdict } from '../scheduler/look.ts';
import { formatDuration } from '../protocol/values.ts';
import { parseRunName } from '../protocol/names.ts';
import type { PidFile } from '../protocol/pid-file.ts';
import { NO_HOLDINGS } from '../protocol/resources.ts';
import type { Told } from '../runner/launcher.ts';
import {
  claimedAttempt,
  claimTask,
  countQueued,
  findRun,
  handedOverOn,
  holdingsOf,
  isOfThisRun,
  isVoid,
  readEnding,
  readPidFile,
  readResult,
  unclaimTask,
  voidRun,
} from '../store/runs.ts';
import { stateOf } from '../store/snapshot.ts';
import { foldersHolding } from '../store/tasks.ts';
import { goOnTaking, takeChildren } from './children.ts';
import { addStray, beginEnding, ENDING_INTERVAL_MS, goOnEnding, processesOf } from './endings.ts';
import { relocate } from './intake.ts';
import { factsOfLive } from './judge.ts';
import type { Attempt, Job } from './job.ts';
import { finishMove, giveBack, settle, specOf } from './settle.ts';
import type { World } from './world.ts';

/** An attempt that was handed over and has not begun after this long never will. */
const BEGINS_WITHIN_MS = 10_000;
const BEGINS_SOON_MS = 100;
/** A command whose runner has died is looked at this often: nobody will tell of its end. */
const SILENT_AGAIN_MS = 250;

/** Finds the claims of a job that are not known yet, and has all of them looked at. */
export function readClaims(world: World, job: Job): void {
  for (const name of namesIn(job.layout.folder('running'))) {
    if (!name.endsWith('.run') || name.startsWith('.')) continue;
    const id = name.slice(0, -'.run'.length);
    if (!job.attempts.has(id)) adoptClaim(world, job, id);
  }
  for (const attempt of job.attempts.values()) world.looks.add(attempt);
}

/** A claim of an earlier daemon, or of nobody: a link that names no run directory stands for nothing. */
function adoptClaim(world: World, job: Job, id: string): void {
  const number = claimedAttempt(job.layout, id);
  const run = number === undefined ? undefined : findRun(job.layout, id, number);
  if (run === undefined) {
    unclaimTask(job.layout, id);
    return relocate(world, job, id);
  }
  const holdings = holdingsOf(run.layout);
  const attempt: Attempt = {
    job,
    id,
    run,
    holdings,
    peakRss: 0,
    children: countQueued(run.layout),
    since: monotonic(),
    nextLook: 0,
    dropped: true,
    spreads: new Map(),
    syncing: new Set(),
    mayHaveTaken: true,
  };
  const ending = readEnding(run.layout);
  if (ending !== undefined) attempt.ending = ending;
  if (world.lock.afterReboot && readResult(run.layout) === undefined) undoHalfMove(job, id);
  job.begin(attempt);
  if (job.graph.get(id) === undefined) job.put(factsOfLive(job, id), 'running');
}

/** A power cut may keep the second name that its last move gave, and take the result by which it was moved. */
function undoHalfMove(job: Job, id: string): void {
  for (const state of foldersHolding(job.layout, id)) {
    if (state !== 'running' && isSameFile(job.layout.task('running', id), job.layout.task(state, id)))
      remove(job.layout.task(state, id));
  }
}

/** Judges an attempt and acts on it, until a row of the table leaves nothing more to do now. */
export function lookAt(world: World, attempt: Attempt): void {
  if (!goOnTaking(world, attempt)) return;
  for (let round = 0; round < 4; round++) {
    if (attempt.job.attempts.get(attempt.id) !== attempt) return;
    const facts = gather(world, attempt);
    const verdict = look(facts);
    if (!act(world, attempt, verdict, facts.pidFile)) return;
  }
}

/** Does what the verdict says. True if it is to be looked at once more at once. */
function act(world: World, attempt: Attempt, verdict: Verdict, pidFile: PidFile): boolean {
  switch (verdict) {
    case 'finish':
      finishMove(world, attempt);
      return false;
    case 'give back':
      giveBack(world, attempt);
      return false;
    case 'go on ending':
      attempt.nextLook = monotonic() + ENDING_INTERVAL_MS;
      goOnEnding(world, attempt);
      return false;
    case 'settle as ended':
      settle(world, attempt, {
        kind: 'ended',
        ...(pidFile.lastWord === undefined ? {} : { lastWord: pidFile.lastWord }),
      });
      return false;
    case 'settle by last word':
      if (pidFile.lastWord !== undefined) settle(world, attempt, { kind: 'exited', lastWord: pidFile.lastWord });
      return false;
    case 'lost':
      // A launcher or runner elsewhere, frozen perhaps, may have it still.
      if (attempt.runner === undefined ? pidFile.runner === undefined : livenessOf(attempt.runner) === 'unknown')
        voidRun(attempt.run.layout);
      settle(world, attempt, { kind: 'lost' });
      return false;
    case 'begin ending':
      beginEndingMoved(world, attempt);
      return true;
    case 'void':
      voidRun(attempt.run.layout);
      return true;
    case 'watch':
      watch(world, attempt);
      return attempt.ending !== undefined;
    case 'wait':
      attempt.nextLook = monotonic() + BEGINS_SOON_MS;
      return false;
  }
}

/** Takes in what it dropped, and holds it to its timeout. */
function watch(world: World, attempt: Attempt): void {
  world.wake.watchAttempt(attempt);
  const left = timeLeft(world, attempt);
  const silent = attempt.runner === undefined || livenessOf(attempt.runner) !== 'alive';
  // Nobody tells of a runner's death, or of a drop whose hint was lost: look again after as long as it has lived.
  const lived = monotonic() - attempt.since;
  attempt.nextLook = monotonic() + Math.min(left, silent ? SILENT_AGAIN_MS : Math.max(lived, BEGINS_SOON_MS));
  if (left > 0) return void takeChildren(world, attempt, attempt.run.layout.pending, 'now');
  const limit = specOf(attempt)?.timeout ?? world.config.taskTimeout;
  beginEnding(world, attempt, 'timeout', `it ran longer than its timeout of ${formatDuration(limit)}`);
}

/** In ms; of one whose PID file is gone it is counted from when we began to look after it. */
function timeLeft(world: World, attempt: Attempt): number {
  if (attempt.deadline !== undefined) return (attempt.deadline - uptime()) * 1000;
  const limit = attempt.runner === undefined ? (specOf(attempt)?.timeout ?? world.config.taskTimeout) : 'none';
  return limit === 'none' ? Number.POSITIVE_INFINITY : attempt.since + limit * 1000 - monotonic();
}

function beginEndingMoved(world: World, attempt: Attempt): void {
  const state = stateOf(attempt.job.layout, attempt.id);
  if (state === 'cancelled') beginEnding(world, attempt, 'cancelled', 'its file was moved to cancelled/');
  else if (state === undefined) beginEnding(world, attempt, 'deleted', 'its file was deleted');
  else beginEnding(world, attempt, 'moved', `its file was moved to ${state}/`);
}

/** Facts are looked up when a row asks for them: most attempts are settled by two or three. */
function gather(world: World, attempt: Attempt): AttemptFacts & { pidFile: PidFile } {
  const { job, id, run } = attempt;
  if (attempt.told !== undefined) return factsTold(world, attempt, attempt.told);
  let pidFile = readPidFile(run.layout);
  rememberRunner(world, attempt, pidFile);
  if (mayLackChildren(attempt, pidFile)) pidFile = pidFile.runner === undefined ? {} : { runner: pidFile.runner };
  const lives = pidFile.lastWord === undefined && runnerLives(world, attempt);
  // It may have said its last word and died between the two looks: a dead runner's file is read after its death.
  if (pidFile.runner !== undefined && pidFile.lastWord === undefined && !lives && isOfThisBoot(pidFile.runner))
    pidFile = readPidFile(run.layout);
  return {
    pidFile,
    get hasResult() {
      return readResult(run.layout) !== undefined;
    },
    get isVoid() {
      return isVoid(run.layout);
    },
    get hasScript() {
      return isThere(run.layout.script);
    },
    get isOverdue() {
      return attempt.handedAt === undefined || monotonic() - attempt.handedAt > BEGINS_WITHIN_MS;
    },
    get isCutOff() {
      return isCutOff(world, attempt);
    },
    get taskIsThere() {
      return isThere(job.layout.task('running', id));
    },
    runnerLives: lives,
    isEnding: attempt.ending !== undefined,
    hasBegun: pidFile.runner !== undefined || attempt.runner !== undefined, // whose files may be removed under it
    hasLastWord: pidFile.lastWord !== undefined,
    processesLeft: () => processesOf(world, attempt, !lives && pidFile.lastWord === undefined).length,
  };
}

/** Its runner has said its last word, and told us so. A result there is none yet: whoever writes one forgets what was told. */
function factsTold(world: World, attempt: Attempt, told: Told): AttemptFacts & { pidFile: PidFile } {
  return {
    pidFile: { lastWord: told },
    hasResult: false,
    isVoid: false,
    hasScript: true,
    isOverdue: false,
    isCutOff: false,
    taskIsThere: true,
    runnerLives: false,
    isEnding: attempt.ending !== undefined,
    hasBegun: true,
    hasLastWord: true,
    processesLeft: () => processesOf(world, attempt).length,
  };
}

/**
 * Its last word has survived a power cut, and of what it queued perhaps not all: then the word says too much. What was taken
 * from its drop folder left that before the runner removed it, so a missing folder shows that the cut took nothing.
 */
function mayLackChildren({ run }: Attempt, { runner, lastWord }: PidFile): boolean {
  if (runner === undefined || lastWord === undefined || isOfThisBoot(runner)) return false;
  const { pending, closed, children } = run.layout;
  return [pending, closed, children].some(isThere);
}

/**
 * A power cut has taken what the runner wrote, and nobody knows what it did: it was handed over on another boot, by what
 * `run` says or, where its data is lost too, by the daemon before us; or its output.log is there, which a runner makes
 * only after line 1 of its PID file. With `on_lost: fail`, `run` was synced first: if it is not whole, nothing was run.
 */
function isCutOff(world: World, attempt: Attempt): boolean {
  const { layout } = attempt.run;
  const boot = handedOverOn(layout);
  if (boot !== undefined && boot !== world.identity.boot) return true;
  if (boot === undefined && attempt.handedAt === undefined && world.lock.afterReboot)
    return specOf(attempt)?.onLost !== 'fail';
  return isThere(layout.output) && !isVoid(layout) && readPidFile(layout).runner === undefined;
}

/** From line 1 on, its timeout can be told: uptime less the runner's start time. */
function rememberRunner(world: World, attempt: Attempt, pidFile: PidFile): void {
  if (pidFile.runner === undefined || attempt.runner !== undefined) return;
  if (attempt.handedAt === undefined && !isOfThisRun(attempt.run.layout, pidFile.runner)) return;
  attempt.runner = pidFile.runner;
  const limit = specOf(attempt)?.timeout ?? world.config.taskTimeout;
  if (limit !== 'none' && isOfThisBoot(pidFile.runner))
    attempt.deadline = pidFile.runner.startTicks / TICKS_PER_SECOND + limit;
}

function runnerLives(world: World, attempt: Attempt): boolean {
  const { runner } = attempt;
  if (runner === undefined) return false;
  const liveness = livenessOf(runner);
  return (
    liveness === 'alive' || (liveness === 'unknown' && !world.lock.takenByAge && monotonic() < world.unknownIsDeadAt)
  );
}

/**
 * At start: processes that carry the name of one of our run directories although no claim names it. Claimed again where
 * their task is in running/; ended where job or task is gone; left alone where the attempt is settled.
 */
export function findUnclaimed(world: World): void {
  const prefix = `${world.layout.jobs}/`;
  const runDirs = new Set<string>();
  for (const { pid, value } of world.processes().byPid.values())
    if (value?.startsWith(prefix) && seesTheSame(pid, value)) runDirs.add(value);
  for (const runDir of runDirs) {
    const [jobName, runs, name, ...rest] = runDir.slice(prefix.length).split('/');
    const parsed = parseRunName(name ?? '');
    if (jobName === undefined || runs !== 'runs' || parsed === undefined || rest.length > 0) continue;
    const job = world.layout.job(jobName);
    if (claimedAttempt(job, parsed.task) === parsed.attempt) continue;
    const run = findRun(job, parsed.task, parsed.attempt);
    if (run !== undefined && readResult(run.layout) !== undefined) continue;
    const known = unless('ENOTDIR', () => statSync(job.root, { throwIfNoEntry: false }));
    if (
      run !== undefined &&
      known !== undefined &&
      isThere(job.task('running', parsed.task)) &&
      claimTask(job, parsed.task, parsed.attempt)
    )
      continue;
    addStray(world, jobName, runDir, run === undefined ? NO_HOLDINGS : holdingsOf(run.layout));
  }
}
