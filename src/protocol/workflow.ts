// A workflow file, for `submit` and `run FILE`: a job's settings and all its tasks, in YAML or JSON, with variables. It is
// taken as a whole or not at all, so every problem is found at once, with its line: keys, ids, dependencies, cycles.
import * as z from 'zod';
import { JOB_KEYS_LATER, JOB_MEANINGS, type JobSettings, jobShape, parseJobKeys } from './job.ts';
import { nameProblem, spellCycle } from './names.ts';
import { expandTask, type LinesOf, MAX_ITEMS } from './for-each.ts';
import { MadeIds } from './made-ids.ts';
import { closest, type Vocabulary } from './suggest.ts';
import {
  MAX_BUNDLE_BYTES,
  mergeDefaults,
  parseTask,
  type TaskOptions,
  type TaskSpec,
  taskSchema,
  weightProblem,
} from './task.ts';
import { expected, isObject, type Problem, quote, type Raw, show, weigh } from './validation.ts';
import { fillKeys, Filler, Variables } from './variables.ts';
import { readText } from './yaml.ts';

export interface Workflow {
  /** The job's name, if the file says one. */
  name: string | undefined;
  /** What becomes job.json, as written. */
  rawSettings: Raw;
  settings: JobSettings;
  /** What becomes the task files, as written but for variables and `for_each`, in the order of the file; without an `id`. */
  tasks: Map<string, Raw>;
  /** The same with the job's defaults under them. */
  specs: Map<string, TaskSpec>;
  /** Tasks with `for_each`, which nobody runs: their members are among the tasks. They count as succeeded from the start. */
  heads: Map<string, Raw>;
}

/** Problems are whole lines: `flow.yaml:7:3: tasks.a.retry.max: expected …`. */
export type ParsedWorkflow = { ok: true; workflow: Workflow } | { ok: false; problems: string[] };

const MAX_NAMED = 20;
/** Of the defaults of a job, in all of its tasks together: each is checked with them. */
const MAX_DEFAULTS_BYTES = 4 * MAX_BUNDLE_BYTES;

const itemValue = () => z.union([z.string(), z.number(), z.boolean()]);
const forEach = () =>
  z
    .union([
      z.array(z.union([itemValue(), z.record(z.string(), itemValue())])).max(MAX_ITEMS),
      z.object({ lines_of: z.string() }),
    ])
    .optional()
    .describe(
      'One task for each entry of the list, or each line of the file: `${item}`, `${item.key}` of a map, `${index}` from 0. A dependency on the id means all of them.',
    );

export const workflowSchema = z.object({
  ...jobShape,
  name: z.string().optional().describe("The job's name; --job on the command line goes first."),
  job: z.string().optional().describe('Another word for `name`.'),
  vars: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))
    .optional()
    .describe(
      'Variables: `${NAME}` in any text of this file stands for one, `$${` for a literal `${`. --var goes first; one without a value must be given by it.',
    ),
  tasks: z
    .record(z.string(), taskSchema.omit({ id: true, parent: true, ancestors: true }).extend({ for_each: forEach() }))
    .describe('The tasks by their ids.'),
});

const OWN_KEYS = ['name', 'job', 'vars', 'tasks'];

const { tasks: _tasks, title: _title, ...jobMeanings } = JOB_MEANINGS;
const vocabulary: Vocabulary = {
  known: [...Object.keys(jobShape), ...OWN_KEYS],
  meanings: {
    ...jobMeanings,
    jobs: 'tasks',
    steps: 'tasks',
    stages: 'tasks',
    targets: 'tasks',
    nodes: 'tasks',
    title: 'name',
    id: 'name',
    variables: 'vars',
    params: 'vars',
    parameters: 'vars',
    inputs: 'vars',
  },
  later: JOB_KEYS_LATER,
};

