// A workflow file as it is on the disk → what is to be queued: paths made absolute by the file's own folder, a name for
// the job, and the levels in which its tasks can run.
import { readFileSync, statSync } from 'node:fs';
import { basename, dirname, extname, resolve } from 'node:path';
import { errnoOf, SpooldError } from '../errors.ts';
import { nameProblem } from '../protocol/names.ts';
import type { Raw } from '../protocol/task.ts';
import { isObject } from '../protocol/validation.ts';
import { parseWorkflow, type Workflow } from '../protocol/workflow.ts';
import { currentFolder } from './directory.ts';

const MAX_FILE_BYTES = 64_000_000;

/** A file that a person wrote, as text. Errors: FILE_UNREADABLE. */
export function readTextFile(path: string): string {
  try {
    const stat = statSync(path);
    if (stat.isDirectory()) throw new SpooldError('FILE_UNREADABLE', `${path} is a folder.`, { path });
    if (stat.size > MAX_FILE_BYTES) throw new SpooldError('FILE_UNREADABLE', `${path} is larger than 64 MB.`, { path });
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof SpooldError) throw error;
    const message =
      errnoOf(error) === 'ENOENT' ? `There is no file ${path}.` : `${path} cannot be read: ${(error as Error).message}`;
    throw new SpooldError('FILE_UNREADABLE', message, { path, cause: error });
  }
}

/** Reads and checks a workflow. Errors: FILE_UNREADABLE, WORKFLOW_INVALID (all problems, a line each). */
export function readWorkflow(path: string): Workflow {
  const parsed = parseWorkflow(readTextFile(path), path);
  if (parsed.ok) return parsed.workflow;
  throw new SpooldError('WORKFLOW_INVALID', `${path} is no valid workflow.\n${parsed.problems.join('\n')}`, {
    path,
    hint: 'Nothing was queued. spoold schema workflow prints what may be in one.',
  });
}

/** What the job of a workflow is called: --job, else what the file says, else the file's name. Errors: JOB_NAME. */
export function jobNameFor(workflow: Workflow, path: string, said: string | undefined): string {
  const name = said ?? workflow.name ?? basename(path, extname(path));
  const problem = nameProblem(name);
  if (problem === undefined) return name;
  throw new SpooldError('JOB_NAME', `${JSON.stringify(name)} cannot be the name of a job: ${problem}.`, {
    hint: 'Name it with --job.',
  });
}

/** A job's settings and its tasks, as they go to the disk. */
export interface JobFiles {
  settings: Raw;
  tasks: ReadonlyMap<string, Raw>;
}

/** Tasks run in the file's folder unless they say where; what they say is relative to that folder. */
export function jobFilesOf(workflow: Workflow, path: string): JobFiles {
  const folder = dirname(resolve(currentFolder(), path));
  const defaults = isObject(workflow.rawSettings.defaults) ? workflow.rawSettings.defaults : {};
  const settings: Raw = {
    ...workflow.rawSettings,
    max_parallel: workflow.rawSettings.max_parallel ?? 'none',
    defaults: {
      ...placed(defaults, folder),
      cwd: typeof defaults.cwd === 'string' ? resolve(folder, defaults.cwd) : folder,
    },
  };
  const tasks = new Map([...workflow.tasks].map(([id, raw]) => [id, placed(raw, folder)]));
  return { settings, tasks };
}

function placed(raw: Raw, folder: string): Raw {
  return typeof raw.cwd === 'string' ? { ...raw, cwd: resolve(folder, raw.cwd) } : raw;
}

export interface PlannedTask {
  id: string;
  /** 1: it can start at once; n: after tasks of level n - 1. */
  level: number;
  dependencies: string[];
}

/** The tasks by level, in the file's order within one. */
export function planOf(workflow: Workflow): PlannedTask[] {
  const levels = new Map<string, number>();
  // No cycles: the workflow was checked. Each task is put after what it waits for, with a stack of its own.
  for (const root of workflow.specs.keys()) {
    const stack = [root];
    for (let id = stack.at(-1); id !== undefined; id = stack.at(-1)) {
      const open = dependenciesOf(workflow, id).filter((d) => !levels.has(d));
      if (open.length > 0) stack.push(...open);
      else {
        levels.set(id, 1 + Math.max(0, ...dependenciesOf(workflow, id).map((d) => levels.get(d) ?? 0)));
        stack.pop();
      }
    }
  }
  const plan = [...workflow.specs.keys()].map((id) => ({
    id,
    level: levels.get(id) ?? 1,
    dependencies: dependenciesOf(workflow, id),
  }));
  return plan.sort((a, b) => a.level - b.level);
}

function dependenciesOf(workflow: Workflow, id: string): string[] {
  return workflow.specs.get(id)?.dependencies ?? [];
}
