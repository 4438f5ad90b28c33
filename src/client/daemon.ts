// Starting, stopping and finding the daemon: by its files and one signal, never by a connection. Whoever starts one waits
// until daemon.json says that it serves; whoever stops one signals its identity, never a bare number, and waits for its end.
import { spawn } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { SpooldError, unless } from '../errors.ts';
import { isThere } from '../host/atomic.ts';
import { monotonic } from '../host/clock.ts';
import { isFrozen, livenessOf, signalProcess } from '../host/identity.ts';
import type { Layout } from '../protocol/layout.ts';
import { type DaemonRecord, type DaemonState, daemonOf, type StopHow } from '../store/daemon-record.ts';
import { claimedAttempt, findRun } from '../store/runs.ts';
import { jobNames } from '../store/snapshot.ts';
import { idsIn } from '../store/tasks.ts';
import { attemptOf, leftOf } from './attempts.ts';
import { dirOption, ownUmask } from './directory.ts';
import { leaveStopRequest } from './stop-request.ts';

const LOOK_EVERY_MS = 20;
/** Milliseconds that a daemon may take to begin, its recovery included. */
const BEGINS_WITHIN_MS = 60_000;
/** Milliseconds that a stop may take that waits for nothing. */
const STOPS_WITHIN_MS = 30_000;

/** What `start --background-child` ends with when another daemon has the directory. */
export const ANOTHER_SERVES = 75;

export type { DaemonRecord, DaemonState, StopHow };
export { daemonOf };

/** Who works on what lies in the directory: a daemon here, one on another host or in another container, or nobody. */
export function whoServes(layout: Layout): 'here' | 'elsewhere' | 'nobody' {
  const { kind } = daemonOf(layout);
  return kind === 'running' ? 'here' : kind === 'elsewhere' ? 'elsewhere' : 'nobody';
}

export interface Started {
  pid: number;
  /** False: it was running already. */
  isNew: boolean;
  version: string;
}

/**
 * Starts a daemon in the background by `script` (the command line's own), and returns once some daemon serves. Any number
 * may do so at one time: one of them serves. Errors: DAEMON_ELSEWHERE, DAEMON_DRAINING, DAEMON_FROZEN, DAEMON_FAILED, DAEMON_SLOW.
 */
export async function startDaemon(layout: Layout, script: string): Promise<Started> {
  const deadline = monotonic() + BEGINS_WITHIN_MS;
  for (;;) {
    const found = daemonOf(layout);
    if (found.kind === 'elsewhere') throw elsewhere(layout, found.record);
    const record = found.kind === 'running' ? await untilServing(layout, deadline) : undefined;
    if (record !== undefined) return { pid: record.identity.pid, isNew: false, version: record.version };
    const started = await spawnDaemon(layout, script, deadline);
    if (started !== undefined) return started;
  }
}

/**
 * The record of the daemon that is there once it serves; undefined if it went away, or has given the directory back: its
 * process may have other things to do yet. Errors: DAEMON_DRAINING, DAEMON_FROZEN, DAEMON_SLOW.
 */
async function untilServing(layout: Layout, deadline: number): Promise<DaemonRecord | undefined> {
  for (;;) {
    const found = daemonOf(layout);
    if (found.kind !== 'running') return undefined;
    const { identity, serving, stopping } = found.record;
    if (stopping !== undefined && !isThere(layout.lock)) return undefined;
    if (isFrozen(identity)) throw frozen(layout, identity.pid);
    if (stopping === 'drain') throw draining(layout, identity.pid);
    if (serving && stopping === undefined) return found.record;
    if (monotonic() > deadline) throw slow(layout, identity.pid, stopping === undefined ? 'serve' : 'stop');
    await pause(LOOK_EVERY_MS);
  }
}

/** Room for new objects, in MB: what V8 takes by default would be a third of a daemon's memory, and makes it no faster. */
const SMALL_NURSERY = '--max-semi-space-size=1';

