// Task files as those who only look need them: what a text says, whatever else is wrong with it. Reading to show is not
// running, so no owner is asked for; links are not followed and FIFOs not waited for all the same.
import { isThere, namesIn, readParsed } from '../host/atomic.ts';
import type { JobLayout } from '../protocol/layout.ts';
import { isName } from '../protocol/names.ts';
import type { State } from '../protocol/states.ts';
import { type Cause, JobGraph, type RunIf, type TaskFacts } from '../scheduler/graph.ts';
import { isHeldName } from '../store/snapshot.ts';
import { idsIn, readDrop } from '../store/tasks.ts';
import { heldId } from '../store/snapshot.ts';

export type Raw = Record<string, unknown>;

const ANYBODY: ReadonlySet<number> = Object.assign(new Set<number>(), { has: () => true });

export type TaskText =
  | { kind: 'ok'; raw: Raw; text: string; queuedAt: number }
  | { kind: 'missing' }
  | { kind: 'damaged'; reason: string; text?: string };

/** A task file, if it is a JSON object. */
export function readTask(path: string): TaskText {
  const drop = readDrop(path, ANYBODY);
  if (drop.kind === 'missing') return { kind: 'missing' };
  if (drop.kind === 'json') {
    if (isObject(drop.value)) return { kind: 'ok', raw: drop.value, text: drop.text, queuedAt: drop.queuedAt };
    return { kind: 'damaged', reason: 'it is no object', text: drop.text };
  }
  if (drop.kind === 'bundle') return { kind: 'damaged', reason: 'it is no single task' };
  return {
    kind: 'damaged',
    reason: drop.reason,
    ...(drop.kind === 'unfinished' && drop.text !== undefined && { text: drop.text }),
  };
}

function isObject(value: unknown): value is Raw {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The `defaults` of a job as written; none if its job.json does not read. */
export function jobDefaults(job: JobLayout): Raw {
  const read = readTask(job.settings);
  return read.kind === 'ok' && isObject(read.raw.defaults) ? read.raw.defaults : {};
}

/** What the graph asks of a task, taken from its text without judging it. */
export function factsOf(id: string, raw: Raw, defaults: Raw): TaskFacts {
  const runIf = raw.run_if ?? defaults.run_if;
  return {
    id,
    priority: 0,
    queuedAt: 0,
    dependencies: idsOf(raw.dependencies),
    ancestors: idsOf(raw.ancestors),
    runIf: runIf === 'always' || runIf === 'failure' ? (runIf satisfies RunIf) : 'success',
    notBefore: 0,
  };
}

/** What may be ids of a list: whatever else another user's file may hold is not for a terminal. */
function idsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string' && isName(item)) : [];
}

/** What was rejected first: a task of that id is put over it. */
const READ: readonly State[] = ['rejected', 'pending', 'failed', 'cancelled', 'skipped', 'running'];

/** A job's graph as it lies on the disk now: all that is unfinished or did not succeed. Reads each of these files. */
export function loadGraph(job: JobLayout): JobGraph {
  const graph = new JobGraph((id) => isThere(job.task('succeeded', id)));
  const defaults = jobDefaults(job);
  const put = (id: string, path: string, state: Exclude<State, 'succeeded'> | 'held') => {
    const read = readTask(path);
    if (read.kind === 'missing') return;
    const facts = factsOf(id, read.kind === 'ok' ? read.raw : {}, defaults);
    const ancestors = state === 'rejected' && facts.ancestors.length === 0 ? ancestorsNoted(job, id) : facts.ancestors;
    graph.put({ ...facts, ancestors }, state, state === 'skipped' ? causeOf(job, id) : undefined);
  };
  for (const state of READ) {
    if (state === 'succeeded') continue;
    for (const id of idsIn(job.folder(state))) put(id, job.task(state, id), state);
  }
  for (const name of namesIn(job.folder('pending'))) {
    if (isHeldName(name) && (graph.get(heldId(name))?.state ?? 'rejected') === 'rejected')
      put(heldId(name), `${job.folder('pending')}/${name}`, 'held');
  }
  return graph;
}

/** The task whose end caused another to be skipped (or cancelled, where its job stops at a failure), and the folder it lay in then. */
export function causeOf(job: JobLayout, id: string, state: 'skipped' | 'cancelled' = 'skipped'): Cause | undefined {
  const path = state === 'skipped' ? job.reason(id) : `${job.folder(state)}/${id}.reason.txt`;
  const match = /^cause: (\w+)\/(\S+)\.json$/m.exec(textOf(path));
  return match ? { folder: match[1] as State, id: match[2] as string } : undefined;
}

/** The lineage of a rejected drop, as its reason has it: nearest first. */
export function ancestorsNoted(job: JobLayout, id: string): string[] {
  return idsOf(/^ancestors: (.+)$/m.exec(textOf(job.rejection(id)))?.[1]?.split(' '));
}

/** The first line of why a drop was rejected, with the file's name for its path. */
export function rejectionOf(job: JobLayout, name: string): string {
  const first = textOf(job.rejection(name)).split('\n')[0] ?? '';
  return first.replaceAll(`${job.folder('pending')}/`, '').trim();
}

/** A small text file of ours; empty if it is not there. */
export function textOf(path: string): string {
  const read = readParsed(path, (text) => text);
  return read.kind === 'ok' ? read.value : '';
}
