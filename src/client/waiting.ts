// What a waiting task waits for, told by the scheduler's own judgement on the few files that it concerns: the place it lies
// in, its time, its dependencies with all that these queued, and last a slot.
import { isThere } from '../host/atomic.ts';
import { wallClock } from '../host/clock.ts';
import type { JobLayout } from '../protocol/layout.ts';
import { isWantedNow } from '../protocol/result.ts';
import { JobGraph, type NodeState, type TaskFacts } from '../scheduler/graph.ts';
import { resourcesIn } from '../protocol/resources.ts';
import { claimedAttempt, lastResult, readEnding } from '../store/runs.ts';
import { readParallel } from '../store/snapshot.ts';
import type { Cause, Why } from './causes.ts';
import { factsOf, jobDefaults, type Raw } from './facts.ts';
import type { Inquiry } from './inquiry.ts';
import { readPause } from './pause.ts';
import { jobTrouble, type Place, troubleCause } from './place.ts';
import { liftCauses, resourceCauses, startOf } from './shares.ts';
import { fullSlots } from './slots.ts';

/** Dependencies, and members of a family, that are told about; the others are named. */
const MOST_TOLD = 20;

/** What keeps everything, or everything of the job, from being started. */
export function everywhere(inquiry: Inquiry, place: Place): Cause[] {
  inquiry.everywhere ??= placeCauses(inquiry, place);
  return inquiry.everywhere;
}

function placeCauses({ name, job }: Inquiry, { daemon, isFrozen, pause, parallel, root }: Place): Cause[] {
  const all: Cause[] = [];
  if (daemon.kind === 'stopped') all.push({ cause: 'no_daemon' });
  else {
    const { holding, stopping, serving, identity } = daemon.record;
    if (isFrozen) all.push({ cause: 'daemon_frozen', pid: identity.pid });
    if (stopping !== undefined) all.push({ cause: 'daemon_stopping', how: stopping });
    else if (!serving) all.push({ cause: 'daemon_starting' });
    if (holding !== undefined) all.push({ cause: 'daemon_holding', reason: holding });
  }
  if (pause !== undefined) all.push({ cause: 'paused', place: 'everything', by: pause.by ?? null, since: pause.since });
  const own = readPause(job);
  if (own !== undefined) all.push({ cause: 'paused', place: 'job', by: own.by ?? null, since: own.since });
  if (parallel === 0) all.push({ cause: 'parallel_zero', place: 'everything', path: `${root}/parallel` });
  if (readParallel(job.parallel) === 0) all.push({ cause: 'parallel_zero', place: 'job', path: job.parallel });
  const trouble = jobTrouble(daemon, name, job);
  if (trouble !== undefined) all.push(troubleCause(trouble));
  return all;
}

/** What keeps one waiting task, whatever holds for its job, from being started; if nothing does, its turn. */
export function taskCauses(
  inquiry: Inquiry,
  place: Place,
  { id, raw, queuedAt }: { id: string; raw: Raw; queuedAt: number },
): Cause[] {
  const merged = { ...jobDefaults(inquiry.job), ...raw };
  const own = [
    ...attemptCauses(inquiry.job, id),
    ...timeCauses(inquiry, id, merged, queuedAt),
    ...dependencyCauses(inquiry, factsOf(id, merged, {})),
  ];
  return own.length > 0 ? own : turnCauses(inquiry, place, merged, readySince(inquiry.job, id, merged, queuedAt));
}

/** Of a task that nothing of its own keeps: what keeps all, slots and resources that are taken, or nothing at all. */
function turnCauses(inquiry: Inquiry, place: Place, raw: Raw, since: number): Cause[] {
  if (everywhere(inquiry, place).length > 0) return [{ cause: 'ready' }];
  inquiry.full ??= fullSlots(inquiry.layout, inquiry.name, place.daemon);
  const taken = [...inquiry.full, ...resourceCauses(inquiry, raw, place.daemon)];
  if (taken.length === 0) return [roomKept(raw, place) ?? { cause: 'due' }];
  return [...taken, ...liftCauses(inquiry, raw, since, place.daemon)];
}

