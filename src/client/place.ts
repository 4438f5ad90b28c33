// What keeps a place from starting anything: no daemon, a pause, a daemon that holds back. Said first by whoever shows
// the place, and asked by whoever waits for it.
import { isThere, readParsed } from '../host/atomic.ts';
import { isFrozen } from '../host/identity.ts';
import type { JobLayout, Layout } from '../protocol/layout.ts';
import { type DaemonState, daemonOf } from '../store/daemon-record.ts';
import { readParallel } from '../store/snapshot.ts';
import { VERSION } from '../version.ts';
import type { Cause } from './causes.ts';
import { obstacleIn, obstacleWords } from './own-folders.ts';
import { type Pause, readPause } from './pause.ts';

export interface Place {
  /** The state directory. */
  root: string;
  daemon: DaemonState;
  /** It is stopped, by Ctrl-Z or SIGSTOP: it does nothing, and keeps its place. */
  isFrozen: boolean;
  /** The version of the daemon, where it is not this one. */
  otherVersion: string | undefined;
  pause: Pause | undefined;
  parallel: number | 'damaged' | undefined;
}

/** What holds for the whole directory now. */
export function placeOf(layout: Layout): Place {
  const daemon = daemonOf(layout);
  const version = daemon.kind === 'stopped' ? undefined : daemon.record.version;
  return {
    root: layout.root,
    daemon,
    isFrozen: daemon.kind === 'running' && isFrozen(daemon.record.identity),
    otherVersion: version === VERSION ? undefined : version,
    pause: readPause(layout),
    parallel: readParallel(layout.parallel),
  };
}

/** The `daemon` of `status --json`. */
export function daemonJson({ daemon, isFrozen: frozen }: Place): {
  running: boolean;
  frozen: boolean;
  pid: number | null;
  version: string | null;
  started_at: string | null;
} {
  if (daemon.kind === 'stopped') return { running: false, frozen, pid: null, version: null, started_at: null };
  const { identity, version, started_at } = daemon.record;
  return { running: true, frozen, pid: identity.pid, version, started_at };
}

/** True if somebody serves the directory, here or elsewhere. */
export function isServed(layout: Layout): boolean {
  return daemonOf(layout).kind !== 'stopped';
}

/**
 * Why nothing of a job is started: its job.json, or (`left_alone`) its folders or its name; `closed`: it cannot be looked into
 * either. `path`: what is to be mended.
 */
export interface JobTrouble {
  kind: 'damaged' | 'left_alone' | 'closed';
  path: string;
  reason: string;
}

/**
 * Undefined if nothing is known that keeps the whole job. Whether a job.json that reads is a valid one, and who may write to
 * the folders, is the daemon's to judge: it says so in daemon.json within a second, and without one nothing starts anyhow.
 */
export function jobTrouble({ kind, record }: DaemonState, name: string, job: JobLayout): JobTrouble | undefined {
  const obstacle = obstacleIn(job);
  if (obstacle !== undefined) {
    const reason = obstacleWords(obstacle);
    return { kind: obstacle.kind === 'closed' ? 'closed' : 'left_alone', path: job.root, reason };
  }
  const damage = jobDamage(job.settings);
  if (damage !== undefined) return { kind: 'damaged', path: job.settings, reason: damage };
  if (kind === 'stopped') return undefined;
  const said = (all: Record<string, string> = {}) => (Object.hasOwn(all, name) ? all[name] : undefined);
  const [invalid, leftAlone] = [said(record.damaged), said(record.left_alone)];
  if (invalid !== undefined)
    return { kind: 'damaged', path: job.settings, reason: invalid.replaceAll(`${job.settings}:`, '').trim() };
  return leftAlone === undefined ? undefined : { kind: 'left_alone', path: job.root, reason: leftAlone };
}

/** As `why --json` and `status --json` have it. */
export function troubleCause({
  kind,
  path,
  reason,
}: JobTrouble): Cause & { cause: 'job_unreadable' | 'job_left_alone' } {
  return { cause: kind === 'damaged' ? 'job_unreadable' : 'job_left_alone', path, reason };
}

/** Why job.json does not read as JSON; undefined if it does, or is not there. */
function jobDamage(path: string): string | undefined {
  if (!isThere(path)) return undefined; // the common answer, and an exception costs more than a stat
  const read = readParsed(path, (text) => JSON.parse(text) as unknown);
  return read.kind === 'damaged' ? read.reason : undefined;
}
