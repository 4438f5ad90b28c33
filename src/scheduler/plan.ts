// What starts next: of the kinds of ready tasks (ready.ts) whose request is free, the first by priority, then fair turns
// between jobs, then age, then id. Facts, limits and the time come in; names, and what each is to hold, go out.
// What is not free stands in nobody's way, until its kind starves: then the first such request has room kept for it.
import { type Holdings, NO_HOLDINGS } from '../protocol/resources.ts';
import { compareNatural } from '../protocol/names.ts';
import type { Kind, Ready } from './ready.ts';
import type { Pools } from './resources.ts';
import { liftOf, TIER } from './starvation.ts';

/** What of a job planning needs to know. */
export interface Candidate {
  readonly name: string;
  /** How many more of it may start now. */
  free: number;
  /** When it last had a turn, in turns; the lowest goes first. */
  turn: number;
  /** Kinds of which a task may start now. */
  readyKinds(now: number): Iterable<Kind>;
}

export interface Limits {
  /** Tasks that may start now, over all jobs. */
  free: number;
  pools: Pools;
  /** Seconds; see starvation.ts. */
  starvationAfter: number | 'none';
}

export interface Plan<J> {
  starts: Start<J>[];
  /** The starved task for whose request room is kept from what comes after it, if there is one. */
  roomFor: { job: J; id: string } | undefined;
}

export interface Start<J> {
  job: J;
  id: string;
  holdings: Holdings;
}

/** The first task of a kind, as it stands in the order now. */
interface Place<J> {
  job: J;
  kind: Kind;
  task: Ready;
  lift: number;
}

/**
 * Takes up to `free` tasks out of the jobs' ready ones, in the order they are to start. `now` in milliseconds since 1970.
 * Each start moves its job to the back of those of equal priority.
 */
export function plan<J extends Candidate>(jobs: Iterable<J>, limits: Limits, now: number): Plan<J> {
  const starts: Start<J>[] = [];
  let roomFor: Plan<J>['roomFor'];
  const open = [...jobs].filter(({ free }) => free > 0).map((job) => ({ job, kinds: [...job.readyKinds(now)] }));
  let turn = open.reduce((highest, { job }) => Math.max(highest, job.turn), 0);
  while (starts.length < limits.free) {
    const { next, starved } = choose(open, limits, now);
    roomFor = starved && { job: starved.job, id: starved.task.id };
    if (next === undefined) break;
    const { job, kind, task } = next;
    kind.take(now);
    job.free -= 1;
    job.turn = ++turn;
    starts.push({ job, id: task.id, holdings: task.request ? limits.pools.take(task.request) : NO_HOLDINGS });
  }
  return { starts, roomFor };
}

interface Open<J> {
  job: J;
  kinds: readonly Kind[];
}

interface Choice<J> {
  next: Place<J> | undefined;
  /** The first that has starved and does not fit. */
  starved: Place<J> | undefined;
}

function choose<J extends Candidate>(open: readonly Open<J>[], limits: Limits, now: number): Choice<J> {
  const { pools } = limits;
  let starved: Place<J> | undefined;
  const next = firstOf(open, limits, now, (place) => {
    const { request } = place.task;
    if (request === undefined || pools.fits(request)) return true;
    const hasStarved = place.lift > 0 && pools.canEverFit(request);
    if (hasStarved && (starved === undefined || goesFirst(place, starved))) starved = place;
    return false;
  });
  const request = starved?.task.request;
  if (next === undefined || starved === undefined || request === undefined || goesFirst(next, starved))
    return { next, starved };
  pools.keep(request);
  const other = firstOf(open, limits, now, ({ task }) => pools.fits(task.request));
  pools.release(request);
  return { next: other, starved };
}

function firstOf<J extends Candidate>(
  open: readonly Open<J>[],
  { starvationAfter }: Limits,
  now: number,
  may: (place: Place<J>) => boolean,
): Place<J> | undefined {
  let first: Place<J> | undefined;
  for (const { job, kinds } of open) {
    if (job.free <= 0) continue;
    for (const kind of kinds) {
      const task = kind.first();
      if (task === undefined) continue;
      const waiting = { since: Math.max(task.queuedAt, task.notBefore), startedAt: kind.startedAt };
      const place = { job, kind, task, lift: liftOf(waiting, starvationAfter, now) };
      if (may(place) && (first === undefined || goesFirst(place, first))) first = place;
    }
  }
  return first;
}

function goesFirst<J extends Candidate>(a: Place<J>, b: Place<J>): boolean {
  const order =
    b.task.priority + b.lift * TIER - (a.task.priority + a.lift * TIER) ||
    a.job.turn - b.job.turn ||
    a.task.queuedAt - b.task.queuedAt ||
    compareNatural(a.task.id, b.task.id);
  return order < 0 || (order === 0 && a.job.name < b.job.name);
}
