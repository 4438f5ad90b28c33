// What the preload is told, and what it tells: one line of JSON for each change to the state directory, before it is
// made; `failed` after one that was not made, and syncs when they were over.
import { existsSync, readFileSync } from 'node:fs';

export interface PreloadOptions {
  /** The state directory. */
  root: string;
  /** The file that is told of each change. */
  trace?: string;
  /** The change, from 1, in whose place the process ends. */
  at?: number;
  /** It is frozen there instead, and makes the change when it is woken. */
  freeze?: boolean;
  /** Everything that runs in the place ends with it. */
  all?: boolean;
  /** It waits there until this file is there: it goes on if that says so, and ends otherwise. */
  gate?: string;
  /** The account beside the state directory: with it, each change tells which state it found. */
  account?: string;
  /** The content of what is moved is told too. */
  record?: boolean;
  /** A wrong order, for the harness to find. */
  sabotage?: Sabotage;
  /** The best that is there, unless told. */
  launcher?: LauncherKind;
  /** Milliseconds by which the clock is ahead. */
  clockShift?: number;
}

export type LauncherKind = 'native' | 'bash' | 'posix';
export type Sabotage = 'unlink before link' | 'no claim';

export interface Op {
  op:
    | ('create' | 'truncate' | 'write' | 'rename' | 'link' | 'symlink' | 'unlink' | 'mkdir' | 'rmdir')
    | ('chmod' | 'touch')
    | ('fsync' | 'sync-begin' | 'sync-end' | 'failed')
    /** A run directory given to the launcher; its command; its runner heard of. A command line that ended with 0; a drop that was synced. */
    | ('hand-over' | 'began' | 'ended' | 'done' | 'acknowledged' | 'dropped');
  path?: string;
  /** The new name, or what a symbolic link says. */
  to?: string;
  /** What was written, in base64. */
  data?: string;
  /** Nanoseconds of the monotonic clock, the same for all processes. */
  t?: number;
  token?: string;
  code?: string;
  pid?: number;
  thread?: number;
  n?: number;
  crash?: boolean;
  /** What lay there before it, in a word that is the same for states that differ in times and PIDs alone. */
  state?: string;
}

export function readTrace(path: string): Op[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.filter(Boolean).map((line) => JSON.parse(line) as Op);
}

/** One change in words, without what comes before the state directory. */
export function describeOp(op: Op | undefined, root: string): string {
  if (op === undefined) return 'nothing';
  const names = [op.path, op.to].filter((name) => name !== undefined).map((name) => name.replace(`${root}/`, ''));
  return `${op.op} ${names.join(' → ')}`;
}
