// `wait` inside a task: one that waits for itself, for what it queued or for what depends on it, would never end.
import { join } from 'node:path';
import { SpooldError } from '../errors.ts';
import { isThere } from '../host/atomic.ts';
import type { JobLayout, Layout } from '../protocol/layout.ts';
import type { Address } from '../protocol/names.ts';
import { stateOf } from '../store/snapshot.ts';
import type { Surroundings } from './directory.ts';
import { factsOf, readTask } from './facts.ts';

/** A task that waits for what can end only after itself would wait for ever. Errors: WAIT_ITSELF. */
export function refuseOwn(layout: Layout, addresses: readonly Address[], inside: Surroundings): void {
  const job = layout.job(inside.job);
  const self = readTask(job.task('running', inside.task));
  const after = new Set([inside.task, ...(self.kind === 'ok' ? factsOf(inside.task, self.raw, {}).ancestors : [])]);
  if (addresses.length === 0) throw waitsForItself(inside, 'everything');
  for (const { job: name, task } of addresses) {
    if (name !== inside.job) continue;
    if (task === undefined) throw waitsForItself(inside, name);
    if (isThere(join(inside.pending, `${task}.json`)) || endsAfter(job, task, after, inside.task))
      throw waitsForItself(inside, `${name}/${task}`);
  }
}

/** True if `id` is one of `after`, was queued by `self`, or waits for such a one. */
function endsAfter(job: JobLayout, id: string, after: ReadonlySet<string>, self: string): boolean {
  const seen = new Set<string>([id]);
  for (const next of seen) {
    if (after.has(next)) return true;
    const state = stateOf(job, next);
    const read = state === undefined ? undefined : readTask(job.task(state, next));
    if (read?.kind !== 'ok') continue;
    const { ancestors, dependencies } = factsOf(next, read.raw, {});
    if (ancestors.includes(self)) return true;
    if (state === 'pending') for (const dependency of dependencies) seen.add(dependency);
  }
  return false;
}

function waitsForItself(inside: Surroundings, what: string): SpooldError {
  return new SpooldError(
    'WAIT_ITSELF',
    `${inside.job}/${inside.task} would wait for ever: ${what} can end only after it.`,
    {
      exit: 3,
      hint: `Let what comes afterwards be a task that depends on this one ("dependencies": ["${inside.task}"]): it starts when ${inside.task} and all it queued have succeeded.`,
    },
  );
}
