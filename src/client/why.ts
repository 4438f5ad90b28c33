// `why JOB/TASK`: the causes of what a task does or does not, followed from task to task down to the one that everything
// waits for. From the files alone, and only those that the answer is about; the daemon is not asked.
import { readEnding } from '../store/runs.ts';
import { type Attempt, attemptsOf, leftOf } from './attempts.ts';
import type { Cause, Why } from './causes.ts';
import { chainOf, rootOf } from './chain.ts';
import { endedCauses, ranInstead, runningCauses } from './ended.ts';
import { readTask } from './facts.ts';
import { findTask, type Found } from './find.ts';
import { Inquiry } from './inquiry.ts';
import { lastLinesOf } from './logs.ts';
import { type Place, placeOf } from './place.ts';
import { processesOf } from './processes.ts';
import { everywhere, taskCauses } from './waiting.ts';
import type { Layout } from '../protocol/layout.ts';

export interface TaskWhy {
  place: Place;
  job: string;
  why: Why;
  /** The end of the output of the task that all of it comes down to. */
  output: { task: string; attempt: number; path: string; lines: string[] } | undefined;
}

/** Why a task is as it is, with the last `lines` of what it printed. Errors: JOB_UNKNOWN, TASK_UNKNOWN. */
export function whyTask(layout: Layout, job: string, id: string, lines: number): TaskWhy {
  findTask(layout, job, id);
  const place = placeOf(layout);
  const inquiry = new Inquiry(layout, job);
  const why = explain(inquiry, place, id);
  const root = rootOf(why);
  if (['failed', 'skipped', 'cancelled'].includes(why.state))
    why.causes.push(...ranInstead(inquiry, chainOf(why), root.since ?? why.since ?? ''));
  const latest = attemptsOf(inquiry.job, root.task).findLast(({ now }) => now.kind !== 'void');
  const told = latest === undefined ? [] : lastLinesOf(latest, lines);
  return {
    place,
    job,
    why: latest === undefined ? why : withProcesses(why, root, latest),
    output:
      latest === undefined || told.length === 0
        ? undefined
        : { task: root.task, attempt: latest.attempt, path: latest.layout.output, lines: told },
  };
}

/** One task with all that its causes lead to. */
function explain(inquiry: Inquiry, place: Place, id: string): Why {
  const [why] = explainAll(inquiry, place, [id]) as [Why];
  if (why.state === 'pending') {
    const isReady = why.causes[0]?.cause === 'ready';
    why.causes = [...everywhere(inquiry, place), ...(isReady ? [] : why.causes)];
  }
  if (why.state === 'running' && place.daemon.kind === 'stopped') why.causes.push({ cause: 'no_daemon' });
  return why;
}

/** These tasks, and all that they lead to, without what keeps all of the job. */
export function explainAll(inquiry: Inquiry, place: Place, ids: readonly string[]): Why[] {
  const all = ids.map((id) => inquiry.told(id) ?? inquiry.begin(id));
  // One after the other, not one inside the other: a chain may be longer than a stack is deep.
  for (let why = inquiry.next(); why !== undefined; why = inquiry.next())
    why.causes = causesOf(inquiry, place, why.task, why.state);
  return all;
}

function causesOf(inquiry: Inquiry, place: Place, id: string, state: Found | 'unknown'): Cause[] {
  switch (state) {
    case 'unknown':
      return [{ cause: 'not_queued', similar: inquiry.similarTo(id) }];
    case 'held':
      return [{ cause: 'held', path: inquiry.pathOf(id, 'held'), to: inquiry.job.task('pending', id) }];
    case 'running':
      return runningCauses(inquiry, id);
    case 'pending': {
      const path = inquiry.job.task('pending', id);
      const read = readTask(path);
      if (read.kind === 'damaged') return [{ cause: 'file_unreadable', path, reason: read.reason }];
      if (read.kind === 'missing') return [];
      return taskCauses(inquiry, place, { id, ...read });
    }
    default:
      return endedCauses(inquiry, id, state);
  }
}

/** How many processes run for the task that all comes down to: one look through /proc, for that one alone. */
function withProcesses(why: Why, root: Why, latest: Attempt): Why {
  const { layout, now } = latest;
  for (const cause of root.causes) if (cause.cause === 'not_noted') cause.left = leftOf(latest);
  if (now.kind !== 'live' || !now.here || readEnding(layout) !== undefined) return why;
  for (const cause of root.causes)
    if (cause.cause === 'running') cause.processes = processesOf(layout.root, now.runner.pid).length;
  return why;
}
