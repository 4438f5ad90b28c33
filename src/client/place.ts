// What keeps a place from starting anything: no daemon, a pause, a daemon that holds back. Said first by whoever shows
// the place, and asked by whoever waits for it.
import { isThere, readParsed } from '../host/atomic.ts';
import type { Layout } from '../protocol/layout.ts';
import { type DaemonState, daemonOf } from '../store/daemon-record.ts';
import { readParallel } from '../store/snapshot.ts';
import { VERSION } from '../version.ts';
import { type Pause, readPause } from './pause.ts';

export interface Place {
  /** The state directory. */
  root: string;
  daemon: DaemonState;
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
    otherVersion: version === VERSION ? undefined : version,
    pause: readPause(layout),
    parallel: readParallel(layout.parallel),
  };
}

/** The `daemon` of `status --json`. */
export function daemonJson({ daemon }: Place): {
  running: boolean;
  pid: number | null;
  version: string | null;
  started_at: string | null;
} {
  if (daemon.kind === 'stopped') return { running: false, pid: null, version: null, started_at: null };
  const { identity, version, started_at } = daemon.record;
  return { running: true, pid: identity.pid, version, started_at };
}

/** True if somebody serves the directory, here or elsewhere. */
export function isServed(layout: Layout): boolean {
  return daemonOf(layout).kind !== 'stopped';
}

/** Why job.json does not read as JSON, which starts nothing in the job; undefined if it does, or is not there. */
export function jobDamage(path: string): string | undefined {
  if (!isThere(path)) return undefined; // the common answer, and an exception costs more than a stat
  const read = readParsed(path, (text) => JSON.parse(text) as unknown);
  return read.kind === 'damaged' ? read.reason : undefined;
}
