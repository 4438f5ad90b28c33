// One fact about a task, for its line in a list: by a look at its own file and the names of its dependencies alone. All of
// it is for `why` to tell.
import { wallClock } from '../host/clock.ts';
import type { JobLayout } from '../protocol/layout.ts';
import type { State } from '../protocol/states.ts';
import { stateOf } from '../store/snapshot.ts';
import { causeOf, factsOf, jobDefaults, readTask, rejectionOf } from './facts.ts';
import { type Found, heldNameOf } from './find.ts';
import { startOf } from './shares.ts';
import { retryAt } from './waiting.ts';

/** The most telling fact about a task in a list. */
export type Remark =
  | { kind: 'waits for'; tasks: { task: string; state: Found | 'unknown' }[] }
  | { kind: 'retry'; at: number }
  | { kind: 'not before'; at: number }
  | { kind: 'rejected'; reason: string }
  | { kind: 'skipped'; cause: string; folder: State }
  | { kind: 'unreadable'; reason: string };

export function remarkOn(job: JobLayout, id: string, state: State): Remark | undefined {
  if (state === 'rejected') return { kind: 'rejected', reason: rejectionOf(job, id) };
  if (state === 'skipped') {
    const cause = causeOf(job, id);
    return cause && { kind: 'skipped', cause: cause.id, folder: cause.folder };
  }
  if (state !== 'pending') return undefined;
  const read = readTask(job.task('pending', id));
  if (read.kind === 'damaged') return { kind: 'unreadable', reason: read.reason };
  if (read.kind === 'missing') return undefined;
  const unmet = factsOf(id, read.raw, {})
    .dependencies.map((task) => ({ task, state: stateOf(job, task) ?? heldOrUnknown(job, task) }))
    .filter((d) => d.state !== 'succeeded');
  if (unmet.length > 0) return { kind: 'waits for', tasks: unmet };
  const retry = retryAt(job, id, read.queuedAt) ?? 0;
  const start = startOf({ ...jobDefaults(job), ...read.raw }.not_before, read.queuedAt);
  if (Math.max(retry, start) <= wallClock()) return undefined;
  return retry >= start ? { kind: 'retry', at: retry } : { kind: 'not before', at: start };
}

function heldOrUnknown(job: JobLayout, id: string): 'held' | 'unknown' {
  return heldNameOf(job, id) === undefined ? 'unknown' : 'held';
}
