// What a state directory holds, for those who only look: jobs, counts, where a task lies. Counts come from state.json
// where the folder has not changed since (its mtime, in nanoseconds, agrees) and by reading the names otherwise, so a
// count is never older than the look and 400,000 finished tasks need not be listed again.
import { type BigIntStats, type Dirent, lstatSync, readdirSync } from 'node:fs';
import { unless } from '../errors.ts';
import { isFolder, isThere, namesIn, readParsed } from '../host/atomic.ts';
import type { JobLayout, Layout } from '../protocol/layout.ts';
import { isName, taskIdOf } from '../protocol/names.ts';
import { STATES, type State } from '../protocol/states.ts';

export type Counts = Record<State | 'held', number>;

/** The content of a job's state.json: a cache that anybody may delete. */
export interface Summary {
  counts: Counts;
  /** ISO 8601, UTC. */
  updated_at: string;
  /** Folder → its mtime in nanoseconds when it was counted, or `busy` where it changed too lately to be trusted. */
  counted: Partial<Record<State, string>>;
}

/** Names of the jobs, sorted: of folders, and of links to folders, which the daemon leaves alone and says so. */
export function jobNames(layout: Layout): string[] {
  const isJob = (entry: Dirent) =>
    entry.isDirectory() ||
    (entry.isSymbolicLink() && unless(['ELOOP', 'EACCES'], () => isThere(`${layout.jobs}/${entry.name}/.`)) === true);
  return entriesIn(layout.jobs)
    .flatMap((entry) => (isName(entry.name) && isJob(entry) ? [entry.name] : []))
    .sort();
}

/** Names of plain files in a folder, without those that begin with a dot. */
export function filesIn(folder: string): string[] {
  return entriesIn(folder).flatMap((entry) => (entry.isFile() && !entry.name.startsWith('.') ? [entry.name] : []));
}

function entriesIn(folder: string): Dirent[] {
  return unless(['ENOENT', 'ENOTDIR'], () => readdirSync(folder, { withFileTypes: true })) ?? [];
}

const FOLDER_SETTLES_AFTER_MS = 2_000;

/** Counts the tasks of a job by state. `now` in milliseconds since 1970. */
export function summarise(job: JobLayout, now: number): Summary {
  const cached = readParsed(job.summary, (text) => JSON.parse(text) as Summary);
  const before = cached.kind === 'ok' && typeof cached.value?.counts === 'object' ? cached.value : undefined;
  const isOwn = isFolder(job.root);
  const counts = {} as Counts;
  const counted: Summary['counted'] = {};
  for (const state of STATES) {
    const stat = isOwn ? folderOf(job, state) : undefined;
    const mtime = stat === undefined ? 'none' : String(stat.mtimeNs);
    // A clock of the file system may tick as slowly as every few ms: a folder changed just now may change again unseen.
    const settled = stat === undefined || now - Number(stat.mtimeMs) > FOLDER_SETTLES_AFTER_MS;
    if (before?.counted?.[state] === mtime) {
      counts[state] = before.counts[state];
      if (state === 'pending') counts.held = before.counts.held;
    } else count(job, state, counts);
    if (settled) counted[state] = mtime;
  }
  // One that is tried again goes back: it may have left running/ before that was read, and come to pending/ after that was.
  if (counts.pending + counts.held + counts.running === 0 && counted.running === undefined) {
    for (const state of ['pending', 'running'] as const) count(job, state, counts);
    delete counted.pending;
  }
  return { counts, counted, updated_at: new Date(now).toISOString() };
}

/** Undefined: there is none, or something else. Behind a link lies what is no task of this job. */
function folderOf(job: JobLayout, state: State): BigIntStats | undefined {
  const stat = unless('ENOTDIR', () => lstatSync(job.folder(state), { bigint: true, throwIfNoEntry: false }));
  return stat?.isDirectory() ? stat : undefined;
}

/** The names in a folder of a job; none of what lies behind a link. */
export function ownNames(job: JobLayout, state: State): string[] {
  return isFolder(job.root) && folderOf(job, state) !== undefined ? namesIn(job.folder(state)) : [];
}

function count(job: JobLayout, state: State, counts: Counts): void {
  const names = ownNames(job, state);
  counts[state] = names.reduce((n, name) => n + (taskIdOf(name) === undefined ? 0 : 1), 0);
  if (state === 'pending') counts.held = names.reduce((n, name) => n + (isHeldName(name) ? 1 : 0), 0);
}

/** A name in pending/ that is no task and no unfinished file: `x.held`, `x.yaml`, a note. */
export function isHeldName(name: string): boolean {
  return !name.startsWith('.') && !name.endsWith('.json');
}

/** The id that a held file keeps back: `x.held` → `x`. */
export function heldId(name: string): string {
  return name.includes('.') ? name.slice(0, name.lastIndexOf('.')) : name;
}

/** In which a task is looked for: what is not over yet first; what was rejected may be another file of the same name. */
const LOOK_ORDER: readonly State[] = ['running', 'pending', 'failed', 'cancelled', 'skipped', 'succeeded', 'rejected'];

/** Where a task lies; undefined if no folder has it. A few stats. A rename under way can hide a name from one look: so there are two. */
export function stateOf(job: JobLayout, id: string): State | undefined {
  const find = () => LOOK_ORDER.find((state) => isThere(job.task(state, id)));
  return find() ?? find();
}

export type JobState = 'working' | 'waiting' | 'failed' | 'completed';

/**
 * A job's state in a word, from its counts. What was skipped says nothing by itself: if a failure caused it, that counts;
 * else it was to run only after one (`run_if: failure`), or a person passed it over.
 */
export function jobStateOf(counts: Counts): JobState {
  if (counts.running > 0) return 'working';
  if (counts.pending > 0 || counts.held > 0) return 'waiting';
  return counts.failed + counts.rejected + counts.cancelled > 0 ? 'failed' : 'completed';
}

/** The number in a `parallel` file; undefined if there is none; `damaged` if it is no whole number from 0. */
export function readParallel(path: string): number | 'damaged' | undefined {
  const read = readParsed(path, (text) => text.trim());
  if (read.kind === 'missing') return undefined;
  return read.kind === 'ok' && /^\d{1,6}$/.test(read.value) ? Number(read.value) : 'damaged';
}