export interface WorkflowOptions extends TaskOptions {
  /** Variables given besides the file, which go above its own. */
  vars?: ReadonlyMap<string, string>;
  /** Reads a file that `lines_of` names. */
  linesOf?: LinesOf;
}

/** The text of a workflow file → its job and its tasks, or all problems with it. */
export function parseWorkflow(text: string, fileName: string, options: WorkflowOptions = {}): ParsedWorkflow {
  const read = readText(text, fileName);
  if (!read.ok) return read;
  const { problems, workflow } = check(read.value, options);
  return workflow === undefined ? { ok: false, problems: read.describe(problems) } : { ok: true, workflow };
}

function check(value: unknown, options: WorkflowOptions): { problems: Problem[]; workflow?: Workflow } {
  if (!isObject(value)) {
    const right = 'a workflow is a map with its tasks, as tasks: {hello: {command: [echo, hi]}}';
    const got = value === undefined ? 'the file is empty' : expected('one')({ input: value });
    return { problems: [{ path: [], message: `${got}; ${right}` }] };
  }
  const filler = new Filler();
  const { vars, tasks: list, ...others } = value;
  const variables = new Variables(vars, options.vars ?? new Map(), filler);
  const { name, job, ...rawSettings } = fillKeys(others, variables, [], filler);
  const problems = nameProblems(name, job);
  const parsedJob = parseJobKeys(rawSettings, vocabulary);
  if (!parsedJob.ok) problems.push(...parsedJob.problems);
  const heavy = weightProblem(rawSettings);
  if (heavy !== undefined) problems.push({ path: [], message: `the settings of the job: ${heavy}` });
  const written = new Map<string, Raw>();
  problems.push(...taskListProblems(list, written));
  const { tasks, heads } = expand(written, variables, filler, options);
  problems.push(...weightProblems(tasks));
  const defaults = soundDefaults(rawSettings.defaults, problems);
  if (weigh(defaults, MAX_DEFAULTS_BYTES) * tasks.size > MAX_DEFAULTS_BYTES) {
    const message = `are more than 256 MB in all ${tasks.size} tasks together`;
    return { problems: [...filler.problems, ...problems, { path: ['defaults'], message }] };
  }
  const specs = new Map<string, TaskSpec>();
  for (const [id, raw] of tasks) {
    const parsed = parseTask(mergeDefaults(defaults, raw), id, options);
    if (parsed.ok) specs.set(id, parsed.spec);
    else problems.push(...parsed.problems.map(({ path, message }) => ({ path: placeOf(id, raw, path), message })));
  }
  if (isObject(list)) problems.push(...graphProblems(tasks, heads, new Set(Object.keys(list))));
  const all = [...filler.problems, ...variables.strays(), ...notAbout(filler.problems, problems)];
  if (all.length > 0 || !parsedJob.ok) return { problems: all };
  const chosen = [name, job].find((one) => typeof one === 'string');
  return { problems, workflow: { name: chosen, rawSettings, settings: parsedJob.settings, tasks, specs, heads } };
}

/** Every task with its variables filled in, and in the place of one with `for_each` those that it stands for. */
function expand(written: ReadonlyMap<string, Raw>, variables: Variables, filler: Filler, options: WorkflowOptions) {
  const tasks = new Map<string, Raw>();
  const heads = new Map<string, Raw>();
  const taken = new Set([...written.keys()].map((id) => id.toLowerCase()));
  const ids = new MadeIds((id) => taken.has(id.toLowerCase()));
  const linesOf = options.linesOf ?? (() => ({ problem: 'cannot be read here' }));
  for (const [id, raw] of written) {
    if (raw.for_each === undefined) {
      tasks.set(id, fillKeys(raw, variables, ['tasks', id], filler));
      continue;
    }
    const family = expandTask(id, raw, { variables, filler, ids, linesOf });
    if (family === undefined) continue;
    if (family.members.size === 0) tasks.set(id, family.head);
    else heads.set(id, family.head);
    for (const [member, task] of family.members) tasks.set(member, task);
  }
  return { tasks, heads };
}