/** Undefined if another one was faster. */
async function spawnDaemon(layout: Layout, script: string, deadline: number): Promise<Started | undefined> {
  const umask = process.umask(ownUmask()); // tasks are to have the user's own, which they get through the daemon
  const child = spawn(
    process.execPath,
    [...process.execArgv, SMALL_NURSERY, script, 'start', '--background-child', '--dir', layout.root],
    {
      cwd: layout.root,
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: outsideOfTasks(process.env),
    },
  );
  process.umask(umask);
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(-10_000)));
  const end = new Promise<number | string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown'));
  });
  const last: { status?: number | string } = {};
  void end.then((status) => (last.status = status));
  while (last.status === undefined) {
    const found = daemonOf(layout);
    if (found.kind === 'running' && found.record.serving && found.record.identity.pid === child.pid) {
      child.stderr.destroy();
      child.unref();
      return { pid: child.pid, isNew: true, version: found.record.version };
    }
    if (monotonic() > deadline) throw slow(layout, child.pid, 'serve');
    await Promise.race([end, pause(LOOK_EVERY_MS)]);
  }
  if (last.status === ANOTHER_SERVES && monotonic() < deadline) {
    await pause(LOOK_EVERY_MS); // its daemon.json may be a moment away
    return undefined;
  }
  throw new SpooldError('DAEMON_FAILED', reasonIn(complaint) ?? `The daemon ended at once (${last.status}).`, {
    path: layout.log,
    exit: last.status === 2 || last.status === 3 ? last.status : 1,
    hint: hintIn(complaint) ?? `Its log may say more: ${layout.log}`,
  });
}

/** What the child has printed, as `printError` does it: a line for the message, then what to do. */
function reasonIn(complaint: string): string | undefined {
  const [first] = complaint.trim().split('\n');
  return first === undefined || first === '' ? undefined : first.replace(/^spoold: /, '');
}

function hintIn(complaint: string): string | undefined {
  const rest = complaint.trim().split('\n').slice(1).join('\n');
  return rest === '' ? undefined : rest;
}

function outsideOfTasks(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('SPOOLD_')));
}

function elsewhere(layout: Layout, { identity }: DaemonRecord): SpooldError {
  return new SpooldError(
    'DAEMON_ELSEWHERE',
    `A daemon on ${identity.host} (process ${identity.pid}) serves ${layout.root}, and it cannot be seen from here.`,
    {
      path: layout.daemon,
      exit: 3,
      hint: 'Stop it there. If that host or container is gone, its lock is free 30 seconds after its last sign of life.',
    },
  );
}

function slow(layout: Layout, pid: number | undefined, what: 'serve' | 'stop'): SpooldError {
  const within = `after ${BEGINS_WITHIN_MS / 1000} s`;
  return new SpooldError(
    'DAEMON_SLOW',
    what === 'serve'
      ? `The daemon (process ${pid}) does not serve yet ${within}.`
      : `The daemon (process ${pid}) was asked to stop, and has not stopped yet ${within}.`,
    {
      path: layout.log,
      exit: 1,
      hint: `${what === 'serve' ? 'It may still be recovering: see' : 'See'} ${layout.log} and spoold status${dirOption(layout)}.`,
    },
  );
}

function draining(layout: Layout, pid: number): SpooldError {
  return new SpooldError(
    'DAEMON_DRAINING',
    `The daemon (process ${pid}) is draining: it starts nothing new, and stops when what runs has ended.`,
    {
      path: layout.daemon,
      exit: 1,
      hint: `To have another one serve at once, while what runs goes on: spoold restart${dirOption(layout)}`,
    },
  );
}

/** `asked`: it was asked to stop before it was found frozen, which cannot be taken back. */
function frozen({ daemon }: Layout, pid: number, asked = false): SpooldError {
  return new SpooldError(
    'DAEMON_FROZEN',
    `The daemon (process ${pid}) is frozen, by Ctrl-Z or SIGSTOP: it does nothing, and keeps its place${asked ? ' until it is woken; it was asked to stop, and does then' : ''}.`,
    { path: daemon, exit: 1, hint: `Wake it: kill -CONT ${pid}. Or end it, and what runs goes on: kill -KILL ${pid}` },
  );
}