function roomKept({ resources }: Raw, { daemon }: Place): Cause | undefined {
  const starved = daemon.record?.room_for;
  if (starved === undefined || resourcesIn(resources).size === 0) return undefined;
  return { cause: 'room_kept', for: starved };
}

/** Milliseconds since 1970: when it was queued, or its delay ended. */
function readySince(job: JobLayout, id: string, { not_before }: Raw, queuedAt: number): number {
  return Math.max(queuedAt, startOf(not_before, queuedAt), retryAt(job, id, queuedAt) ?? 0);
}

function attemptCauses(job: JobLayout, id: string): Cause[] {
  const attempt = claimedAttempt(job, id);
  if (attempt === undefined) return [];
  return [{ cause: 'attempt_not_over', attempt, ending: readEnding(job.run(id, attempt))?.message ?? null }];
}

function timeCauses({ job, now }: Inquiry, id: string, { not_before }: Raw, queuedAt: number): Cause[] {
  const all: Cause[] = [];
  const last = lastResult(job, id);
  const due = last?.to === 'pending' && last.retry_at ? Date.parse(last.retry_at) : 0;
  if (last !== undefined && due > now && !isWantedNow(last, queuedAt, now))
    all.push({ cause: 'retry_delay', until: iso(due), attempt: last.attempt + 1, message: last.message });
  const start = startOf(not_before, queuedAt);
  if (start > now) all.push({ cause: 'not_before', until: iso(start) });
  return all;
}

/** When the next attempt is due (milliseconds since 1970), if the last one's result said so and the task, changed at `changedAt`, is not wanted sooner. */
export function retryAt(job: JobLayout, id: string, changedAt: number): number | undefined {
  const last = lastResult(job, id);
  const waits = last?.to === 'pending' && last.retry_at && !isWantedNow(last, changedAt, wallClock());
  return waits ? Date.parse(last.retry_at as string) : undefined;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/** The dependencies that have not come to what is asked of them, judged by a graph of nothing but their families. */
function dependencyCauses(inquiry: Inquiry, facts: TaskFacts): Cause[] {
  const { job, families } = inquiry;
  const tell = (id: string) => inquiry.begin(id, facts.id);
  const graph = new JobGraph((id) => isThere(job.task('succeeded', id)));
  const put = (id: string, state: NodeState, ancestors: readonly string[]) =>
    graph.put({ ...facts, id, dependencies: [], ancestors }, state);
  for (const id of facts.dependencies) {
    const state = inquiry.stateOf(id);
    if (state === undefined) continue;
    if (state !== 'succeeded') put(id, state, []);
    if (state === 'pending' || state === 'running' || state === 'held') continue; // unfinished, whatever it queued
    for (const member of families.of(id)) put(member.id, member.state, member.ancestors);
  }
  const judged = graph.readiness(facts);
  if (judged.kind === 'ready') return [];
  if (judged.kind === 'doomed') {
    const { cause, dependency } = judged;
    const queued = cause.id === dependency ? {} : { left: 0, queued: [tell(cause.id)] };
    return [{ cause: 'dependency', run_if: facts.runIf, why: tell(dependency), ...queued }];
  }
  return judged.on.map((wait, i): Cause => {
    const why: Why = i < MOST_TOLD ? tell(wait.dependency) : inquiry.named(wait.dependency);
    const base = { cause: 'dependency', run_if: facts.runIf, why } as const;
    if (wait.why === 'unknown' || isUnfinished(why)) return base;
    const members = families.of(wait.dependency).filter(isUnfinished);
    return { ...base, left: wait.left, queued: members.slice(0, MOST_TOLD).map(({ id }) => tell(id)) };
  });
}

function isUnfinished({ state }: { state: string }): boolean {
  return state === 'pending' || state === 'running' || state === 'held';
}
