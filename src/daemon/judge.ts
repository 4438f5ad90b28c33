// A task file's text → the facts that the graph keeps, or why it is no task, in words. Reads, and moves nothing.
import { existsSync } from 'node:fs';
import { wallClock } from '../host/clock.ts';
import { describeJsonErrorBriefly, describeBriefly } from '../protocol/problems.ts';
import { type AttemptResult, isWantedNow } from '../protocol/result.ts';
import type { State } from '../protocol/states.ts';
import { mergeDefaults, parseTask, type Problem, type Raw, type TaskSpec } from '../protocol/task.ts';
import { type Resources, unmeetable } from '../protocol/resources.ts';
import type { TaskFacts } from '../scheduler/graph.ts';
import { type Request, requestOf } from '../scheduler/resources.ts';
import { readResult, runsOf } from '../store/runs.ts';
import { type Drop, foldersHolding, readDrop } from '../store/tasks.ts';
import type { Job } from './job.ts';

/** What is in pending/<id>.json as facts for the graph, or why it is rejected. `isTask`: it reads, for all that. */
export function judge(
  job: Job,
  id: string,
  path: string,
  drop: Drop,
  supply: Resources,
): TaskFacts | { reason: string; isTask: boolean } {
  if (drop.kind !== 'json') return { reason: reasonOf(drop, path), isTask: false };
  const parsed = specFrom(job, id, drop.value);
  if ('problems' in parsed)
    return { reason: describeBriefly(drop.text, path, parsed.problems).join('\n'), isTask: false };
  const twin = caseTwin(job, id);
  if (twin !== undefined) {
    return {
      reason: `${path}: the job has a task ${twin}, which differs only in case.\nGive one of them another name.`,
      isTask: true,
    };
  }
  const facts = factsOf(id, parsed.spec, drop.queuedAt);
  const unmet = mayWait(job, facts) ? [] : unmeetable(parsed.spec.resources, supply);
  if (unmet.length > 0) return { reason: describeBriefly(drop.text, path, unmet).join('\n'), isTask: true };
  facts.notBefore = Math.max(facts.notBefore, retryDue(job, id, parsed.spec, drop.queuedAt));
  facts.hasBegun = job.settings.onFailure === 'stop' && isBetweenAttempts(job, id);
  return facts;
}

/** What was accepted with this request, or lay there when the daemon started, waits, whatever the config has become. */
function mayWait(job: Job, { id, request }: TaskFacts): boolean {
  if (request === undefined || (job.wasThere && !job.loaded)) return true;
  const known = job.graph.get(id);
  return known !== undefined && known.state !== 'rejected' && known.request?.key === request.key;
}

/** A task's spec, with the job's defaults under it. */
export function specFrom(job: Job, id: string, value: unknown): { spec: TaskSpec } | { problems: Problem[] } {
  const raw =
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? mergeDefaults(job.settings.defaults, value as Raw)
      : value;
  const parsed = parseTask(raw, id, { isFile: existsSync });
  return parsed.ok ? { spec: parsed.spec } : { problems: parsed.problems };
}

const NONE: readonly string[] = Object.freeze([]);

/** What the graph keeps of a task; its text is read again when it starts. */
export function factsOf(id: string, spec: Partial<TaskSpec>, queuedAt: number): TaskFacts {
  return {
    id,
    queuedAt,
    priority: spec.priority ?? 0,
    dependencies: sharedIds(spec.dependencies),
    ancestors: sharedIds(spec.ancestors),
    runIf: spec.runIf ?? 'success',
    notBefore: notBeforeOf(spec, queuedAt),
    request: spec.resources && sharedRequest(spec.resources),
  };
}

const single = new Map<string, readonly string[]>();

/** One array for all tasks that wait for the same one, or were queued by it: with 200,000 of them that is felt. The last few hundred are remembered. */
function sharedIds(ids: readonly string[] | undefined): readonly string[] {
  const [first] = ids ?? [];
  if (ids === undefined || first === undefined) return NONE;
  if (ids.length > 1) return ids;
  if (single.size >= 1000) single.clear();
  const shared = single.get(first) ?? ids;
  single.set(first, shared);
  return shared;
}