/** Where in the file it stands what a task says: of one that `for_each` made, where that does. */
function placeOf(id: string, { parent }: Raw, path: Problem['path'] = []): Problem['path'] {
  return ['tasks', typeof parent === 'string' ? parent : id, ...path];
}

function weightProblems(tasks: ReadonlyMap<string, Raw>): Problem[] {
  const problems: Problem[] = [];
  let total = 0;
  for (const [id, raw] of tasks) {
    const heavy = weightProblem(raw);
    if (heavy !== undefined) problems.push({ path: placeOf(id, raw), message: heavy });
    total += weigh(raw, MAX_BUNDLE_BYTES);
    if (total > MAX_BUNDLE_BYTES) return [{ path: ['tasks'], message: 'are larger than 64 MB together' }];
  }
  return problems;
}

/**
 * What else is wrong, each once: the tasks of a family say it all together, and a text that could not be filled in is no
 * value that anything more could be said about.
 */
function notAbout(unfilled: readonly Problem[], problems: readonly Problem[]): Problem[] {
  const places = new Set(unfilled.map(({ path }) => JSON.stringify(path)));
  const known = new Set<string>();
  return problems.filter(({ path, message }) => {
    const what = JSON.stringify([path, message]);
    return !places.has(JSON.stringify(path)) && !known.has(what) && known.add(what);
  });
}

function nameProblems(name: unknown, job: unknown): Problem[] {
  const problems: Problem[] = [];
  for (const [key, value] of Object.entries({ name, job })) {
    if (value === undefined) continue;
    const why = typeof value === 'string' ? nameProblem(value) : undefined;
    if (typeof value !== 'string')
      problems.push({ path: [key], message: expected('the name of a job')({ input: value }) });
    else if (why !== undefined) problems.push({ path: [key], message: `${quote(value)} is no name of a job: ${why}` });
  }
  if (name !== undefined && job !== undefined && name !== job) {
    problems.push({ path: ['job'], message: 'is another word for name, which says something else; keep one' });
  }
  return problems;
}

/** Fills `tasks` with every task that is an object of a fair size under a good id. */
function taskListProblems(written: unknown, tasks: Map<string, Raw>): Problem[] {
  if (!isObject(written)) {
    const message = expected('a map of tasks, as {hello: {command: [echo, hi]}}')({ input: written });
    return [{ path: ['tasks'], message }];
  }
  const problems: Problem[] = [];
  const seen = new Map<string, string>();
  for (const [id, raw] of Object.entries(written)) {
    const message = taskProblem(id, raw, seen.get(id.toLowerCase()));
    seen.set(id.toLowerCase(), id);
    if (message !== undefined) problems.push({ path: ['tasks', id], message });
    else if (isObject(raw)) {
      problems.push(...foreignProblems(id, raw));
      tasks.set(id, withoutId(raw));
    }
  }
  if (seen.size === 0) problems.push({ path: ['tasks'], message: 'there are none; a workflow needs at least one' });
  return problems;
}

function taskProblem(id: string, raw: unknown, sameButCase: string | undefined): string | undefined {
  const why = nameProblem(id);
  if (why !== undefined) return `${quote(id)} is no task id: ${why}`;
  if (sameButCase !== undefined)
    return `differs from ${quote(sameButCase)} only in case, which some file systems do not keep apart`;
  if (!isObject(raw)) return expected('a task, as {command: [echo, hi]}')({ input: raw });
  return weightProblem(raw);
}

/** Keys that a task has in a drop, but not here. */
function foreignProblems(id: string, raw: Raw): Problem[] {
  const problems: Problem[] = ['parent', 'ancestors']
    .filter((key) => Object.hasOwn(raw, key))
    .map((key) => ({
      path: ['tasks', id, key],
      message: 'is set by the daemon for tasks that a task queued; leave it out',
    }));
  if (raw.id !== undefined && raw.id !== id) {
    problems.push({
      path: ['tasks', id, 'id'],
      message: `says ${show(raw.id)}, but the task is called ${quote(id)}; leave id out`,
    });
  }
  return problems;
}

