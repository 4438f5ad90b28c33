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
  /** Kinds of which tasks may start now, and others. */
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
  /** Undefined: none of it is left. */
  task: Ready | undefined;
  /** Tiers. */
  lift: number;
  /** With the lift in it; higher first. */
  priority: number;
}

/**
 * Takes up to `free` tasks out of the jobs' ready ones, in the order they are to start. `now` in milliseconds since 1970.
 * Each start moves its job to the back of those of equal priority.
 */
export function plan<J extends Candidate>(jobs: Iterable<J>, limits: Limits, now: number): Plan<J> {
  const starts: Start<J>[] = [];
  const places: Place<J>[] = [];
  let turn = 0;
  for (const job of jobs) {
    if (job.free <= 0) continue;
    turn = Math.max(turn, job.turn);
    for (const kind of job.readyKinds(now)) {
      const place: Place<J> = { job, kind, task: undefined, lift: 0, priority: 0 };
      find(place, limits, now);
      if (place.task !== undefined) places.push(place);
    }
  }
  let starved: Place<J> | undefined;
  while (starts.length < limits.free) {
    const choice = choose(places, limits.pools);
    starved = choice.starved;
    const { next } = choice;
    const task = next?.task;
    if (next === undefined || task === undefined) break;
    const { job, kind } = next;
    kind.take(now);
    job.free -= 1;
    job.turn = ++turn;
    starts.push({ job, id: task.id, holdings: task.request ? limits.pools.take(task.request) : NO_HOLDINGS });
    find(next, limits, now);
  }
  return { starts, roomFor: starved?.task && { job: starved.job, id: starved.task.id } };
}

/** Finds the first task of its kind, and where that stands. */
function find<J>(place: Place<J>, { starvationAfter }: Limits, now: number): void {
  const { kind } = place;
  const task = kind.first();
  place.task = task;
  if (task === undefined) return;
  place.lift = liftOf(
    { since: Math.max(task.queuedAt, task.notBefore), startedAt: kind.startedAt },
    starvationAfter,
    now,
  );
  place.priority = task.priority + place.lift * TIER;
}

interface Choice<J> {
  next: Place<J> | undefined;
  /** The first that has starved and does not fit. */
  starved: Place<J> | undefined;
}

function choose<J extends Candidate>(places: readonly Place<J>[], pools: Pools): Choice<J> {
  let next: Place<J> | undefined;
  let starved: Place<J> | undefined;
  for (const place of places) {
    const { job, task, lift } = place;
    if (task === undefined || job.free <= 0) continue;
    if (pools.fits(task.request)) {
      if (next === undefined || goesFirst(place, next)) next = place;
    } else if (lift > 0 && task.request !== undefined && (starved === undefined || goesFirst(place, starved))) {
      if (pools.canEverFit(task.request)) starved = place;
    }
  }
  const request = starved?.task?.request;
  if (next === undefined || starved === undefined || request === undefined || goesFirst(next, starved))
    return { next, starved };
  pools.keep(request);
  next = undefined;
  for (const place of places) {
    if (place.task === undefined || place.job.free <= 0 || !pools.fits(place.task.request)) continue;
    if (next === undefined || goesFirst(place, next)) next = place;
  }
  pools.release(request);
  return { next, starved };
}

function goesFirst<J extends Candidate>(a: Place<J>, b: Place<J>): boolean {
  if (a.task === undefined || b.task === undefined) return a.task !== undefined;
  const order =
    b.priority - a.priority ||
    a.job.turn - b.job.turn ||
    a.task.queuedAt - b.task.queuedAt ||
    compareNatural(a.task.id, b.task.id);
  return order < 0 || (order === 0 && a.job.name < b.job.name);
}
