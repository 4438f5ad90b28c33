// Which directory is meant, and whether it may be served: found by --dir, $SPOOLD_DIR, the nearest .spoold/, or the
// user's own; made 0700 with VERSION last, so that a half-made one is simply made again.
import { lstatSync, type Stats, statSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { SpooldError, unless } from '../errors.ts';
import {
  createExclusive,
  createFolder,
  ensureFolderDurably,
  isThere,
  namesIn,
  publish,
  readParsed,
  setMode,
  syncFolder,
} from '../host/atomic.ts';
import { FORMAT_VERSION, Layout } from '../protocol/layout.ts';

export interface Whereabouts {
  /** What --dir said. */
  dir?: string | undefined;
  env: NodeJS.ProcessEnv;
  cwd: string;
}

/** The state directory that is meant (it may not exist yet): the first of --dir, $SPOOLD_DIR, the nearest `.spoold/` that the user owns, `$XDG_STATE_HOME/spoold`. Errors: STATE_DIR_UNNAMED. */
export function findStateDir({ dir, env, cwd }: Whereabouts): string {
  if (dir === '') {
    throw new SpooldError('STATE_DIR_UNNAMED', '--dir is empty: it should name a state directory.', {
      hint: 'Was it a variable that is not set? Leave --dir out to have the nearest .spoold/ found.',
    });
  }
  if (dir !== undefined) return resolve(cwd, dir);
  if (env.SPOOLD_DIR) return resolve(cwd, env.SPOOLD_DIR);
  const nearest = nearestStateDir(cwd);
  if (nearest !== undefined) return nearest;
  const state = env.XDG_STATE_HOME || join(env.HOME || homedir(), '.local', 'state');
  return join(state, 'spoold');
}

function nearestStateDir(from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, '.spoold');
    const stat = unless(['EACCES', 'ENOTDIR'], () => lstatSync(candidate, { throwIfNoEntry: false }));
    if (stat?.isDirectory() && stat.uid === process.getuid?.()) return candidate;
    if (folder === dirname(folder)) return undefined;
  }
}

/** True if there is a state directory at `path` (its VERSION is there). */
export function isStateDir(path: string): boolean {
  return isThere(new Layout(path).version);
}

/** Makes the directory a state directory if it is none, checks that it may be served, and gives its paths. Errors: STATE_DIR_… */
export function openStateDir(path: string, options: { create: boolean }): Layout {
  const stat = statOf(path);
  if (stat === undefined || !isStateDir(path)) {
    if (!options.create) {
      throw new SpooldError('STATE_DIR_MISSING', `There is no state directory at ${path}.`, {
        path,
        hint: 'Make one with: spoold init (or spoold start, which makes it too), or name another with --dir.',
        exit: 3,
      });
    }
    makeStateDir(path);
  }
  const layout = new Layout(realpathSync(path));
  checkOwner(layout.root);
  checkInside(layout);
  checkVersion(layout);
  checkFolders(layout);
  return layout;
}

function statOf(path: string): Stats | undefined {
  const stat = unless('ENOTDIR', () => statSync(path, { throwIfNoEntry: false }));
  if (stat && !stat.isDirectory()) {
    throw new SpooldError('STATE_DIR_NO_FOLDER', `${path} is no folder.`, { path, hint: 'Name a folder with --dir.' });
  }
  return stat;
}

/** What may lie in a folder that is to become a state directory: what a user makes before the first start. */
const MADE_BEFOREHAND = new Set(['jobs', 'config.yaml', '.gitignore', 'VERSION', 'paused', 'parallel', 'env']);

function makeStateDir(path: string): void {
  const layout = new Layout(path);
  const stranger = namesIn(path).find((name) => !MADE_BEFOREHAND.has(name) && !name.startsWith('.new-'));
  if (stranger !== undefined) {
    throw new SpooldError(
      'STATE_DIR_IN_USE',
      `${path} holds other things (${stranger}): it would be closed to others and kept out of git.`,
      {
        path,
        hint: `Name a new or an empty folder, as ${join(path, '.spoold')}.`,
      },
    );
  }
  try {
    ensureFolderDurably(dirname(path));
    const isNew = createFolder(path, 0o700);
    checkOwner(path);
    setMode(path, 0o700);
    if (isNew) syncFolder(dirname(path));
    ensureFolderDurably(layout.jobs);
    unless('EEXIST', () => createExclusive(layout.gitignore, '*\n!config.yaml\n', { sync: true }));
    publish(layout.version, `${FORMAT_VERSION}\n`, { sync: true });
    syncFolder(path);
  } catch (error) {
    if (error instanceof SpooldError) throw error;
    throw new SpooldError(
      'STATE_DIR_UNWRITABLE',
      `The state directory ${path} cannot be made: ${(error as Error).message}`,
      {
        path,
        cause: error,
        hint: 'Name a place that you may write to with --dir or $SPOOLD_DIR.',
      },
    );
  }
}

