// The daemon: take the directory, recover, then turn until told to stop. Killed at any point it leaves a directory from
// which the next one goes on; what runs is not its child and goes on meanwhile.
import { errnoOf, SpooldError } from '../errors.ts';
import { isThere, sweepReplaced, sweepUnfinished } from '../host/atomic.ts';
import { monotonic, wallClock } from '../host/clock.ts';
import { ownIdentity } from '../host/identity.ts';
import type { Config } from '../protocol/config.ts';
import type { Layout } from '../protocol/layout.ts';
import { type LauncherKind, launcherEnvironment, startLauncher, type Told } from '../runner/launcher.ts';
import { type DaemonRecord, LOCK_STALE_MS } from '../store/daemon-record.ts';
import { acquireLock, type Lock } from '../store/lock.ts';
import { isOfThisRun } from '../store/runs.ts';
import { openStateDir, umaskOf } from '../store/state-dir.ts';
import { VERSION } from '../version.ts';
import { findUnclaimed } from './claims.ts';
import { ownersOf, readConfig } from './settings.ts';
import { ABANDONED_AFTER_S, findJobs } from './jobs.ts';
import { limitsRecord } from './limits.ts';
import { errorFields, Log } from './log.ts';
import { GroupSync } from './sync.ts';
import { keepHeapSmall } from './memory.ts';
import { troublesRecord } from './troubles.ts';
import { endAll, stirAll, tick } from './tick.ts';
import { Wake } from './wake.ts';
import { type StopMode, World } from './world.ts';

export interface ServeOptions {
  /** The state directory; made if it is none yet. */
  dir: string;
  log: 'file' | 'stderr';
  /** Settings that win over config.yaml. */
  overrides?: Partial<Config>;
  /** Starts nothing, and ends as soon as what it found is in order: what `doctor --fix` asks for. */
  recoverOnly?: boolean;
}

export interface Stopped {
  /** 0, or 1 if the directory was lost to another daemon. */
  status: number;
  reason: string;
  /** `job/task` of what was left running. */
  running: string[];
}

export interface Serving {
  readonly layout: Layout;
  readonly pid: number;
  readonly ended: Promise<Stopped>;
  /** `now` leaves what runs running, `drain` waits for it, `kill` ends it; a later call may be more urgent. */
  stop(mode: StopMode): void;
  /** Reads config.yaml again; a file that does not read leaves the last good one in force. */
  reload(): void;
}

/** Takes a directory and serves it. Resolves once recovery is over. Errors: DAEMON_RUNNING (its record as `cause`), STATE_DIR_…, CONFIG_INVALID. */
export async function serve(options: ServeOptions): Promise<Serving> {
  const taskUmask = process.umask(0o077);
  keepHeapSmall();
  const layout = openStateDir(options.dir, { create: true });
  process.umask(umaskOf(layout.root)); // what it says of its group
  const config = { ...readConfig(layout), ...options.overrides };
  const identity = ownIdentity();
  let lost: string | undefined;
  let wake: Wake | undefined;
  const lock = await take(layout, (reason) => {
    lost ??= reason;
    wake?.now();
  });
  const log = new Log(options.log === 'file' ? layout.log : undefined);
  const world = new World({
    layout,
    identity,
    lock,
    log,
    config,
    inherited: launcherEnvironment(process.env),
    taskUmask,
    owners: ownersOf(config),
  });
  wake = new Wake(world);
  world.wake = wake;
  if (options.recoverOnly === true) world.stopping = 'settled';
  applyConfig(world);
  launch(world);
  try {
    recover(world);
  } catch (error) {
    if (lost === undefined) throw error;
    await abandon(world, lost);
    throw new SpooldError('DAEMON_RUNNING', `Another daemon has taken ${layout.root} meanwhile.`, {
      path: layout.daemon,
      exit: 1,
      cause: error,
    });
  }
  const ended = turn(world, () => lost).catch((error: unknown) => {
    log.error('the daemon ends: a bug', errorFields(error));
    log.flush();
    throw error;
  });
  return {
    layout,
    pid: process.pid,
    ended,
    stop: (mode) => stop(world, mode),
    reload: () => reload(world, options.overrides),
  };
}

async function take(layout: Layout, onLost: (reason: string) => void): Promise<Lock> {
  const taken = await acquireLock(layout, ownIdentity(), VERSION, () => new Date(wallClock()).toISOString(), onLost);
  if (taken.kind === 'held') return taken.lock;
  const who = taken.record === undefined ? 'Another daemon' : `Daemon ${taken.record.identity.pid}`;
  throw new SpooldError('DAEMON_RUNNING', `${who} serves ${layout.root}.`, {
    path: layout.daemon,
    exit: 1,
    cause: taken.record,
  });
}

