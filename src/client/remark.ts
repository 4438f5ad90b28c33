// One fact about a task, for its line in a list: by a look at its own file and the names of its dependencies alone. All of
// it is for `why` to tell.
import { isThere, namesIn } from '../host/atomic.ts';
import { wallClock } from '../host/clock.ts';
import type { JobLayout } from '../protocol/layout.ts';
import type { State } from '../protocol/states.ts';
import { heldId, isHeldName, stateOf } from '../store/snapshot.ts';
import { causeOf, factsOf, jobDefaults, readTask, rejectionOf } from './facts.ts';
import type { Found } from './find.ts';
import { startOf } from './shares.ts';
import { retryAt } from './waiting.ts';

/** The most telling fact about a task in a list. */
export type Remark =
  /** The first of those it waits for, and how many more there are. */
  | { kind: 'waits for'; tasks: { task: string; state: Found | 'unknown' }[]; more: number }
  | { kind: 'retry'; at: number }
  | { kind: 'not before'; at: number }
  | { kind: 'rejected'; reason: string }
  | { kind: 'skipped'; cause: string; folder: State }
  | { kind: 'unreadable'; reason: string };

/** Of what a task waits for, so many are named. */
const MOST_NAMED = 3;

/** `held`: the ids that are held back in its job. */
export function remarkOn(
  job: JobLayout,
  id: string,
  state: State,
  held: () => ReadonlySet<string>,
): Remark | undefined {
  if (state === 'rejected') return { kind: 'rejected', reason: rejectionOf(job, id) };
  if (state === 'skipped') {
    const cause = causeOf(job, id);
    return cause && { kind: 'skipped', cause: cause.id, folder: cause.folder };
  }
  if (state !== 'pending') return undefined;
  const read = readTask(job.task('pending', id));
  if (read.kind === 'damaged') return { kind: 'unreadable', reason: read.reason };
  if (read.kind === 'missing') return undefined;
  const unmet = factsOf(id, read.raw, {}).dependencies.filter((task) => !isThere(job.task('succeeded', task)));
  if (unmet.length > 0) {
    const stateNow = (task: string): Found | 'unknown' => stateOf(job, task) ?? (held().has(task) ? 'held' : 'unknown');
    const tasks = unmet.slice(0, MOST_NAMED).map((task) => ({ task, state: stateNow(task) }));
    return { kind: 'waits for', tasks, more: unmet.length - tasks.length };
  }
  const retry = retryAt(job, id, read.queuedAt) ?? 0;
  const start = startOf({ ...jobDefaults(job), ...read.raw }.not_before, read.queuedAt);
  if (Math.max(retry, start) <= wallClock()) return undefined;
  return retry >= start ? { kind: 'retry', at: retry } : { kind: 'not before', at: start };
}

/** Ids that are held back in a job, read when they are first asked for. */
export function heldIdsIn(job: JobLayout): () => ReadonlySet<string> {
  let held: ReadonlySet<string> | undefined;
  return () => (held ??= new Set(namesIn(job.folder('pending')).filter(isHeldName).map(heldId)));
}
