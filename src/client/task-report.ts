// `status JOB/TASK`: everything that the disk and /proc know of one task.
import { homedir } from 'node:os';
import { basename, dirname } from 'node:path';
import type { JobLayout, Layout } from '../protocol/layout.ts';
import { compareNatural } from '../protocol/names.ts';
import type { RunnerLine } from '../protocol/pid-file.ts';
import type { NodeState } from '../scheduler/graph.ts';
import { type Attempt, attemptsOf, movedAt } from './attempts.ts';
import { ancestorsNoted, factsOf, jobDefaults, type Raw, readTask, textOf } from './facts.ts';
import { Families } from './families.ts';
import { findTask, type Found, type FoundTask, heldNameOf } from './find.ts';
import { lastLinesOf } from './logs.ts';
import { type Place, placeOf } from './place.ts';
import { type ProcessUse, processesOf } from './processes.ts';
import { type TaskWhy, whyTask } from './why.ts';

export interface TaskReport {
  place: Place;
  job: string;
  task: string;
  state: Found;
  /** Milliseconds since 1970: when it came to its folder. */
  since: number | undefined;
  /** Where its file lies. */
  path: string;
  /** The file as it is written; undefined if it does not read. */
  spec: Raw | undefined;
  /** What it runs, in words of a command line, and where; undefined if the file does not say. */
  argv: string[] | undefined;
  shell: string | undefined;
  cwd: string;
  /** Nearest first: the task that queued it, who queued that, … */
  ancestors: string[];
  /** What it queued itself. */
  children: Children;
  dependencies: string[];
  attempts: Attempt[];
  /** Of the attempt that lives. */
  processes: ProcessUse[];
  /** Why it is as it is. */
  why: TaskWhy;
  /** Why it was rejected, all of it. */
  rejection: string | undefined;
  /** Of the latest attempt's output. */
  lastLines: string[];
}

/** What a task queued itself, but for what has succeeded. */
export interface Children {
  /** What is worst first; each with its ids in natural order. */
  groups: { state: NodeState; ids: string[] }[];
  /** Too many tasks to look at: there may be more children. */
  isPartial: boolean;
}

const WORST_FIRST: readonly NodeState[] = ['failed', 'rejected', 'cancelled', 'skipped', 'running', 'pending', 'held'];

/** Errors: JOB_UNKNOWN, TASK_UNKNOWN. */
export function taskReport(layout: Layout, job: string, id: string, lines: number): TaskReport {
  const found = findTask(layout, job, id);
  const path = pathOf(found);
  const read = readTask(path);
  const raw = read.kind === 'ok' ? read.raw : undefined;
  const merged: Raw = { ...jobDefaults(found.layout), ...raw };
  const facts = factsOf(id, raw ?? {}, {});
  const attempts = attemptsOf(found.layout, id);
  const latest = attempts.at(-1);
  return {
    place: placeOf(layout),
    job,
    task: id,
    state: found.state,
    since: movedAt(path),
    path,
    spec: raw,
    argv: argvOf(merged),
    shell: typeof merged.shell === 'string' && argvOf(raw ?? {}) === undefined ? merged.shell : undefined,
    cwd: typeof merged.cwd === 'string' ? merged.cwd : defaultFolder(layout),
    ancestors:
      found.state === 'rejected' && facts.ancestors.length === 0
        ? ancestorsNoted(found.layout, id)
        : [...facts.ancestors],
    children: childrenOf(found.layout, id),
    dependencies: [...facts.dependencies],
    attempts,
    processes:
      latest?.now.kind === 'live' && latest.now.here ? processesOf(latest.layout.root, latest.now.runner.pid) : [],
    why: whyTask(layout, job, id, 0),
    rejection: found.state === 'rejected' ? textOf(found.layout.rejection(id)).trim() : undefined,
    lastLines: latest === undefined ? [] : lastLinesOf(latest, lines),
  };
}

function childrenOf(job: JobLayout, id: string): Children {
  const families = new Families(job);
  const children = families.childrenOf(id);
  const groups = WORST_FIRST.map((state) => {
    const ids = children.filter((child) => child.state === state).map((child) => child.id);
    return { state, ids: ids.sort(compareNatural) };
  });
  return { groups: groups.filter(({ ids }) => ids.length > 0), isPartial: families.isPartial };
}

function pathOf({ layout, id, state }: FoundTask): string {
  if (state !== 'held') return layout.task(state, id);
  const held = heldNameOf(layout, id);
  return held === undefined ? layout.held(id) : `${layout.folder('pending')}/${held}`;
}

function argvOf({ command, args, shell }: Raw): string[] | undefined {
  if (shell !== undefined && command === undefined) return undefined;
  if (Array.isArray(command)) return command.map(String);
  return typeof command === 'string' ? [command, ...(Array.isArray(args) ? args.map(String) : [])] : undefined;
}

/** Where a task runs that does not say: the folder that holds a `.spoold/`, else the home directory. */
function defaultFolder({ root }: Layout): string {
  return basename(root) === '.spoold' ? dirname(root) : homedir();
}

/** The document of `status JOB/TASK --json`. */
export function taskJson(report: TaskReport): unknown {
  const { job, task, state, spec, ancestors, children, attempts, why } = report;
  return {
    job,
    task,
    state,
    spec: spec ?? null,
    parent: ancestors[0] ?? null,
    ancestors,
    children: Object.fromEntries(children.groups.map((group) => [group.state, group.ids.length])),
    children_partial: children.isPartial,
    attempts: attempts.flatMap((attempt) => attemptJson(report, attempt)),
    waiting_for: state === 'pending' ? why.why.causes : [],
  };
}

function attemptJson({ job, task }: TaskReport, { attempt, layout, now }: Attempt): object[] {
  const common = { job, task, attempt, run_dir: layout.root };
  switch (now.kind) {
    case 'settled':
      return [{ ...now.result, run_dir: layout.root }];
    case 'live':
      return [{ ...common, started_at: new Date(now.startedAt).toISOString(), identity: identityJson(now.runner) }];
    case 'ended':
      return [
        {
          ...common,
          exit_code: now.status,
          started_at: new Date(now.startedAt).toISOString(),
          finished_at: new Date(now.finishedAt).toISOString(),
        },
      ];
    case 'gone':
      return [{ ...common, started_at: new Date(now.startedAt).toISOString() }];
    case 'starting':
      return [common];
    case 'void':
      return []; // it never was one
  }
}

function identityJson({ pid, startTicks, boot, pidns, host, inode }: RunnerLine): object {
  return { pid, start_ticks: startTicks, boot, pidns, host, inode };
}
