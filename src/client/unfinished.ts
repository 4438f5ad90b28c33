// What of a job is unfinished at one moment. A task can move between two readings of folders, so both are read until
// neither has changed meanwhile; a claim without its file is an attempt that is not over yet, and counts as running.
import { statSync } from 'node:fs';
import { unless } from '../errors.ts';
import { namesIn } from '../host/atomic.ts';
import type { JobLayout } from '../protocol/layout.ts';
import { taskIdOf } from '../protocol/names.ts';
import { heldId, isHeldName } from '../store/snapshot.ts';

export interface Unfinished {
  pending: Set<string>;
  running: Set<string>;
  /** Id → the name of its file in pending/. */
  held: Map<string, string>;
  /** Changes when either folder does. */
  stamp: string;
}

/** Ids that wait, are held or run. An array of tasks on its way in counts as waiting, by its file's name. */
export function unfinishedIn(job: JobLayout): Unfinished {
  for (let round = 0; ; round++) {
    const stamp = stampOf(job);
    const found = read(job, stamp);
    if (stampOf(job) === stamp || round === 4) return found;
  }
}

/** How many there are in all. */
export function sizeOf({ pending, running, held }: Unfinished): number {
  return pending.size + running.size + held.size;
}

/** Changes when pending/ or running/ does. */
export function stampOf(job: JobLayout): string {
  return [job.folder('pending'), job.folder('running')].map(mtimeOf).join();
}

function mtimeOf(folder: string): string {
  return String(unless('ENOTDIR', () => statSync(folder, { bigint: true, throwIfNoEntry: false }))?.mtimeNs);
}

function read(job: JobLayout, stamp: string): Unfinished {
  const found: Unfinished = { pending: new Set(), running: new Set(), held: new Map(), stamp };
  for (const name of namesIn(job.folder('pending'))) {
    const id = taskIdOf(name);
    if (id !== undefined) found.pending.add(id);
    else if (name.startsWith('.bundle-')) found.pending.add(name);
    else if (isHeldName(name)) found.held.set(heldId(name), name);
  }
  for (const name of namesIn(job.folder('running'))) {
    const id = taskIdOf(name) ?? (name.endsWith('.run') ? name.slice(0, -'.run'.length) : undefined);
    if (id !== undefined) found.running.add(id);
  }
  return found;
}
