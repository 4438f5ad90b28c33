// What a workflow would do, played through by the scheduler itself: every task takes one turn and succeeds, and as many run
// in a turn as the limits of now allow. Nothing is written.
import { availableParallelism } from 'node:os';
import { readParsed } from '../host/atomic.ts';
import { parseConfig } from '../protocol/config.ts';
import type { Layout } from '../protocol/layout.ts';
import type { Workflow } from '../protocol/workflow.ts';
import { JobGraph } from '../scheduler/graph.ts';
import { type Candidate, plan } from '../scheduler/plan.ts';
import { readParallel } from '../store/snapshot.ts';
import { daemonOf } from './daemon.ts';
import { levelsOf } from './levels.ts';

export interface PlannedTask {
  id: string;
  /** 1: it can start at once; n: after tasks of level n - 1. */
  level: number;
  /** In which turn it would run, from 1; null: never, if all goes well (`run_if: failure`, and what waits for that). */
  turn: number | null;
  dependencies: string[];
  run_if: 'success' | 'always' | 'failure';
}

export interface Plan {
  /** By level, then by turn, then in the order of the file. */
  tasks: PlannedTask[];
  levels: number;
  turns: number;
  /** How many of it run at one time, and the file that says so. */
  limit: number;
  said_by: string;
}

/** `layout`: where it would be queued, if that is there already. */
export function planOf(workflow: Workflow, file: string, layout: Layout | undefined): Plan {
  const { limit, saidBy } = limitOf(workflow, file, layout);
  const levels = levelsOf(workflow.specs);
  const turns = turnsOf(workflow, limit);
  const tasks = [...workflow.specs].map(([id, { dependencies, runIf }]) => ({
    id,
    level: levels.get(id) ?? 1,
    turn: turns.get(id) ?? null,
    dependencies,
    run_if: runIf,
  }));
  tasks.sort((a, b) => a.level - b.level || (a.turn ?? Infinity) - (b.turn ?? Infinity) || 0);
  return {
    tasks,
    levels: highest(levels),
    turns: highest(turns),
    limit,
    said_by: saidBy,
  };
}

const highest = (numbers: ReadonlyMap<string, number>) => [...numbers.values()].reduce((a, b) => Math.max(a, b), 0);

/** Task → the turn in which it runs. */
function turnsOf({ specs }: Workflow, limit: number): Map<string, number> {
  const turns = new Map<string, number>();
  const graph = new JobGraph((id) => turns.has(id));
  let queuedAt = 0; // tasks are written, and so age, in the order of the file
  for (const [id, { priority, dependencies, ancestors, runIf }] of specs)
    graph.put({ id, priority, queuedAt: queuedAt++, dependencies, ancestors, runIf, notBefore: 0 }, 'pending');
  for (let turn = 1; ; turn++) {
    const job: Candidate = {
      name: '',
      free: limit,
      turn: 0,
      peekReady: (now) => graph.peekReady(now),
      takeReady: (now) => graph.takeReady(now),
    };
    const starts = plan([job], limit, 0);
    if (starts.length === 0) return turns;
    for (const { id } of starts) graph.move(id, 'running');
    for (const { id } of starts) turns.set(id, turn);
    for (const { id } of starts) graph.move(id, 'succeeded');
  }
}

interface Limit {
  limit: number;
  saidBy: string;
}

/** The lower one of the workflow's own limit and the one that holds for everything. */
function limitOf({ settings }: Workflow, file: string, layout: Layout | undefined): Limit {
  const own = settings.maxParallel;
  const all = globalLimit(layout);
  return typeof own === 'number' && own <= all.limit ? { limit: own, saidBy: file } : all;
}

function globalLimit(layout: Layout | undefined): Limit {
  const cores = { limit: availableParallelism(), saidBy: 'the number of cores' };
  if (layout === undefined) return cores;
  const parallel = readParallel(layout.parallel);
  if (typeof parallel === 'number' && parallel > 0) return { limit: parallel, saidBy: layout.parallel };
  const daemon = daemonOf(layout);
  const inForce = daemon.kind === 'stopped' ? configured(layout) : daemon.record.max_parallel;
  return typeof inForce === 'number' ? { limit: inForce, saidBy: layout.config } : cores;
}

/** What the next daemon would take from config.yaml. */
function configured(layout: Layout): number | 'auto' | undefined {
  const read = readParsed(layout.config, (text) => parseConfig(text, layout.config));
  return read.kind === 'ok' && read.value.ok ? read.value.config.maxParallel : undefined;
}