/** Puts right what an earlier daemon left, so that the first turn sees a directory in order. */
function recover(world: World): void {
  const { layout, lock } = world;
  for (const folder of [layout.root, layout.jobs, layout.env]) sweepUnfinished(folder, wallClock(), ABANDONED_AFTER_S);
  sweepReplaced(layout.daemon);
  world.unknownIsDeadAt = monotonic() + (lock.takenByAge ? 0 : LOCK_STALE_MS);
  world.wake.watchTop();
  findUnclaimed(world); // before the claims are read, or its task would go back to pending
  findJobs(world);
  world.recovering = false;
  stirAll(world);
  world.log.info('serving', { pid: process.pid, dir: layout.root, version: VERSION, launcher: world.launcher.kind });
  lock.publish(statusOf(world));
}

/** The loop. */
async function turn(world: World, lost: () => string | undefined): Promise<Stopped> {
  const sync = new GroupSync(world);
  let beat = monotonic();
  let holding = world.holding;
  for (;;) {
    const reason = lost();
    if (reason !== undefined) return abandon(world, reason);
    const until = tick(world);
    sync.maybe();
    if (mayEnd(world, until)) return finish(world, sync);
    const beatDue = beat + (world.hasNews ? NEWS_MS : HEARTBEAT_MS);
    const due = Math.max(monotonic(), Math.min(until, sync.due, beatDue));
    await world.wake.sleep(due);
    const overslept = monotonic() - due > HEARTBEAT_MS;
    const isBeat = monotonic() >= beatDue;
    if ((overslept || isBeat) && !world.lock.isOurs()) continue; // it has been told, and ends
    if (isBeat || holding !== world.holding) {
      beat = monotonic();
      holding = world.holding;
      world.hasNews = false;
      void publishSoon(world, isPastJudged(world) ? { after_reboot: undefined } : {});
    }
  }
}

const HEARTBEAT_MS = 5_000;
/** What is the matter with jobs is told so soon after the last time, at the earliest. */
const NEWS_MS = 500;

/** What the daemon before us left is settled: whether a power cut may have taken a part of it matters no more. */
function isPastJudged(world: World): boolean {
  if (world.newNames.length > 0) return false;
  for (const job of world.jobs.values()) if (!job.loaded || job.trouble !== undefined) return false;
  for (const attempt of world.attempts) if (attempt.handedAt === undefined) return false;
  return true;
}

function statusOf(world: World): Partial<DaemonRecord> {
  return {
    serving: true,
    heartbeat_at: new Date(wallClock()).toISOString(),
    ...limitsRecord(world),
    ...troublesRecord(world),
    holding: world.holding,
    stopping: world.stopping === 'settled' ? 'now' : world.stopping,
  };
}

function publish(world: World): void {
  try {
    world.lock.publish(statusOf(world));
  } catch (error) {
    noteUnpublished(world, error);
  }
}

function publishSoon(world: World, change: Partial<DaemonRecord>): Promise<void> {
  return world.lock.publishSoon({ ...statusOf(world), ...change }).catch((error) => noteUnpublished(world, error));
}

function noteUnpublished(world: World, error: unknown): void {
  if (errnoOf(error) === undefined) throw error;
  world.log.warn('daemon.json cannot be written', { error: (error as Error).message });
}

function stop(world: World, mode: StopMode): void {
  world.log.info('asked to stop', { mode });
  world.stopping = mode;
  if (mode === 'kill') endAll(world);
  publish(world);
  world.wake.now();
}

/** `until`: when something is to be done next, in monotonic ms. */
function mayEnd(world: World, until = Number.POSITIVE_INFINITY): boolean {
  if (world.stopping === 'settled') return until > monotonic() && isSettled(world);
  return world.stopping === 'now' || (world.stopping !== undefined && world.attempts.size === 0);
}

/** All that was found is judged, moved and ended, but in jobs that are left alone; what runs and may run is left running. */
function isSettled({ active, bundles, settling, strays, attempts }: World): boolean {
  if (bundles.size > 0 || settling.size > 0 || strays.length > 0) return false;
  for (const job of active) if (!job.isLeftAlone) return false;
  for (const { job, ending, isFamilyTold } of attempts)
    if (!job.isLeftAlone && (ending !== undefined || isFamilyTold)) return false;
  return true;
}

