// Brings a job's folders in line with its graph: what closed a cycle is rejected, what can never start is skipped with its
// cause written first (or cancelled, where the job stops at a failure), and what was taken away comes back when its cause has left the folder named. Each is one move that the
// graph asks for; one that a crash leaves undone is asked for again by the next daemon.
import { isThere, moveIfFree, remove } from '../host/atomic.ts';
import { monotonic } from '../host/clock.ts';
import { spellCycle } from '../protocol/names.ts';
import type { Cause } from '../scheduler/graph.ts';
import { skip } from '../store/tasks.ts';
import { cancelWaiting } from './endings.ts';
import { relocate } from './intake.ts';
import type { Job } from './job.ts';
import { holdToItsTime } from './job-clock.ts';
import { isBetweenAttempts } from './judge.ts';
import { rejectDrop } from './rejections.ts';
import type { World } from './world.ts';

/** Until nothing is left to do, or `deadline` (monotonic ms): false if it is to be called again. */
export function reconcile(world: World, job: Job, deadline: number): boolean {
  if (!job.loaded || job.isLeftAlone) {
    job.graph.judge();
    return true;
  }
  if (!job.isUnread && !breakCycles(world, job, deadline)) return false; // many drops are searched at one go
  if (job.toCancel.size === 0) holdToItsTime(world, job);
  if (!cancelWaiting(world, job, deadline)) return false;
  for (;;) {
    const revived = job.graph.takeRevived(BATCH);
    each(
      revived,
      (id) => bringBack(world, job, id),
      (id) => job.graph.judgeAgain(id),
    );
    const doomed = job.graph.takeDoomed(BATCH);
    each(
      doomed,
      ([id, cause, to]) => takeAway(world, job, id, cause, to),
      ([id]) => job.graph.judgeAgain(id),
    );
    if (revived.length + doomed.length === 0) return true;
    if (monotonic() > deadline) return false;
  }
}

const BATCH = 100;

/** Does each. If one fails (a disk that is full), it and those behind it are asked for again. */
function each<T>(items: readonly T[], action: (item: T) => void, again: (item: T) => void): void {
  let done = 0;
  try {
    for (; done < items.length; done++) action(items[done] as T);
  } finally {
    for (const item of items.slice(done)) again(item);
  }
}

function breakCycles(world: World, job: Job, deadline: number): boolean {
  while (job.graph.mayHaveCycles) {
    each(
      job.graph.takeCycles(STEPS),
      (cycle) => breakCycle(world, job, cycle),
      ([id]) => lookAgain(job, id as string),
    );
    if (monotonic() > deadline) return !job.graph.mayHaveCycles;
  }
  return true;
}

/** Edges passed in the search for cycles before the clock is looked at. */
const STEPS = 20_000;

function breakCycle(world: World, job: Job, cycle: readonly string[]): void {
  const [id] = cycle as [string];
  const path = job.layout.task('pending', id);
  const reason = `${path}: it would wait for itself: ${spellCycle(cycle)}.\nRemove one of these dependencies.`;
  rejectDrop(world, job, id, reason);
  if (job.graph.get(id)?.state !== 'pending') return;
  lookAgain(job, id); // it has gone meanwhile
}

function lookAgain(job: Job, id: string): void {
  job.graph.forget(id);
  job.hint('pending', `${id}.json`);
}

function bringBack(world: World, job: Job, id: string): void {
  const from = job.graph.get(id)?.state === 'cancelled' ? 'cancelled' : 'skipped';
  if (moveIfFree(job.layout.task(from, id), job.layout.task('pending', id)) === 'moved') {
    remove(job.layout.reason(id, from));
    const reason = 'its cause has changed';
    world.event({ job: job.name, task: id, event: 'moved', from, to: 'pending', reason, by: 'daemon' });
  }
  relocate(world, job, id);
}

function takeAway(world: World, job: Job, id: string, cause: Cause, to: 'skipped' | 'cancelled'): void {
  // Tried before the job was to stop: it keeps its other attempts, and says so once it is read again.
  if (to === 'cancelled' && isBetweenAttempts(job, id)) return relocate(world, job, id);
  const what = `${cause.id} is ${cause.folder}`;
  const why =
    to === 'cancelled'
      ? 'the job stops at a failure (on_failure: stop)'
      : `${id} waits for ${cause.folder === 'succeeded' ? 'it to fail' : 'it to succeed'}`;
  const back = `It comes back by itself when ${cause.id} leaves ${cause.folder}/: spoold retry ${job.name}/${cause.id}`;
  const text = `cause: ${cause.folder}/${cause.id}.json\n${what}, and ${why}.\n${back}\n`;
  if (skip(job.layout, id, text, to) !== 'moved')
    return relocate(world, job, id, isThere(job.layout.task(to, id)) ? to : undefined);
  job.graph.move(id, to, cause);
  job.summaryDue = true;
  world.event({
    job: job.name,
    task: id,
    event: 'moved',
    from: 'pending',
    to,
    reason: what,
    by: 'daemon',
  });
}