const requests = new Map<string, Request>();

/** One object for all tasks that ask for the same; the last few hundred are remembered. */
function sharedRequest(resources: Resources): Request | undefined {
  const request = requestOf(resources);
  if (request === undefined) return undefined;
  if (requests.size >= 1000) requests.clear();
  const shared = requests.get(request.key) ?? request;
  requests.set(request.key, shared);
  return shared;
}

function notBeforeOf({ notBefore }: Partial<TaskSpec>, queuedAt: number): number {
  if (notBefore === undefined) return 0;
  return 'at' in notBefore ? Date.parse(notBefore.at) : queuedAt + notBefore.delay * 1000;
}

/** Its last attempt failed, and is to be followed by another. */
export function isBetweenAttempts(job: Job, id: string): boolean {
  const last = runsOf(job.layout, id).findLast((run) => readResult(run.layout) !== undefined);
  return last !== undefined && readResult(last.layout)?.to === 'pending';
}

/** When the delay before its next attempt ends, if its last one said so. */
function retryDue(job: Job, id: string, spec: TaskSpec, changedAt: number): number {
  if (spec.retry.max === 0 || spec.retry.delay === 0) return 0;
  const last = runsOf(job.layout, id).findLast((run) => readResult(run.layout) !== undefined);
  const result = last && readResult(last.layout);
  return result?.to === 'pending' && !isWantedNow(result, changedAt, wallClock()) ? dueAfter(result) : 0;
}

/** When the delay after a result ends: never later than was meant, for the clock may have been set back since. */
export function dueAfter({ retry_at, finished_at }: AttemptResult): number {
  const due = Date.parse(retry_at ?? finished_at);
  return Math.min(due, wallClock() + Math.max(0, due - Date.parse(finished_at)));
}

/** The facts of the task file that lies there; undefined if it does not read. */
export function factsFrom(
  job: Job,
  state: State,
  id: string,
  path = job.layout.task(state, id),
): TaskFacts | undefined {
  const drop = readDrop(path);
  if (drop.kind !== 'json') return undefined;
  const parsed = specFrom(job, id, drop.value);
  return 'spec' in parsed ? factsOf(id, parsed.spec, drop.queuedAt) : undefined;
}

/** The facts of a task whose claim stands, wherever its file has been moved to: they name its family. */
export function factsOfLive(job: Job, id: string): TaskFacts {
  const [state = 'running'] = foldersHolding(job.layout, id);
  return factsFrom(job, state, id) ?? factsOf(id, {}, 0);
}

function caseTwin(job: Job, id: string): string | undefined {
  const lower = id.toLowerCase();
  const capital = job.capitals.get(lower);
  if (capital !== undefined && capital !== id && job.graph.get(capital) !== undefined) return capital;
  return lower !== id && job.graph.get(lower) !== undefined ? lower : undefined;
}

/** Why a drop is no task, naming the file and, where there is one, the place in it. */
export function reasonOf(drop: Drop, path: string): string {
  if (drop.kind === 'unfinished' && drop.text !== undefined)
    return describeJsonErrorBriefly(drop.text, path, drop.reason);
  if (drop.kind === 'refused' || drop.kind === 'unfinished') return `${path}: ${drop.reason}`;
  return `${path}: an array of tasks belongs into pending/, not here`;
}

export function sameIdText(job: Job, id: string, keeper: State, path: string): string {
  const again =
    keeper === 'running'
      ? `wait until it has ended`
      : `run that again with: spoold retry ${job.name}/${id} (or mv ${keeper}/${id}.json pending/)`;
  return `${path}: the id ${id} is in use: ${job.layout.task(keeper, id)} is ${keeper}.\nGive this one another name, or ${again}.`;
}