function checkOwner(path: string): void {
  const stat = statSync(path);
  const me = process.getuid?.();
  if (me !== undefined && stat.uid !== me) {
    throw new SpooldError('STATE_DIR_OWNER', `${path} belongs to user ${stat.uid}, and you are ${me}.`, {
      path,
      hint: 'Tasks run as the owner of the directory: use one of your own (--dir).',
    });
  }
  if ((stat.mode & 0o002) !== 0) throw openToAll(path, 'o-rwx');
}

function openToAll(path: string, change: string): SpooldError {
  return new SpooldError('STATE_DIR_OPEN', `${path} may be written to by every user of this host.`, {
    path,
    hint: `Whoever writes there runs commands as you. Close it: chmod ${change} ${path}`,
  });
}

/** What is written into them must not lie elsewhere. */
function checkFolders({ jobs, env }: Layout): void {
  for (const path of [jobs, env]) {
    if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() !== true) continue;
    throw new SpooldError('STATE_DIR_NO_FOLDER', `${path} is a link: it should be a folder.`, {
      path,
      hint: 'Nothing is written through a link. Put a folder in its place, or have all of the state directory elsewhere (--dir).',
    });
  }
}

/** Where others may go through the directory, to the pending/ of a job, nothing on their way may be theirs to write to. */
function checkInside({ root, jobs, env, config }: Layout): void {
  if ((statSync(root).mode & 0o001) === 0) return;
  for (const path of [jobs, env, config]) {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat !== undefined && (stat.mode & 0o002) !== 0) throw openToAll(path, 'o-w');
  }
}

/** What VERSION says. `blank`: nothing, as a power cut leaves a file; `other`: what no version of spoold writes. */
export type Format =
  | { kind: 'known' }
  | { kind: 'missing' }
  | { kind: 'blank' }
  | { kind: 'newer' | 'other'; text: string }
  | { kind: 'unreadable'; reason: string };

/** The format of a state directory. */
export function readFormat({ version }: Layout): Format {
  const read = readParsed(version, (text) => text);
  if (read.kind === 'damaged') return { kind: 'unreadable', reason: read.reason };
  if (read.kind === 'missing' && isThere(version)) return { kind: 'unreadable', reason: 'it is a link to nothing' };
  if (read.kind === 'missing') return { kind: 'missing' };
  if (/^[\s\0]*$/.test(read.value)) return { kind: 'blank' };
  const text = read.value.trim();
  if (text === String(FORMAT_VERSION)) return { kind: 'known' };
  return { kind: /^\d+$/.test(text) && Number(text) > FORMAT_VERSION ? 'newer' : 'other', text };
}

/** What is wrong with a format that is not known, after the name of VERSION, and what a person can do. */
export function describeFormat(format: Exclude<Format, { kind: 'known' }>): { what: string; hint: string } {
  switch (format.kind) {
    case 'missing':
      return { what: 'is not there', hint: 'spoold doctor --fix writes it anew.' };
    case 'blank':
      return {
        what: `should say ${FORMAT_VERSION}, and is empty`,
        hint: 'A power cut may have taken its text: spoold doctor --fix writes it anew.',
      };
    case 'newer':
      return {
        what: `names format ${format.text}; this spoold knows format ${FORMAT_VERSION}`,
        hint: 'Use the newer spoold that made it.',
      };
    case 'other':
      return {
        what: `should say ${FORMAT_VERSION}, and says ${JSON.stringify(format.text.slice(0, 40))}`,
        hint: `If you know that it is a directory of format ${FORMAT_VERSION}, write ${FORMAT_VERSION} into it.`,
      };
    default:
      return {
        what: `should say ${FORMAT_VERSION}, and cannot be read: ${format.reason}`,
        hint: 'It must be a file that you may read: chmod u+r.',
      };
  }
}

function checkVersion(layout: Layout): void {
  const format = readFormat(layout);
  if (format.kind === 'known') return;
  const { what, hint } = describeFormat(format);
  throw new SpooldError('STATE_DIR_VERSION', `${layout.version} ${what}.`, {
    path: layout.version,
    hint: `${hint} Nothing was changed.`,
  });
}

/** The umask under which everything in the directory is made: nobody else may do anything, or the group what it may do with the directory itself. */
export function umaskOf(root: string): number {
  return 0o777 & ~(0o700 | (statSync(root).mode & 0o070));
}
