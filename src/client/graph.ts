// The tasks of a job as they lie on the disk, or of a workflow that is not queued, as a graph: what depends on what, and
// who queued whom. Every task file of the job is read, also of what has succeeded.
import { namesIn } from '../host/atomic.ts';
import { type JobLayout, type Layout } from '../protocol/layout.ts';
import { compareNatural, FOR_EACH_KEY } from '../protocol/names.ts';
import { PRECEDENCE, type State } from '../protocol/states.ts';
import type { Workflow } from '../protocol/workflow.ts';
import type { RunIf } from '../scheduler/graph.ts';
import { heldId, isHeldName, stateOf } from '../store/snapshot.ts';
import { idsIn } from '../store/tasks.ts';
import { ancestorsNoted, factsOf, jobDefaults, readTask } from './facts.ts';
import { findJob, type Found } from './find.ts';

export interface GraphTask {
  id: string;
  /** Where it lies; null: nothing is queued yet. `unknown`: others depend on it, and nobody has queued it. */
  state: Found | 'unknown' | null;
  dependencies: readonly string[];
  run_if: RunIf;
  /** Who queued it, or the task with `for_each` that it was made of. */
  parent: string | null;
  /** It stands for the tasks that `for_each` made, and is not run itself. */
  for_each: boolean;
}

export interface TaskGraph {
  job: string;
  /** In the order of the file, or of their names. */
  tasks: GraphTask[];
}

/** The graph of a job. Errors: JOB_UNKNOWN. */
export function graphOfJob(layout: Layout, name: string): TaskGraph {
  const job = findJob(layout, name);
  const defaults = jobDefaults(job);
  const found = new Map<string, GraphTask>();
  const put = (id: string, state: Found, path: string) => {
    const read = readTask(path);
    if (read.kind === 'missing') return; // it has moved: the folder it went to has it, or a later look
    const raw = read.kind === 'ok' ? read.raw : {};
    const { dependencies, ancestors, runIf } = factsOf(id, raw, defaults);
    const [parent = null] = state === 'rejected' && ancestors.length === 0 ? ancestorsNoted(job, id) : ancestors;
    const for_each = state === 'succeeded' && typeof raw[FOR_EACH_KEY] === 'number';
    found.set(id, { id, state, dependencies, run_if: runIf, parent, for_each });
  };
  const before = (['pending', 'running'] as const).flatMap((state) => idsIn(job.folder(state)));
  for (const { id, state, path } of filesOf(job)) put(id, state, path);
  for (const id of before) {
    const state = found.has(id) ? undefined : stateOf(job, id); // else it has moved into a folder that was read by then
    if (state !== undefined) put(id, state, job.task(state, id));
  }
  const tasks = [...found.values()].sort((a, b) => compareNatural(a.id, b.id));
  return { job: name, tasks: withUnknown(tasks) };
}

/** In the reverse order of who wins: of an id in two folders, the last one read stays. */
function* filesOf(job: JobLayout): Iterable<{ id: string; state: Found; path: string }> {
  const states: State[] = ['rejected', ...PRECEDENCE.toReversed().filter((state) => state !== 'rejected')];
  for (const state of states) for (const id of idsIn(job.folder(state))) yield { id, state, path: job.task(state, id) };
  for (const name of namesIn(job.folder('pending')))
    if (isHeldName(name)) yield { id: heldId(name), state: 'held', path: `${job.folder('pending')}/${name}` };
}

/** The graph of a workflow that is not queued. */
export function graphOfWorkflow({ specs, heads }: Workflow, job: string): TaskGraph {
  const tasks = [...specs].map(([id, { dependencies, runIf, parent }]): GraphTask => {
    return { id, state: null, dependencies, run_if: runIf, parent: parent ?? null, for_each: false };
  });
  return { job, tasks: [...[...heads.keys()].map((id) => ({ ...bare(id, null), for_each: true })), ...tasks] };
}

function withUnknown(tasks: GraphTask[]): GraphTask[] {
  const known = new Set(tasks.map(({ id }) => id));
  const unknown = new Set(tasks.flatMap(({ dependencies }) => dependencies.filter((id) => !known.has(id))));
  return [...tasks, ...[...unknown].map((id) => bare(id, 'unknown'))];
}

function bare(id: string, state: GraphTask['state']): GraphTask {
  return { id, state, dependencies: [], run_if: 'success', parent: null, for_each: false };
}
