// `why JOB`: what keeps a whole job, in groups. Many tasks come down to few: one that runs, one that failed, a slot. So each
// of those that wait or were skipped is followed to its root, up to so many of them, and told under it.
import type { Layout } from '../protocol/layout.ts';
import { compareNatural } from '../protocol/names.ts';
import { idsIn } from '../store/tasks.ts';
import type { Cause, Why } from './causes.ts';
import { nextOf } from './chain.ts';
import { findJob } from './find.ts';
import { Inquiry } from './inquiry.ts';
import { type Place, placeOf } from './place.ts';
import { lastLinesOf } from './logs.ts';
import { attemptOf, latestAttempt } from './attempts.ts';
import { findRun } from '../store/runs.ts';
import { type JobLine, jobLine, latestIn } from './status.ts';
import { everywhere } from './waiting.ts';
import { explainAll } from './why.ts';

export interface JobWhy {
  place: Place;
  line: JobLine;
  /** What keeps all of it from being started; nothing if nothing waits. */
  causes: Cause[];
  running: Why[];
  /** The latest, each with the end of its output. */
  failed: { why: Why; lines: string[] }[];
  rejected: Why[];
  waiting: Group[];
  held: Why[];
  skipped: Group[];
}

/** Tasks that come down to one and the same. */
export interface Group {
  /** All of those that were looked at. */
  tasks: string[];
  /** One of them, and the task at its root: itself, if it waits for no other. */
  example: Why;
  root: Why;
}

/** Tasks of a state that are followed to their roots. */
const MOST_FOLLOWED = 300;
const MOST_SHOWN = 5;
const LAST_LINES = 3;

/** Errors: JOB_UNKNOWN. */
export function whyJob(layout: Layout, name: string): JobWhy {
  const job = findJob(layout, name);
  const place = placeOf(layout);
  const line = jobLine(name, job);
  const inquiry = new Inquiry(layout, name);
  const some = (state: 'running' | 'pending' | 'skipped', most: number) =>
    idsIn(job.folder(state)).sort(compareNatural).slice(0, most);
  const about = (ids: readonly string[]) => explainAll(inquiry, place, ids);
  const failed = about(latestIn(job, 'failed', MOST_SHOWN));
  const waiting = about(some('pending', MOST_FOLLOWED)).filter(({ state }) => state === 'pending');
  return {
    place,
    line,
    causes: line.counts.pending > 0 ? everywhere(inquiry, place) : [],
    running: about(some('running', MOST_SHOWN)),
    failed: failed.map((why) => ({ why, lines: linesOf(inquiry, why.task) })),
    rejected: about(latestIn(job, 'rejected', MOST_SHOWN)),
    waiting: groupsOf(inquiry, waiting),
    held: about(inquiry.heldIds().slice(0, MOST_SHOWN)),
    skipped: groupsOf(inquiry, about(some('skipped', MOST_FOLLOWED))),
  };
}

function linesOf({ job }: Inquiry, id: string): string[] {
  const run = findRun(job, id, latestAttempt(job, id));
  return run === undefined ? [] : lastLinesOf(attemptOf(run), LAST_LINES);
}

/** Largest first. */
function groupsOf(inquiry: Inquiry, all: readonly Why[]): Group[] {
  const groups = new Map<string, Group>();
  for (const why of all) {
    const root = rootFor(inquiry, why);
    // Those that come down to nothing but their own turn are one group.
    const key = root === why ? `its own ${why.causes[0]?.cause}` : root.task;
    const own = ['slots', 'due', 'ready'].includes(why.causes[0]?.cause ?? '') || root !== why;
    const group = groups.get(own ? key : why.task);
    if (group === undefined) groups.set(own ? key : why.task, { tasks: [why.task], example: why, root });
    else group.tasks.push(why.task);
  }
  return [...groups.values()].sort((a, b) => b.tasks.length - a.tasks.length);
}

function rootFor(inquiry: Inquiry, why: Why): Why {
  const seen = new Set<string>();
  for (let at = why; ; ) {
    const whole = at.cut === undefined ? at : (inquiry.told(at.task) ?? at);
    const next = nextOf(whole);
    if (next === undefined || seen.has(next.task)) return whole;
    seen.add(next.task);
    at = next;
  }
}
