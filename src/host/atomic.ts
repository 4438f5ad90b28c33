// Every change to a disk goes through here, and every function's name is its guarantee:
// create… claims a name that nobody else can then claim; publish shows a file whole or not at all; replace… swaps a
// whole file; move… never lands on top of anything. Calls are synchronous: on local disks they cost less than promises.
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  type Dir,
  fchmodSync,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  opendirSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import writeFileAtomic from 'write-file-atomic';
import { errnoOf, unless } from '../errors.ts';
import { readRegular } from './regular.ts';
import { monotonic, wallClock } from './clock.ts';

export type Content = string | Uint8Array;
const GONE = ['ENOENT', 'ENOTDIR'];

/** A process that has made no change for so long may have been frozen, in ms. */
const HELD_UP_MS = 5_000;

/** Directory → who still may change it. */
const guards = new Map<string, { isOurs: () => boolean; lost: boolean }>();
let lastChange = { monotonic: 0, wall: 0 };

/**
 * From now on, this process asks `isOurs` before it changes anything in `root` after a gap: it may have been frozen, or
 * its host asleep, and another have taken its place. Once the answer was no, every change there fails with ESTALE. Gives what
 * ends the guard.
 */
export function guardChanges(root: string, isOurs: () => boolean): () => void {
  const guard = { isOurs, lost: false };
  guards.set(root, guard);
  return () => void (guards.get(root) === guard && guards.delete(root));
}

/** To be called right before every change; fails with ESTALE if the place is another's by now. */
export function beforeChange(path: string): void {
  if (guards.size === 0) return;
  const last = lastChange;
  lastChange = { monotonic: monotonic(), wall: wallClock() };
  const gap = Math.max(lastChange.monotonic - last.monotonic, Math.abs(lastChange.wall - last.wall));
  for (const [root, guard] of guards) {
    if (gap > HELD_UP_MS) guard.lost ||= !guard.isOurs();
    if (guard.lost && (path === root || path.startsWith(`${root}/`)))
      throw Object.assign(new Error(`ESTALE: ${root} is served by another process by now, change '${path}'`), {
        code: 'ESTALE',
      });
  }
}

const processTag = randomBytes(4).toString('hex');
let counter = 0;
/** A dot name that no other process, thread or call gives: what is not finished yet is called so. */
export function unfinishedName(hint = 'new'): string {
  counter += 1;
  return `.${hint}-${processTag}-${counter.toString(36)}`;
}

function closing<T>(fd: number, use: (fd: number) => T): T {
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

/** A disk that is nearly full takes a part of it without an error: the rest is what fails. */
function writeAll(fd: number, content: Content): void {
  const written = typeof content === 'string' ? writeSync(fd, content) : writeSync(fd, content);
  if (written === Buffer.byteLength(content)) return;
  let bytes = (typeof content === 'string' ? Buffer.from(content) : content).subarray(written);
  while (bytes.length > 0) bytes = bytes.subarray(writeSync(fd, bytes));
}

function writeNew(path: string, content: Content, sync: boolean, mode?: number): void {
  beforeChange(path);
  const fd = openSync(path, 'wx', mode ?? 0o666);
  try {
    if (mode !== undefined) fchmodSync(fd, mode);
    writeAll(fd, content);
    if (sync) fsyncSync(fd);
  } catch (error) {
    closeSync(fd);
    unless(GONE, () => unlinkSync(path)); // ours alone: it was made exclusively a moment ago
    throw Object.assign(error as Error, { path }); // a full disk names no file by itself
  }
  closeSync(fd);
}

/**
 * Makes a file that was not there. Fails with EEXIST if it was. A reader may see it half written, so it is for
 * files whose reader takes an incomplete one for absent.
 */
export function createExclusive(path: string, content: Content, options: { mode?: number; sync?: boolean } = {}): void {
  writeNew(path, content, options.sync ?? false, options.mode);
}

/** Makes a symbolic link that was not there: a claim. False if the name is taken. */
export function claimLink(target: string, path: string): boolean {
  beforeChange(path);
  return unless('EEXIST', () => (symlinkSync(target, path), true)) ?? false;
}

/** Gives `existing` a second name, if that name is free: false if it is taken, and nothing is changed. */
export function linkExclusive(existing: string, name: string): boolean {
  beforeChange(name);
  return unless('EEXIST', () => (linkSync(existing, name), true)) ?? false;
}

/**
 * Shows a new file under its name, whole, unless the name is taken (then false, and nothing is changed).
 * Written under a dot name in the same folder, then linked. With `sync` its data is on the disk before it is seen;
 * the folder is not synced (`syncFolder`). A crash leaves the dot name.
 */
export function publish(path: string, content: Content, options: { sync?: boolean } = {}): boolean {
  const unfinished = join(dirname(path), unfinishedName());
  writeNew(unfinished, content, options.sync ?? false);
  try {
    return linkExclusive(unfinished, path);
  } finally {
    remove(unfinished);
  }
}

/**
 * Swaps a whole file for another; a crash leaves the one or the other (or a dot name), a power cut maybe neither. For
 * caches; with `sync` the data is on the disk before it is seen, and only the folder is left to be synced.
 */
export function replaceWhole(path: string, content: Content, options: { sync?: boolean } = {}): void {
  const unfinished = join(dirname(path), unfinishedName());
  writeNew(unfinished, content, options.sync ?? false);
  beforeChange(path);
  renameSync(unfinished, path);
}

/** Swaps a whole file for another so that it survives a power cut: data synced, renamed, folder synced. A link in its place is removed: it would be followed. */
export function replaceDurably(path: string, content: string): void {
  beforeChange(path);
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) unlinkSync(path);
  writeFileAtomic.sync(path, content, { mode: 0o666 & ~process.umask(), fsync: true });
  syncFolder(dirname(path));
}

