// What a workflow would do, played through by the scheduler itself: every task takes one turn and succeeds, and as many run
// in a turn as the limits of now allow. Nothing is written.
import { availableParallelism } from 'node:os';
import { readParsed } from '../host/atomic.ts';
import { type Config, DEFAULT_CONFIG, parseConfig } from '../protocol/config.ts';
import type { Layout } from '../protocol/layout.ts';
import { type Resources, unmeetable } from '../protocol/resources.ts';
import { formatProblem } from '../protocol/validation.ts';
import type { Workflow } from '../protocol/workflow.ts';
import { JobGraph } from '../scheduler/graph.ts';
import { type Candidate, plan } from '../scheduler/plan.ts';
import { Pools, requestOf } from '../scheduler/resources.ts';
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
  /** The task with `for_each` that it was made of. */
  parent: string | null;
  /** What it asks for that is not there, which has it rejected; null: it can have all it asks for. */
  lacks: string | null;
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
  const config = layout === undefined ? DEFAULT_CONFIG : configIn(layout);
  const { limit, saidBy } = limitOf(workflow, file, layout, config);
  const levels = levelsOf(workflow.specs);
  const turns = turnsOf(workflow, limit, config.resources);
  const tasks = [...workflow.specs].map(([id, { dependencies, parent, runIf, resources }]) => ({
    id,
    level: levels.get(id) ?? 1,
    turn: turns.get(id) ?? null,
    dependencies,
    parent: parent ?? null,
    run_if: runIf,
    lacks: unmeetable(resources, config.resources).map(formatProblem).join('; ') || null,
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
function turnsOf({ specs, heads }: Workflow, limit: number, supply: Resources): Map<string, number> {
  const turns = new Map<string, number>();
  const graph = new JobGraph((id) => turns.has(id) || heads.has(id));
  let queuedAt = 0; // tasks are written, and so age, in the order of the file; on the disk some may be as old as others
  for (const [id, { resources, ...spec }] of specs) {
    const request = requestOf(resources);
    graph.put({ ...spec, id, queuedAt: queuedAt++, notBefore: 0, request }, 'pending');
  }
  for (let turn = 1; ; turn++) {
    const job: Candidate = { name: '', free: limit, turn: 0, readyKinds: (now) => graph.readyKinds(now) };
    const limits = { free: limit, pools: new Pools(supply, []), starvationAfter: 'none' } as const;
    const { starts } = plan([job], limits, 0);
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
function limitOf({ settings }: Workflow, file: string, layout: Layout | undefined, config: Config): Limit {
  const own = settings.maxParallel;
  const all = globalLimit(layout, config);
  return typeof own === 'number' && own <= all.limit ? { limit: own, saidBy: file } : all;
}

function globalLimit(layout: Layout | undefined, config: Config): Limit {
  const cores = { limit: availableParallelism(), saidBy: 'the number of cores' };
  if (layout === undefined) return cores;
  const parallel = readParallel(layout.parallel);
  if (typeof parallel === 'number' && parallel > 0) return { limit: parallel, saidBy: layout.parallel };
  const daemon = daemonOf(layout);
  const inForce = daemon.kind === 'stopped' ? config.maxParallel : daemon.record.max_parallel;
  return typeof inForce === 'number' ? { limit: inForce, saidBy: layout.config } : cores;
}

/** What the next daemon would go by; one that does not read says nothing here. */
function configIn(layout: Layout): Config {
  const read = readParsed(layout.config, (text) => parseConfig(text, layout.config));
  return read.kind === 'ok' && read.value.ok ? read.value.config : DEFAULT_CONFIG;
}
