// A workflow file as it is on the disk → what is to be queued: paths made absolute by the file's own folder, and a name
// for the job.
import { isUtf8 } from 'node:buffer';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, extname, resolve } from 'node:path';
import { errnoOf, SpooldError } from '../errors.ts';
import type { LinesOf } from '../protocol/for-each.ts';
import { idPart } from '../protocol/made-ids.ts';
import { nameProblem } from '../protocol/names.ts';
import type { Raw } from '../protocol/task.ts';
import { isObject } from '../protocol/validation.ts';
import { parseWorkflow, type Workflow, type WorkflowOptions } from '../protocol/workflow.ts';
import { currentFolder } from './directory.ts';

const MAX_FILE_BYTES = 64_000_000;

/** A file that a person wrote, as text. Errors: FILE_UNREADABLE, FILE_NOT_TEXT. */
export function readTextFile(path: string): string {
  try {
    const stat = statSync(path);
    if (stat.isDirectory()) throw new SpooldError('FILE_UNREADABLE', `${path} is a folder.`, { path });
    if (stat.size > MAX_FILE_BYTES) throw new SpooldError('FILE_UNREADABLE', `${path} is larger than 64 MB.`, { path });
    return textOfBytes(readFileSync(path), path);
  } catch (error) {
    if (error instanceof SpooldError) throw error;
    const message =
      errnoOf(error) === 'ENOENT' ? `There is no file ${path}.` : `${path} cannot be read: ${(error as Error).message}`;
    throw new SpooldError('FILE_UNREADABLE', message, { path, cause: error });
  }
}

/** What a person wrote, as text; what is none would come out as other words. Errors: FILE_NOT_TEXT. */
export function textOfBytes(bytes: Buffer, path: string): string {
  const text = bytes.toString('utf8');
  if (isUtf8(bytes)) return text;
  const again = Buffer.from(text);
  const line = again.subarray(0, firstDifference(bytes, again)).toString('latin1').split('\n').length;
  throw new SpooldError('FILE_NOT_TEXT', `${path}:${line}: there is something in this line that is not UTF-8.`, {
    path,
    hint: 'Save it as UTF-8; iconv -f LATIN1 -t UTF-8 makes it of a file in Latin-1.',
  });
}

function firstDifference(a: Buffer, b: Buffer): number {
  return a.findIndex((byte, i) => byte !== b[i]);
}

/** Variables given besides the file, as `--var` does. */
export type Given = ReadonlyMap<string, string>;

/** The lines of a file beside a workflow. */
function linesBeside(workflow: string): LinesOf {
  return (path) => {
    const found = resolve(currentFolder(), dirname(workflow), path);
    try {
      const lines = readTextFile(found).split(/\r?\n/);
      return { lines };
    } catch (error) {
      if (!(error instanceof SpooldError)) throw error;
      return {
        problem: `${error.message} It is read when the workflow is queued; for what a task makes, see children.`,
      };
    }
  };
}

/** What reading a workflow needs to know of the disk. */
export function optionsFor(path: string, vars: Given): WorkflowOptions {
  return { vars, isFile: existsSync, linesOf: linesBeside(path) };
}

/** Reads and checks a workflow. Errors: FILE_UNREADABLE, FILE_NOT_TEXT, WORKFLOW_INVALID (all problems, a line each). */
export function readWorkflow(path: string, vars: Given): Workflow {
  const parsed = parseWorkflow(readTextFile(path), path, optionsFor(path, vars));
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

/** As `jobNameFor`, for what is queued nowhere, or where a name like it will do: what is not allowed in one becomes `-`. */
export function nameLike(workflow: Workflow, path: string): string {
  return workflow.name ?? (idPart(basename(path, extname(path))).slice(0, 60) || 'workflow');
}

/** A job's settings and its tasks, as they go to the disk. */
export interface JobFiles {
  settings: Raw;
  tasks: ReadonlyMap<string, Raw>;
  /** Those that count as succeeded from the start, for nobody runs them. */
  succeeded?: ReadonlyMap<string, Raw>;
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
  return { settings, tasks, succeeded: workflow.heads };
}

function placed(raw: Raw, folder: string): Raw {
  return typeof raw.cwd === 'string' ? { ...raw, cwd: resolve(folder, raw.cwd) } : raw;
}
