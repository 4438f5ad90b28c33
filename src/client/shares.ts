// What a waiting task lacks of the named resources, who holds them, and whether it has been lifted for waiting long: by the
// scheduler's own sums, from what the daemon says it hands out and what the scripts of live attempts say they were given.
import { namesIn } from '../host/atomic.ts';
import { wallClock } from '../host/clock.ts';
import { formatAmount, type Holdings, resourcesIn } from '../protocol/resources.ts';
import { parseDuration, PRIORITIES } from '../protocol/values.ts';
import { Pools, type Request, requestOf } from '../scheduler/resources.ts';
import { liftOf, tierOf } from '../scheduler/starvation.ts';
import type { DaemonState } from '../store/daemon-record.ts';
import { claimedAttempt, holdingsOf, readTimes } from '../store/runs.ts';
import { jobNames } from '../store/snapshot.ts';
import type { Cause, Holder, ResourceHolder } from './causes.ts';
import { jobDefaults, type Raw, readTask } from './facts.ts';
import { eventsOf } from './history.ts';
import type { Inquiry } from './inquiry.ts';

/** A live attempt, and what it was given. */
export interface Live extends Holder {
  holdings: Holdings;
}

/** The resources of which less is free than a task asks for. `raw`: its text, with the job's defaults under it. */
export function resourceCauses(inquiry: Inquiry, raw: Raw, { record }: DaemonState): Cause[] {
  const request = requestOf(resourcesIn(raw.resources));
  if (request === undefined || record === undefined) return [];
  inquiry.live ??= jobNames(inquiry.layout).flatMap((name) => liveIn(inquiry.layout, name));
  const { live } = inquiry;
  const pools = new Pools(
    resourcesIn(record.resources),
    live.map(({ holdings }) => holdings),
  );
  return pools.lacking(request).map(({ name, asked, free, total }) => {
    const words = (n: number) => (n === 0 ? '0' : formatAmount({ unit: asked.unit, n }));
    const amounts = { asked: words(asked.n), free: words(free), total: words(total) };
    return { cause: 'resource', name, ...amounts, never: total < asked.n, holders: holdersOf(live, name) };
  });
}

function holdersOf(live: readonly Live[], name: string): ResourceHolder[] {
  return live.flatMap(({ job, task, since, holdings }) => {
    const held = holdings.get(name);
    if (held === undefined) return [];
    return [
      { job, task, since, holds: typeof held === 'number' ? formatAmount({ unit: 'bytes', n: held }) : held.join(',') },
    ];
  });
}

function liveIn(layout: Inquiry['layout'], name: string): Live[] {
  const job = layout.job(name);
  const claims = namesIn(job.folder('running')).filter((file) => file.endsWith('.run'));
  return claims.flatMap((file) => {
    const task = file.slice(0, -'.run'.length);
    const attempt = claimedAttempt(job, task);
    if (attempt === undefined) return [];
    const run = job.run(task, attempt);
    const since = new Date(readTimes(run, wallClock()).startedAt).toISOString();
    return [{ job: name, task, since, holdings: holdingsOf(run) }];
  });
}

/** That a task is lifted, if it has waited so long for a slot or a resource. `since`: milliseconds since 1970. */
export function liftCauses(inquiry: Inquiry, raw: Raw, since: number, { record }: DaemonState): Cause[] {
  const after = record?.starvation_after ?? 'none';
  if (record === undefined || after === 'none' || liftOf({ since, startedAt: 0 }, after, inquiry.now) === 0) return [];
  const startedAt = lastStart(
    inquiry,
    tierOf(priorityOf(raw)),
    requestOf(resourcesIn(raw.resources)),
    record.started_at,
  );
  const tiers = liftOf({ since, startedAt }, after, inquiry.now);
  return tiers === 0 ? [] : [{ cause: 'lifted', tiers, after_s: after }];
}

/** Starts that are looked at; a start further back than this many changes little. */
const MOST_STARTS = 200;

/** When one of the same kind last started (milliseconds since 1970) under this daemon; 0 if none did. */
function lastStart({ layout, name, job }: Inquiry, tier: number, request: Request | undefined, from: string): number {
  const defaults = jobDefaults(job);
  let looked = 0;
  for (const { t, event, task } of eventsOf(layout, name)) {
    if (t < from || looked > MOST_STARTS) break;
    if (event !== 'started' || task === undefined) continue;
    looked += 1;
    const raw = rawOf(job, task, defaults);
    if (tierOf(priorityOf(raw)) === tier && requestOf(resourcesIn(raw.resources))?.key === request?.key)
      return Date.parse(t);
  }
  return 0;
}

function rawOf(job: Inquiry['job'], id: string, defaults: Raw): Raw {
  for (const state of ['running', 'succeeded', 'failed', 'pending', 'cancelled', 'skipped'] as const) {
    const read = readTask(job.task(state, id));
    if (read.kind === 'ok') return { ...defaults, ...read.raw };
  }
  return defaults;
}

function priorityOf({ priority }: Raw): number {
  if (typeof priority === 'number') return priority;
  return typeof priority === 'string' && Object.hasOwn(PRIORITIES, priority)
    ? PRIORITIES[priority as keyof typeof PRIORITIES]
    : 0;
}

/** Milliseconds since 1970 at which `not_before` lets a task start that was queued at `queuedAt`; 0: at once. */
export function startOf(value: unknown, queuedAt: number): number {
  const delay = parseDuration(value);
  if (typeof delay === 'number') return queuedAt + delay * 1000;
  const at = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(at) ? 0 : at;
}
