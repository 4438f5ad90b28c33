// daemon.json: who serves a directory, written by the daemon alone, and judged by everybody from its identity and the
// age of the lock. A copied one speaks of another directory, and is not believed.
import { statSync } from 'node:fs';
import { readParsed } from '../host/atomic.ts';
import { wallClock } from '../host/clock.ts';
import { livenessOf, type ProcessIdentity } from '../host/identity.ts';
import type { Layout } from '../protocol/layout.ts';

/** Milliseconds without a sign of life after which a lock whose holder cannot be judged by its identity is old. */
export const LOCK_STALE_MS = 30_000;

/** What is asked of a daemon that is to stop: leave what runs, wait for it, or end it. */
export type StopHow = 'now' | 'drain' | 'kill';

/** The content of daemon.json. */
export interface DaemonRecord {
  identity: ProcessIdentity;
  /** Inode of the state directory: a copied daemon.json speaks of another directory. */
  directory: string;
  version: string;
  started_at: string;
  heartbeat_at: string;
  /** It serves: recovery is over. */
  serving: boolean;
  /** The daemon before was of another boot, and what it left is still being judged. */
  after_reboot?: boolean | undefined;
  /** It was asked to stop, and how. */
  stopping?: StopHow | undefined;
  /** How many tasks it runs at one time. */
  max_parallel?: number;
  /** What it hands out: pieces as a number, bytes as `4000B`. */
  resources?: Record<string, number | string>;
  /** Seconds after which a task that waits is lifted. */
  starvation_after?: number | 'none';
  /** `job/task` of a starved one for whose resources room is kept, so that others wait though theirs are free. */
  room_for?: string | undefined;
  /** Why `max_parallel: auto` is less than the number of cores now, in words. */
  held_back?: string | undefined;
  /** Why it starts nothing new, if so, in words. */
  holding?: string | undefined;
  /** Jobs whose job.json does not read or is no valid one, and why: it starts nothing of them. */
  damaged?: Record<string, string> | undefined;
  /** Jobs that it leaves alone for their folders or their names, and why. */
  left_alone?: Record<string, string> | undefined;
}

export type DaemonState =
  | { kind: 'running'; record: DaemonRecord }
  | { kind: 'elsewhere'; record: DaemonRecord }
  | { kind: 'stopped'; record?: DaemonRecord };

/** Who serves the directory, judged from its files alone. `elsewhere`: another host or container, by the age of the lock. */
export function daemonOf(layout: Layout): DaemonState {
  const read = readDaemonRecord(layout);
  if (read === undefined || read.directory !== inodeOf(layout.root)) return { kind: 'stopped' };
  switch (livenessOf(read.identity)) {
    case 'alive':
      return { kind: 'running', record: read };
    case 'unknown':
      return lockAge(layout) < LOCK_STALE_MS ? { kind: 'elsewhere', record: read } : { kind: 'stopped', record: read };
    default:
      return { kind: 'stopped', record: read };
  }
}

/** What daemon.json says; undefined if it is missing or damaged. */
export function readDaemonRecord(layout: Layout): DaemonRecord | undefined {
  const read = readParsed(layout.daemon, (text) => JSON.parse(text) as DaemonRecord);
  return read.kind === 'ok' && typeof read.value?.identity?.pid === 'number' ? read.value : undefined;
}

/** The inode of a state directory, as daemon.json has it. */
export function inodeOf(path: string): string {
  return String(statSync(path, { bigint: true }).ino);
}

/** Milliseconds since the lock's holder last touched it; infinite if there is no lock. */
function lockAge(layout: Layout): number {
  const stat = statSync(layout.lock, { throwIfNoEntry: false });
  return stat === undefined ? Number.POSITIVE_INFINITY : wallClock() - stat.mtimeMs;
}
