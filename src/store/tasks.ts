// Task files: reading one that anybody may have dropped, judged on one descriptor so that what was checked is what is
// read; setting aside what is no task, its reason first, so that a crash leaves a reason without a file and never a file
// without a reason; and finding which folder holds an id.
import { isUtf8 } from 'node:buffer';
import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readSync, type Stats } from 'node:fs';
import { errnoOf, SpooldError, unless } from '../errors.ts';
import {
  createFolder,
  isThere,
  type Moved,
  moveIfFree,
  namesIn,
  overwrite,
  remove,
  renameUnreadable,
} from '../host/atomic.ts';
import { parseJson } from '../protocol/json.ts';
import type { JobLayout } from '../protocol/layout.ts';
import { taskIdOf } from '../protocol/names.ts';
import { PRECEDENCE, type State } from '../protocol/states.ts';

/** Largest task file, and largest bundle (an array of tasks), in bytes. */
export const MAX_TASK_BYTES = 1024 * 1024;
export const MAX_BUNDLE_BYTES = 64 * 1024 * 1024;

export type Drop =
  | { kind: 'missing' }
  /** Parsed JSON, not yet judged as a task. `stamp` changes when the file does; `queuedAt` is its mtime in ms. */
  | { kind: 'json'; value: unknown; text: string; stamp: string; queuedAt: number }
  /** Begins as an array, or is too large for a task: maybe a bundle; for the worker to read. */
  | { kind: 'bundle'; stamp: string; bytes: number }
  /** Does not parse, or has a second name: perhaps still being written. */
  | { kind: 'unfinished'; stamp: string; reason: string; text?: string; isLinked?: true }
  | { kind: 'refused'; stamp: string; reason: string };

/**
 * Reads a dropped file. Never follows a link, never waits for a FIFO, and refuses what does not belong to one of
 * `owners` or may be written by everybody; without `owners`, whose it is was judged before.
 */
export function readDrop(path: string, owners?: ReadonlySet<number>): Drop {
  let fd: number;
  try {
    fd = openUntouched(path);
  } catch (error) {
    return unopenable(path, error);
  }
  try {
    const stat = fstatSync(fd);
    const stamp = stampOf(stat);
    const reason = strangeness(stat, owners);
    if (reason !== undefined) return { kind: 'refused', stamp, reason };
    if (stat.size > MAX_BUNDLE_BYTES) {
      return {
        kind: 'refused',
        stamp,
        reason: `it has ${megabytes(stat.size)}; a task may have 1 MB, an array of tasks 64 MB`,
      };
    }
    if (stat.nlink > 1) {
      const linked = 'the file has a second name (a hard link): make a copy instead';
      return { kind: 'unfinished', stamp, reason: linked, isLinked: true };
    }
    if (stat.size > MAX_TASK_BYTES) return { kind: 'bundle', stamp, bytes: stat.size };
    return parseDrop(readAll(fd, stat.size), stamp, stat);
  } finally {
    closeSync(fd);
  }
}

/** The text of a bundle, under the same conditions as `readDrop`; for the worker that spreads it. */
export function readBundleText(path: string, owners?: ReadonlySet<number>): string {
  const fd = openSync(path, constants.O_RDONLY | CAREFULLY);
  try {
    const stat = fstatSync(fd);
    const reason = strangeness(stat, owners);
    if (reason !== undefined) throw new SpooldError('BUNDLE_STRANGE', `${path}: ${reason}`, { path });
    return readAll(fd, stat.size).toString('utf8');
  } finally {
    closeSync(fd);
  }
}

function parseDrop(bytes: Buffer, stamp: string, stat: Stats): Drop {
  if (bytes.length > SMALL_BYTES) {
    const { depth, keys } = shapeOf(bytes);
    if (depth > MAX_DEPTH) return { kind: 'refused', stamp, reason: `it is nested more than ${MAX_DEPTH} deep` };
    if (keys > MAX_KEYS && isArray(bytes)) return { kind: 'bundle', stamp, bytes: bytes.length };
    if (keys > MAX_KEYS)
      return {
        kind: 'refused',
        stamp,
        reason: `it has ${keys} keys, at most ${MAX_KEYS} are read: put them into a file`,
      };
  }
  const text = bytes.toString('utf8');
  if (text.includes('\uFFFD') && !isUtf8(bytes))
    return { kind: 'unfinished', stamp, reason: 'the file is not valid UTF-8' };
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    return { kind: 'unfinished', stamp, reason: (error as Error).message, text };
  }
  if (Array.isArray(value)) return { kind: 'bundle', stamp, bytes: bytes.length };
  return { kind: 'json', value, text, stamp, queuedAt: stat.mtimeMs };
}