/** Writes a small file over what is there; a reader may see it half written, and takes that for absent. A link, a FIFO or the like in its place is removed, and never written through. */
export function overwrite(path: string, content: Content, how = constants.O_TRUNC): void {
  beforeChange(path);
  const flags = how | constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const fd = unless(['ELOOP', 'ENXIO'], () => openSync(path, flags, 0o666));
  const write = (open: number) => fstatSync(open).isFile() && (writeAll(open, content), true);
  const isFile = fd !== undefined && closing(fd, write);
  if (isFile) return;
  unlinkSync(path);
  createExclusive(path, content);
}

/** As `overwrite`, but after what is there. A crash or a full disk may cut off what was added. */
export function append(path: string, content: Content): void {
  overwrite(path, content, constants.O_APPEND);
}

export type Moved = 'moved' | 'exists' | 'missing';
/** `no folder`: there is none to move it into. */
export type MovedByLink = Moved | 'no folder';

/** Moves by rename if nothing has the new name; makes a removed folder again. Who makes that name by hand between look and rename is overwritten: for names that only the daemon makes. */
export function moveIfFree(from: string, to: string): Moved {
  if (isThere(to)) return 'exists';
  beforeChange(to);
  const moved = unless(GONE, () => (renameSync(from, to), 'moved' as const));
  if (moved || !isThere(from) || isFolder(dirname(to))) return moved ?? 'missing';
  return unless('ENOENT', () => (createFolder(dirname(to)), renameSync(from, to), 'moved' as const)) ?? 'missing';
}

/**
 * Moves a file by link, then unlink: never onto anything, and a crash half way leaves both names of the one file,
 * which a second call finishes. For files that nobody else renames meanwhile (those under a claim).
 */
export function moveByLink(from: string, to: string): MovedByLink {
  const linked = unless(GONE, () => linkExclusive(from, to));
  if (linked === undefined) return isThere(from) ? 'no folder' : 'missing';
  if (!linked && !isSameFile(from, to)) return 'exists';
  remove(from);
  return 'moved';
}

/**
 * Moves in one system call that fails if the new name is taken (renameat2 with NOREPLACE, which Node does not have and
 * `mv` does). A process each: for what a person does by the command line.
 */
export function moveNoReplace(from: string, to: string): Moved {
  if (!isThere(from)) return 'missing';
  const { status, stdout, stderr, error } = spawnSync('mv', ['-nvT', '--', from, to], {
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
  });
  if (error !== undefined) throw error;
  // It says what it renamed. Whether the source is gone does not tell: the daemon may have moved it back by now.
  if (stdout.length > 0) return 'moved';
  // Some versions call it a failure that the name is taken.
  if (!isThere(from)) return 'missing';
  if (status !== 0 && !isThere(to)) throw new Error(stderr.trim());
  return 'exists';
}