function withoutId(raw: Raw): Raw {
  const task = { ...raw };
  for (const key of ['id', 'parent', 'ancestors']) delete task[key];
  return task;
}

/** The defaults without what is wrong in them, so that it is reported once and not for each task. */
function soundDefaults(defaults: unknown, problems: readonly Problem[]): Raw {
  if (!isObject(defaults)) return {};
  const wrong = new Set(problems.filter(({ path }) => path[0] === 'defaults').map(({ path }) => path[1]));
  return Object.fromEntries(Object.entries(defaults).filter(([key]) => !wrong.has(key)));
}

// ── The graph ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** Dependencies on what is not in the file, and cycles. `written`: the ids in it, also of tasks that are wrong. */
function graphProblems(
  tasks: ReadonlyMap<string, Raw>,
  heads: ReadonlyMap<string, Raw>,
  written: ReadonlySet<string>,
): Problem[] {
  const ids = new Set([...written, ...tasks.keys()]);
  const edges = new Map<string, string[]>([...heads.keys()].map((id) => [id, []]));
  const problems: Problem[] = [];
  for (const [id, raw] of tasks) {
    const named = Array.isArray(raw.dependencies) ? raw.dependencies.slice(0, 10_000) : [];
    const known: string[] = [];
    for (const [index, dependency] of named.entries()) {
      if (typeof dependency !== 'string' || nameProblem(dependency) !== undefined) continue;
      if (ids.has(dependency)) known.push(dependency);
      else {
        const path = placeOf(id, raw, ['dependencies', index]);
        problems.push(unknownDependency(path, dependency, problems.length < MAX_NAMED ? ids : []));
      }
    }
    edges.set(
      id,
      known.filter((dependency) => dependency !== id),
    );
    if (typeof raw.parent === 'string') edges.get(raw.parent)?.push(id);
  }
  for (const cycle of cyclesIn(edges)) {
    const first = cycle[0] ?? '';
    const message = `the tasks wait for one another: ${spellCycle([...cycle, first])}; remove one of these dependencies`;
    problems.push({ path: placeOf(first, tasks.get(first) ?? {}, ['dependencies']), message });
  }
  return problems;
}

function unknownDependency(path: Problem['path'], dependency: string, ids: Iterable<string>): Problem {
  const near = closest(dependency, ids);
  const hint = near === undefined ? '' : `; did you mean ${quote(near)}?`;
  return {
    path,
    message: `there is no task ${quote(dependency, 100)} in this workflow${hint}`,
  };
}

/**
 * Cycles of a graph of task → what it depends on: every task that is part of one is in at least one of those given, as
 * long as they are few. Each begins with the task that comes first in the graph's order.
 */
export function cyclesIn(edges: ReadonlyMap<string, readonly string[]>): string[][] {
  const cycles: string[][] = [];
  const done = new Set<string>();
  for (const root of edges.keys()) {
    if (done.has(root)) continue;
    const path: { id: string; next: number }[] = [{ id: root, next: 0 }];
    const onPath = new Set([root]);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const dependency = edges.get(top.id)?.[top.next++];
      if (dependency === undefined) {
        done.add(top.id);
        onPath.delete(top.id);
        path.pop();
      } else if (onPath.has(dependency)) {
        cycles.push(path.slice(path.findIndex(({ id }) => id === dependency)).map(({ id }) => id));
        if (cycles.length >= MAX_NAMED) return cycles;
      } else if (!done.has(dependency)) {
        path.push({ id: dependency, next: 0 });
        onPath.add(dependency);
      }
    }
  }
  return cycles;
}