/** Deeper texts take JSON.parse long, and whoever walks their values runs out of stack. */
const MAX_DEPTH = 1_000;
/** Of an object with 60,000 keys, JSON.parse alone makes a tenth of a second. */
const MAX_KEYS = 25_000;
/** Cannot be so deep, or have so many keys, that it matters. */
const SMALL_BYTES = 4_096;

/** How deep it is nested, as far as that matters, and how many keys it has: one pass over the bytes, strings passed over. */
function shapeOf(bytes: Buffer): { depth: number; keys: number } {
  let [depth, deepest, keys] = [0, 0, 0];
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === 0x22) {
      for (at++; at < bytes.length && bytes[at] !== 0x22; at++) if (bytes[at] === 0x5c) at++;
    } else if (byte === 0x5b || byte === 0x7b) {
      deepest = Math.max(deepest, ++depth);
    } else if (byte === 0x5d || byte === 0x7d) depth--;
    else if (byte === 0x3a) keys++;
  }
  return { depth: deepest, keys };
}

/** By what it begins with. */
function isArray(bytes: Buffer): boolean {
  return /^\s*\[/.test(bytes.toString('latin1', 0, SMALL_BYTES));
}

/** True if a file holds no more than a beginning of `text`, or zeros in its place: what a power cut leaves of a file that was not synced. */
export function isCutShort(path: string, text: string): boolean {
  const drop = readDrop(path);
  return (
    drop.kind === 'unfinished' && drop.text !== undefined && (text.startsWith(drop.text) || /^\0*$/.test(drop.text))
  );
}

/** No links are followed, and no FIFO is waited for. */
const CAREFULLY = constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** When it was read last is nobody's concern, and to write that down takes longer than to read. Only its owner may ask for that. */
function openUntouched(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | CAREFULLY | constants.O_NOATIME);
  } catch (error) {
    if (errnoOf(error) !== 'EPERM') throw error;
    return openSync(path, constants.O_RDONLY | CAREFULLY);
  }
}

function unopenable(path: string, error: unknown): Drop {
  const code = errnoOf(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: 'missing' };
  if (code === 'EMFILE' || code === 'ENFILE' || code === 'ENOMEM') throw error; // that is our trouble, not the file's
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return { kind: 'missing' };
  const stamp = stampOf(stat);
  if (code === 'ELOOP')
    return {
      kind: 'refused',
      stamp,
      reason: 'it is a symbolic link, and links are not followed: copy the file instead',
    };
  if (code === 'EACCES')
    return { kind: 'refused', stamp, reason: "the daemon may not read it: chmod u+r, or let the daemon's user own it" };
  if (code === 'ENXIO') return { kind: 'refused', stamp, reason: 'it is a socket, not a file' };
  return { kind: 'unfinished', stamp, reason: `it cannot be opened: ${(error as Error).message}` };
}

function strangeness(stat: Stats, owners: ReadonlySet<number> | undefined): string | undefined {
  if (stat.isDirectory()) return 'it is a folder, not a file';
  if (stat.isFIFO()) return 'it is a FIFO, not a file';
  if (!stat.isFile()) return 'it is a device, not a file';
  if (owners === undefined) return undefined;
  if (!owners.has(stat.uid)) {
    return `it belongs to user ${stat.uid}, whose tasks are not run here: a task runs as the daemon's user. To trust that user, add it to allowed_owners in config.yaml`;
  }
  if ((stat.mode & 0o002) !== 0) return 'every user of this host may write to it: chmod o-w';
  return undefined;
}

function readAll(fd: number, size: number): Buffer {
  const buffer = Buffer.allocUnsafe(size);
  let length = 0;
  for (let read = 1; length < size && read > 0; length += read)
    read = readSync(fd, buffer, length, size - length, length);
  return buffer.subarray(0, length);
}

function stampOf(stat: Stats): string {
  return `${stat.ino}:${stat.mtimeMs}:${stat.size}:${stat.mode}:${stat.uid}:${stat.nlink}`;
}

