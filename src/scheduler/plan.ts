// What starts next: priority, then fair turns between jobs, then age. Limits and the time come in, names go out.
import type { Queued } from './order.ts';

/** What of a job planning needs to know. */
export interface Candidate {
  readonly name: string;
  /** How many more of it may start now. */
  free: number;
  /** When it last had a turn, in turns; the lowest goes first. */
  turn: number;
  peekReady(now: number): Queued | undefined;
  takeReady(now: number): Queued | undefined;
}

export interface Start<J> {
  job: J;
  id: string;
}

/**
 * Takes up to `free` tasks out of the jobs' ready ones, in the order they are to start. `now` in milliseconds since 1970.
 * Each start moves its job to the back of those of equal priority.
 */
export function plan<J extends Candidate>(jobs: Iterable<J>, free: number, now: number): Start<J>[] {
  const starts: Start<J>[] = [];
  const open = [...jobs].filter((job) => job.free > 0 && job.peekReady(now) !== undefined);
  let turn = open.reduce((highest, job) => Math.max(highest, job.turn), 0);
  while (starts.length < free) {
    const job = first(open, now);
    if (job === undefined) break;
    const task = job.takeReady(now) as Queued;
    job.free -= 1;
    job.turn = ++turn;
    starts.push({ job, id: task.id });
  }
  return starts;
}

function first<J extends Candidate>(jobs: readonly J[], now: number): J | undefined {
  let best: J | undefined;
  let bestTask: Queued | undefined;
  for (const job of jobs) {
    const task = job.free > 0 ? job.peekReady(now) : undefined;
    if (task === undefined) continue;
    if (best === undefined || bestTask === undefined || goesFirst(job, task, best, bestTask)) {
      best = job;
      bestTask = task;
    }
  }
  return best;
}

function goesFirst(job: Candidate, task: Queued, best: Candidate, bestTask: Queued): boolean {
  const order = bestTask.priority - task.priority || job.turn - best.turn || task.queuedAt - bestTask.queuedAt;
  return order < 0 || (order === 0 && job.name < best.name);
}