/**
 * Moves many files of one folder to another as `moveNoReplace` does, hundreds by one process. Gives the names that were
 * moved; the others are gone, or their new name is taken.
 */
export function moveAllNoReplace(from: string, to: string, names: readonly string[]): string[] {
  const moved: string[] = [];
  for (let at = 0; at < names.length; at += 500) {
    const some = names.slice(at, at + 500);
    const taken = new Set(some.filter((name) => isThere(join(to, name))));
    const paths = some.map((name) => join(from, name));
    const { status, stdout, stderr, error } = spawnSync('mv', ['-nvt', to, '--', ...paths], {
      stdio: ['ignore', 'pipe', 'pipe'],
      encoding: 'utf8',
      maxBuffer: 16e6,
    });
    if (error !== undefined) throw error;
    // It says what it renamed. Where a file lies does not tell: the daemon may have moved it on by now.
    const said = new Set([...stdout.matchAll(/\/([^/]+)['"]$/gm)].map(([, name]) => name));
    const done = some.filter((name) => said.has(name));
    // One that is gone makes `mv` fail, and is no failure; that nothing could be moved though it is there is one.
    const isThereStill = (name: string): boolean => !taken.has(name) && isThere(join(from, name));
    if (status !== 0 && done.length === 0 && some.some(isThereStill)) throw new Error(stderr.trim());
    moved.push(...done);
  }
  return moved;
}

/** Removes a file; no error if it is gone already. True if it was there. */
export function remove(path: string): boolean {
  beforeChange(path);
  return unless(GONE, () => (unlinkSync(path), true)) ?? false;
}

/** Removes a folder and all in it; no error if it is gone already. */
export function removeTree(path: string): void {
  beforeChange(path);
  rmSync(path, { recursive: true, force: true });
}

/** Removes a folder if it is empty: `removed`, `missing`, or `occupied`. One call, so nothing can slip in. */
export function removeEmptyFolder(path: string): 'removed' | 'missing' | 'occupied' {
  beforeChange(path);
  try {
    rmdirSync(path);
    return 'removed';
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return 'occupied';
    if (code === 'ENOENT') return 'missing';
    throw error;
  }
}

/** Renames a folder that only we name. */
export function renameFolder(from: string, to: string): void {
  beforeChange(to);
  renameSync(from, to);
}

/** Renames a file whose name is no text (`name` in bytes), unless the new name is taken. True if it was renamed. */
export function renameUnreadable(folder: string, name: Buffer, to: string): boolean {
  const target = join(folder, to);
  if (isThere(target)) return false;
  beforeChange(target);
  return unless(GONE, () => (renameSync(Buffer.concat([Buffer.from(`${folder}/`), name]), target), true)) ?? false;
}

/** Gives a file the time `now` (milliseconds since 1970) as that of its last change. False if it is gone. */
export function touch(path: string, now: number): boolean {
  beforeChange(path);
  return unless(GONE, () => (lutimesSync(path, now / 1000, now / 1000), true)) ?? false;
}

/** Sets who may do what with a file or folder of ours. */
export function setMode(path: string, mode: number): void {
  beforeChange(path);
  chmodSync(path, mode);
}

/** As `setMode`, but of what has the name itself, be it swapped a moment ago: a link fails with ELOOP, and what it leads to stays as it is. */
export function setOwnMode(path: string, mode: number): void {
  beforeChange(path);
  closing(openSync(path, constants.O_NOFOLLOW | constants.O_NONBLOCK), (fd) => fchmodSync(fd, mode));
}

/** Makes a folder, not its parents. False if the name is taken. `mode` is cut by the umask. */
export function createFolder(path: string, mode = 0o777): boolean {
  beforeChange(path);
  return unless('EEXIST', () => (mkdirSync(path, mode), true)) ?? false;
}

/** Makes a folder and its parents as needed; gives the topmost one that was made, or undefined. */
export function ensureFolder(path: string): string | undefined {
  beforeChange(path);
  let first: string | undefined;
  for (let at = path; !isThere(at); at = dirname(at)) first = at;
  const isMade = first !== undefined && makeFirst(first);
  const topmost = mkdirSync(path, { recursive: true });
  return isMade ? first : topmost;
}

/**
 * False if another has made it meanwhile, or moved its parent away. Tried alone: where a folder takes none and says ENOENT, as
 * /proc does, Node's recursive mkdir tries again for ever.
 */
function makeFirst(path: string): boolean {
  try {
    mkdirSync(path);
    return true;
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'EEXIST' || (code === 'ENOENT' && !isThere(dirname(path)))) return false;
    throw error;
  }
}

/** What renames and links in this folder have done is on the disk when this returns. */
export function syncFolder(path: string): void {
  closing(openSync(path, 'r'), fsyncSync);
}

/** All that was written to the file system that holds `path` is on the disk when this returns: for many files at once. */
export function syncFileSystem(path: string): void {
  execFileSync('sync', ['-f', '--', path], { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Makes `path` a folder whose own name survives a power cut, and those above it that were missing. */
export function ensureFolderDurably(path: string): void {
  const top = ensureFolder(path);
  if (top === undefined) return;
  for (let folder = path; folder !== dirname(top); folder = dirname(folder)) syncFolder(folder);
  syncFolder(dirname(top));
}

/** True if anything, a dangling link too, has this name. */
export function isThere(path: string): boolean {
  return unless('ENOTDIR', () => lstatSync(path, { throwIfNoEntry: false })) !== undefined;
}

/** True if a folder, and no link to one, has this name. */
export function isFolder(path: string): boolean {
  return unless('ENOTDIR', () => lstatSync(path, { throwIfNoEntry: false }))?.isDirectory() ?? false;
}

/** True if both names are there and name one file. */
export function isSameFile(a: string, b: string): boolean {
  const one = lstatSync(a, { bigint: true, throwIfNoEntry: false });
  const other = lstatSync(b, { bigint: true, throwIfNoEntry: false });
  return one !== undefined && other !== undefined && one.ino === other.ino && one.dev === other.dev;
}

export type Parsed<T> = { kind: 'ok'; value: T } | { kind: 'missing' } | { kind: 'damaged'; reason: string };

/** Reads a file of ours. Missing and damaged are answers, told apart: what cannot be read is never taken for empty. */
export function readParsed<T>(path: string, parse: (text: string) => T): Parsed<T> {
  let text: string;
  try {
    text = readRegular(path);
  } catch (error) {
    if (GONE.includes(errnoOf(error) ?? '')) return { kind: 'missing' };
    return { kind: 'damaged', reason: (error as Error).message };
  }
  try {
    return { kind: 'ok', value: parse(text) };
  } catch (error) {
    return { kind: 'damaged', reason: (error as Error).message };
  }
}

/** The names in a folder, in no order; an absent folder has none. */
export function namesIn(folder: string): string[] {
  return unless(GONE, () => readdirSync(folder)) ?? [];
}

/** The names in a folder, one after the other: a long one need not be read at one go. An absent folder has none. */
export class Names {
  private folder: Dir | undefined;

  constructor(path: string) {
    this.folder = unless(GONE, () => opendirSync(path, { bufferSize: 512 }));
  }

  /** The next one; undefined, and closed, at the end. */
  next(): string | undefined {
    const name = this.folder?.readSync()?.name;
    if (name === undefined) this.close();
    return name;
  }

  close(): void {
    this.folder?.closeSync();
    this.folder = undefined;
  }
}

/**
 * Removes the dot names that a killed writer of ours left in a folder, files and folders: second names of what is
 * published already, and, if that is told, what is older than `minAge` seconds by `now` (milliseconds since 1970), as
 * younger ones may have a living writer.
 */
export function sweepUnfinished(folder: string, now = 0, minAge = Number.POSITIVE_INFINITY): void {
  for (const name of namesIn(folder)) {
    if (!/^\.(new|submit)-[0-9a-f]{8}-[0-9a-z]+$/.test(name)) continue;
    const path = join(folder, name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    const isPublished = stat?.isFile() && stat.nlink > 1;
    if (isPublished || (stat !== undefined && now - stat.mtimeMs >= minAge * 1000)) removeTree(path);
  }
}

/** Removes what a killed `replaceDurably` left beside its target: `name.<digits>`. For the target's only writer. */
export function sweepReplaced(path: string): void {
  const rest = new RegExp(`^${basename(path).replaceAll('.', '\\.')}\\.\\d+$`);
  for (const name of namesIn(dirname(path))) if (rest.test(name)) remove(join(dirname(path), name));
}
