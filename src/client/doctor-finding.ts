// What `doctor` has to say of one place: what is odd there, in a sentence, and who mends it how. A place that cannot be
// looked at is found as well, and keeps nobody from looking at the others.
import { constants, lstatSync, accessSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf, unless } from '../errors.ts';
import { shellWord } from '../protocol/shell.ts';

/**
 * Who mends it: `doctor` itself, `start` (a daemon does so when it starts, and `doctor --fix` has it done where none
 * serves), `you` (only a person can tell what is meant), or `nobody`: nothing is wrong, but it is worth knowing.
 */
export type Mender = 'doctor' | 'start' | 'you' | 'nobody';

export interface Finding {
  /** A word to catch by: `leftover`, `lost`, `copies`, … */
  kind: string;
  path: string;
  /** What is odd, as a sentence. */
  says: string;
  /** What mends it, or what can be done, as a sentence. */
  would: string;
  by: Mender;
  /** Of those by `doctor`: does it. Harmless if it was mended meanwhile. */
  mend?: () => void;
}

/** What all checks are given. */
export interface Ward {
  /** Milliseconds since 1970. */
  now: number;
  /** Where things are set aside, by the path they had: nothing is removed that may mean something to somebody. */
  setAside: (path: string) => void;
  /** Run directories in the environment of living processes. */
  living: ReadonlySet<string>;
  /** `allowed_owners` names somebody: whose files are run is judged file by file, and pending/ may be open to all. */
  othersMayDrop: boolean;
  /** Jobs that the daemon which serves the directory leaves alone, and why; undefined where none serves. */
  leftAlone: ReadonlyMap<string, string> | undefined;
  /** The next daemon will be of another boot than the last one: what that did may not have reached the disk. */
  isAfterReboot: boolean;
}

/** How long what carries a dot name may still have a living writer, in ms. */
const ABANDONED_MS = 3_600_000;

/** True if a file or folder of ours under an unfinished name has no living writer any more. */
export function isAbandoned(stat: { mtimeMs: number; nlink: number; isFile: () => boolean }, now: number): boolean {
  return (stat.isFile() && stat.nlink > 1) || now - stat.mtimeMs > ABANDONED_MS;
}

/** Names that our own writers give to what is not finished yet. */
export const UNFINISHED = /^\.(new|submit)-[0-9a-f]{8}-[0-9a-z]+$/;

/** What a check finds at `place`, and that it may not, or cannot, look on, where that is so. */
export function lookOver(place: string, check: () => Iterable<Finding>): Finding[] {
  const found: Finding[] = [];
  try {
    for (const finding of check()) found.push(finding);
  } catch (error) {
    found.push(...inTheWay(place, error));
  }
  return found;
}

function inTheWay(place: string, error: unknown): Finding[] {
  const { path = place, message } = error as NodeJS.ErrnoException;
  const code = errnoOf(error);
  if (code === undefined) throw error;
  if (code === 'ENOENT') return []; // it has gone while we looked
  if (code === 'EACCES') return [denied(path)];
  const would = 'Nothing that is behind it was looked at. Look at what it is, and move it away.';
  return [{ kind: 'unreadable', path, says: `it cannot be looked at: ${message}.`, would, by: 'you' }];
}

const { R_OK, W_OK, X_OK } = constants;
export const TO_READ = R_OK;
export const TO_LIST = R_OK | X_OK;
const TO_USE = R_OK | W_OK | X_OK;

/** True if we may not do that with a file or folder. */
export function isDenied(path: string, what: number): boolean {
  try {
    accessSync(path, what);
    return false;
  } catch (error) {
    return errnoOf(error) === 'EACCES';
  }
}

/** A folder of ours in which we may not do all, or a file (`TO_READ`) that we may not read. */
export function* withoutRights(path: string, what = TO_USE): Iterable<Finding> {
  if (isDenied(path, what)) yield denied(path);
}

/** Where the way to a path ends for us, and what opens it. */
function denied(path: string): Finding {
  let at = path;
  while (isHidden(at)) at = dirname(at);
  const stat = lstatSync(at);
  const [may, rights] = stat.isDirectory() ? ['use this folder', 'u+rwx'] : ['read it', 'u+rw'];
  const isOurs = stat.uid === process.getuid?.();
  return {
    kind: 'mode',
    path: at,
    says: `you may not ${may} (mode ${octal(stat.mode)}${isOurs ? '' : `, of user ${stat.uid}`}), and so may no daemon of yours.`,
    would: isOurs
      ? `Give yourself the rights: chmod ${rights} ${shellWord(at)}.`
      : `Have its owner, or root, make it yours: chown ${process.getuid?.()} ${shellWord(at)}.`,
    by: 'you',
  };
}

function isHidden(path: string): boolean {
  return path !== dirname(path) && unless('EACCES', () => lstatSync(path, { throwIfNoEntry: false })) === undefined;
}

/** Rights as chmod has them. */
export function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(3, '0');
}