async function finish(world: World, sync: GroupSync): Promise<Stopped> {
  const hasDrained = world.stopping === 'drain';
  world.stopping = 'now'; // whatever the launcher's end stirs
  if (hasDrained) publish(world); // who starts another one waits for it, and is told no more that it drains
  const running = [...world.attempts].map((attempt) => `${attempt.job.name}/${attempt.id}`);
  await sync.last();
  world.log.info('stopped', { running });
  close(world);
  await world.lock.free();
  return { status: 0, reason: 'stopped', running };
}

/** Somebody else has the directory: not a byte more is written to it. */
async function abandon(world: World, reason: string): Promise<Stopped> {
  const isGone = !isThere(world.layout.root);
  if (isGone) world.log.error('the state directory is gone', { dir: world.layout.root });
  else world.log.error('another daemon has taken the directory: this one ends', { reason });
  world.wake.close();
  world.launcher.end();
  const status = isGone && world.stopping !== undefined ? 0 : 1;
  return { status, reason: `the directory was taken over: ${reason}`, running: [] };
}

function close(world: World): void {
  world.wake.close();
  world.launcher.end();
  world.events.flush();
  world.events.close();
  world.log.close();
}

/**
 * Starts the launcher; one that dies is replaced, and what it was given and has not begun is voided by the look. After one
 * that does not work here, the next kind is tried; after the last, all are again, and nothing starts until one answers.
 */
function launch(world: World, unfit: readonly LauncherKind[] = []): void {
  world.launcher = startLauncher({
    dir: world.layout.root,
    umask: umaskOf(world.layout.root),
    unfit,
    onDone: (dir, told) => {
      noteDone(world, dir, told);
      world.wake.now();
    },
    onExit: (reason, isUnfit) => {
      if (mayEnd(world)) return;
      const { kind } = world.launcher;
      world.log.error('the launcher ended and is started again', { launcher: kind, reason });
      lookAgain(world);
      relaunch(world, isUnfit ? [...unfit, kind] : [], 100);
    },
  });
  const answered = (): void => {
    world.noLauncher = undefined;
    world.wake.pollNow();
  };
  if (world.noLauncher !== undefined)
    world.launcher.sync().then(answered, (error: unknown) => {
      if ((error as SpooldError).code !== 'LAUNCHER_GONE') answered();
    });
}

function relaunch(world: World, unfit: readonly LauncherKind[], ms: number): void {
  setTimeout(() => {
    try {
      launch(world, unfit);
      lookAgain(world); // what was handed over meanwhile was handed to nobody
    } catch (error) {
      if (!(error instanceof SpooldError)) throw error;
      world.log.error('the launcher cannot be started; tried again', errorFields(error));
      world.noLauncher =
        'no program to run tasks with can be started, or it ends at once (or no process is to be had): see daemon.log';
      world.wake.pollNow();
      relaunch(world, [], 1000); // no more processes to be had, perhaps
    }
  }, ms).unref();
}

/** The launcher is gone: whatever has not begun never will. */
function lookAgain(world: World): void {
  for (const attempt of world.attempts) {
    if (attempt.runner === undefined) delete attempt.handedAt;
    attempt.nextLook = 0;
  }
  world.wake.now();
}

function noteDone(world: World, dir: string, told: Told | undefined): void {
  const [, job, , run] = dir.split('/');
  const task = run?.slice(0, run.lastIndexOf('.'));
  const attempt = world.jobs.get(job ?? '')?.attempts.get(task ?? '');
  if (attempt === undefined || !dir.endsWith(`.${attempt.run.attempt}`)) return;
  world.looks.add(attempt);
  if (told === undefined) return;
  try {
    if (isOfThisRun(attempt.run.layout, told)) attempt.told = told; // else of a job that was moved away, and had this name
  } catch (error) {
    if (errnoOf(error) === undefined) throw error; // what is wrong with its files, the look meets again and says
  }
}

function reload(world: World, overrides: Partial<Config> | undefined): void {
  try {
    const config = { ...readConfig(world.layout), ...overrides };
    world.owners = ownersOf(config);
    world.config = config;
    applyConfig(world);
    stirAll(world);
    world.wake.pollNow();
    world.log.info('config.yaml was read again');
  } catch (error) {
    if (!(error instanceof SpooldError)) throw error;
    world.log.error('config.yaml does not read: the last good one stays in force', errorFields(error));
  }
}

function applyConfig(world: World): void {
  world.log.level = world.config.logLevel;
  world.log.format = world.config.logFormat;
}
