// The state directory a verb works on: found, checked, and from then on written with the directory's own umask.
import { realpathSync } from 'node:fs';
import { SpooldError, unless } from '../errors.ts';
import type { Layout } from '../protocol/layout.ts';
import { shellWord } from '../protocol/shell.ts';
import { findStateDir, isStateDir, openStateDir, umaskOf } from '../store/state-dir.ts';

let before: number | undefined;

/** The umask this process was started with. */
export function ownUmask(): number {
  before ??= process.umask();
  return before;
}

/** Where the state directory is, or would be. `dir`: what --dir said. */
export function whereabouts(dir: string | undefined): string {
  return findStateDir({ dir, env: process.env, cwd: currentFolder() });
}

/** True if the state directory that is meant is there. */
export function isThere(dir: string | undefined): boolean {
  return isStateDir(whereabouts(dir));
}

/** Opens the state directory that is meant, made if it is missing and `create` says so. Errors: STATE_DIR_…, CWD_GONE. */
export function openDirectory(dir: string | undefined, options: { create: boolean } = { create: false }): Layout {
  ownUmask();
  if (options.create) process.umask(0o077);
  const layout = openStateDir(whereabouts(dir), options);
  process.umask(umaskOf(layout.root));
  return layout;
}

/** ` --dir D` for a command that is to mean this directory, which somebody may be told to type; nothing where it is found without. */
export function dirOption({ root }: Layout): string {
  const found = unless(['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP'], () => realpathSync(whereabouts(undefined)));
  return found === root ? '' : ` --dir ${shellWord(root)}`;
}

/** The working directory. Errors: CWD_GONE. */
export function currentFolder(): string {
  const folder = unless('ENOENT', () => process.cwd());
  if (folder === undefined) {
    throw new SpooldError('CWD_GONE', 'The working directory does not exist any more.', {
      hint: 'cd to one that does.',
    });
  }
  return folder;
}

/** The task that this process is part of, if it is one of a task of this directory. */
export interface Surroundings {
  job: string;
  task: string;
  /** The attempt's run directory, and its drop folder. */
  runDir: string;
  pending: string;
}

/** Which task of the directory this process runs in, or undefined. */
export function surroundings(layout: Layout, env: NodeJS.ProcessEnv = process.env): Surroundings | undefined {
  const { SPOOLD_DIR: dir, SPOOLD_JOB: job, SPOOLD_TASK: task, SPOOLD_RUN_DIR: runDir, SPOOLD_PENDING: pending } = env;
  if (!dir || !job || !task || !runDir || !pending) return undefined;
  const root = unless(['ENOENT', 'ENOTDIR', 'EACCES'], () => realpathSync(dir));
  return root === layout.root ? { job, task, runDir, pending } : undefined;
}