export interface Stopped {
  /** Undefined: none was running. */
  pid: number | undefined;
  /** Tasks that run on without it, as JOB/TASK. */
  running: string[];
  /** Tasks of which nothing runs any more, and no daemon has noted it yet. */
  unnoted: string[];
}

export interface StopOptions {
  how: StopHow;
  /** Milliseconds to wait for its end. Unless told: 30 s for a stop that waits for nothing, else no bound. */
  timeout?: number | undefined;
  /** Called about once a second with what still runs. */
  onWait?: (running: string[]) => void;
}

/** Asks the daemon to stop and waits until it has. Errors: DAEMON_ELSEWHERE, DAEMON_FROZEN, STOP_TIMEOUT (it goes on stopping). */
export async function stopDaemon(layout: Layout, { how, timeout, onWait }: StopOptions): Promise<Stopped> {
  const found = daemonOf(layout);
  if (found.kind === 'elsewhere') throw elsewhere(layout, found.record);
  if (found.kind === 'stopped') return { pid: undefined, ...leftTasks(layout) };
  const { identity } = found.record;
  if (isFrozen(identity)) throw frozen(layout, identity.pid); // or it would stop whenever it is woken
  leaveStopRequest(layout, how);
  signalProcess(identity, 'SIGTERM');
  const deadline = monotonic() + (timeout ?? (how === 'now' ? STOPS_WITHIN_MS : Number.POSITIVE_INFINITY));
  let told = monotonic();
  while (livenessOf(identity) === 'alive') {
    if (monotonic() > deadline) throw stillThere(layout, identity.pid, how);
    if (monotonic() - told >= 1000) {
      if (isFrozen(identity)) throw frozen(layout, identity.pid, true); // no signal but KILL reaches it
      onWait?.(runningTasks(layout));
      told = monotonic();
    }
    await pause(LOOK_EVERY_MS);
  }
  return { pid: identity.pid, ...leftTasks(layout) };
}

function stillThere(layout: Layout, pid: number, how: StopHow): SpooldError {
  const running = runningTasks(layout);
  const message = `The daemon (process ${pid}) has not stopped yet: ${running.length === 1 ? `${running[0]} runs` : `${running.length} tasks run`}.`;
  const hint =
    how === 'drain'
      ? 'It starts nothing new and goes on waiting for them. spoold stop leaves them running, --kill ends them.'
      : `See ${layout.log}.`;
  return new SpooldError('STOP_TIMEOUT', message, { exit: 124, hint });
}

/** The tasks in running/ when no daemon is there. */
function leftTasks(layout: Layout): Pick<Stopped, 'running' | 'unnoted'> {
  const [running, unnoted]: [string[], string[]] = [[], []];
  for (const address of runningTasks(layout))
    ((unless('EACCES', () => runsOn(layout, address)) ?? true) ? running : unnoted).push(address);
  return { running, unnoted };
}

function runsOn(layout: Layout, address: string): boolean {
  const [name = '', id = ''] = address.split('/');
  const job = layout.job(name);
  const number = claimedAttempt(job, id);
  const run = number === undefined ? undefined : findRun(job, id, number);
  if (run === undefined) return true; // it is being taken up
  const attempt = attemptOf(run);
  const { kind } = attempt.now;
  return kind === 'live' || kind === 'starting' || (kind === 'gone' && leftOf(attempt) > 0);
}

/** Tasks in running/, as JOB/TASK, as far as that may be read. */
function runningTasks(layout: Layout): string[] {
  const runningIn = (name: string) => unless('EACCES', () => idsIn(layout.job(name).folder('running'))) ?? [];
  const names = unless('EACCES', () => jobNames(layout)) ?? [];
  return names.flatMap((name) =>
    runningIn(name)
      .sort()
      .map((id) => `${name}/${id}`),
  );
}