/** What changes when the file does: its inode, time, size and rights. Undefined if it is gone. */
export function fileStamp(path: string): string | undefined {
  const stat = unless('ENOTDIR', () => lstatSync(path, { throwIfNoEntry: false }));
  return stat && stampOf(stat);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** On its way: a task that moves on while we look is seen in one folder at least. */
const ON_ITS_WAY: readonly State[] = ['pending', 'running', 'succeeded', 'failed', 'cancelled', 'skipped'];

/** The folders an id lies in, by precedence. A few stats; no folder is read. */
export function foldersHolding(job: JobLayout, id: string): State[] {
  const there = ON_ITS_WAY.filter((state) => isThere(job.task(state, id)));
  return there.length < 2 ? there : PRECEDENCE.filter((state) => there.includes(state));
}

/** Where a task lies. */
export interface Lying {
  state: State;
  path: string;
}

/**
 * Where a task lies that has been queued: in the first folder that has it, or held back as `x.held`, or nowhere. A few
 * stats. A move under way can hide a name from one look, never from two.
 */
export function lyingAt(job: JobLayout, id: string): Lying | undefined {
  const look = (): Lying | undefined => {
    const [state] = foldersHolding(job, id);
    if (state !== undefined) return { state, path: job.task(state, id) };
    return isThere(job.held(id)) ? { state: 'pending', path: job.held(id) } : undefined;
  };
  return look() ?? look();
}

/**
 * Sets `pending/<fileName>` (or one of another folder) aside in rejected/, with its reason beside it. The reason is
 * written first, with `lineage` under its own name only. A name that is taken gets a number: `x.2.json`. Gives the name it
 * has there, without `.json`.
 */
export function reject(job: JobLayout, from: string, name: string, reason: string, lineage = ''): string | undefined {
  createFolder(job.folder('rejected'));
  const target = freeRejectedName(job, name);
  const text = target === name ? `${reason}${lineage}` : reason;
  overwrite(job.rejection(target), text.endsWith('\n') ? text : `${text}\n`);
  if (moveIfFree(from, job.task('rejected', target)) === 'moved') return target;
  remove(job.rejection(target));
  return undefined;
}

/** A name that nothing in rejected/ has yet: `x`, `x.2`, `x.3`, … With holes in that row it is one of several. */
export function freeRejectedName(job: JobLayout, name: string): string {
  const short = shortened(name);
  const nameOf = (n: number): string => (n === 1 ? short : `${short}.${n}`);
  const isTaken = (n: number): boolean => isThere(job.task('rejected', nameOf(n)));
  // Of 100,000 that have it, each is not asked for: doubled until one is free, then halved between that and a taken one.
  let [taken, free] = [0, 1];
  while (isTaken(free)) [taken, free] = [free, 2 * free];
  while (free - taken > 1) {
    const middle = Math.floor((taken + free) / 2);
    if (isTaken(middle)) taken = middle;
    else free = middle;
  }
  return nameOf(free);
}

/** The beginning of a name that leaves room for a number and `.error.txt`: file systems take 255 bytes. */
export function shortened(name: string): string {
  let short = name.slice(0, 200);
  while (Buffer.byteLength(short) > 200) short = short.slice(0, -1);
  return short.replace(/[\uD800-\uDBFF]$/, '');
}

/** Drops whose names are not UTF-8 cannot be addressed by text: they are renamed, so that they can be rejected. Gives the new names, one by one. */
export function* renameUnreadableNames(folder: string): Generator<string, void> {
  for (const bytes of readdirSync(folder, { encoding: 'buffer' })) {
    const text = bytes.toString('utf8');
    if (!text.includes('\uFFFD') || !text.endsWith('.json') || text.startsWith('.')) continue;
    const stem = shortened(text.slice(0, -'.json'.length));
    const name = `not-utf8-${stem.replaceAll(/[^A-Za-z0-9._=+@:-]/g, '_')}.json`;
    if (renameUnreadable(folder, bytes, name)) yield name;
  }
}

/** Moves a waiting task into skipped/ or cancelled/, its cause written first. */
export function skip(job: JobLayout, id: string, reason: string, to: 'skipped' | 'cancelled' = 'skipped'): Moved {
  createFolder(job.folder(to));
  overwrite(job.reason(id, to), reason);
  const moved = moveIfFree(job.task('pending', id), job.task(to, id));
  if (moved === 'missing') remove(job.reason(id, to));
  return moved;
}

/** Task ids in a folder, in no order. */
export function idsIn(folder: string): string[] {
  return namesIn(folder).flatMap((name) => taskIdOf(name) ?? []);
}
