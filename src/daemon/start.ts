// Starting a task, in this order: run directory, claim, pending/ → running/, read again from there, `run`, hand-over.
// Each step is undone by the next look if it was the last: a claim without `run` is given back; a `run` without a runner
// is voided. The text that is judged is the text that runs.
import { basename, dirname } from 'node:path';
import { beforeChange, isThere, moveIfFree, overwrite } from '../host/atomic.ts';
import { monotonic, wallClock } from '../host/clock.ts';
import { type Holdings, NO_HOLDINGS } from '../protocol/resources.ts';
import { idleIo } from '../host/idle-io.ts';
import type { TaskSpec } from '../protocol/task.ts';
import { describeBriefly } from '../protocol/problems.ts';
import { RunLayout } from '../protocol/layout.ts';
import { parseRunName, runName } from '../protocol/names.ts';
import { membersOf } from '../runner/ending.ts';
import { renderScript, shellArgv } from '../runner/script.ts';
import { claimTask, createRun, discardRun, type Run, unclaimTask } from '../store/runs.ts';
import { readDrop } from '../store/tasks.ts';
import { addStray } from './endings.ts';
import { environmentOf, standardInput, Unstartable, workingDirectory } from './environment.ts';
import { relocate } from './intake.ts';
import { factsOf, sameIdText, specFrom } from './judge.ts';
import { rejectDrop } from './rejections.ts';
import type { Attempt, Job } from './job.ts';
import { settle } from './settle.ts';
import type { World } from './world.ts';

/** Starts a task if it still may be started; if not, leaves it where it belongs. `holdings` is what the plan gives it. */
export function start(world: World, job: Job, id: string, holdings: Holdings): void {
  if (job.attempts.has(id)) return; // claimed; judged again when that attempt is settled
  const run = createRun(job.layout, id, (job.tries.get(id)?.attempt ?? 0) + 1);
  let spec: TaskSpec | undefined;
  try {
    if (!claimTask(job.layout, id, run.attempt)) {
      job.graph.delay(id, wallClock() + EARLIER_AGAIN_MS);
      return discardRun(run.layout);
    }
    spec = takeTask(world, job, id, run);
  } catch (error) {
    letGo(job, id, run);
    throw error;
  }
  if (spec === undefined) return letGo(job, id, run);
  const now = monotonic();
  const attempt: Attempt = {
    job,
    id,
    run,
    spec,
    holdings,
    peakRss: 0,
    children: 0,
    since: now,
    dropped: false,
    spreads: new Map(),
    syncing: new Set(),
    mayHaveTaken: false,
    handedAt: now,
    nextLook: now + FIRST_LOOK_MS,
  };
  job.begin(attempt);
  job.graph.move(id, 'running');
  job.summaryDue = true;
  world.unsynced = true;
  handOver(world, attempt, spec);
}

/** Under the claim: pending/ → running/, and what it says there. Undefined if it may not start. */
function takeTask(world: World, job: Job, id: string, run: Run): TaskSpec | undefined {
  const isStray = world.strays.some((stray) => stray.runDir === run.layout.root); // of a run directory that was removed
  if (isStray || (run.attempt > 1 && earlierAttemptLives(world, job, id, run.attempt))) {
    job.graph.delay(id, wallClock() + EARLIER_AGAIN_MS);
    return undefined;
  }
  if (moveIfFree(job.layout.task('pending', id), job.layout.task('running', id)) === 'moved') {
    job.expectEcho('pending', id);
    job.expectEcho('running', id);
    return readAgain(world, job, id);
  }
  job.hint('pending', `${id}.json`);
  job.hint('running', `${id}.json`);
  return undefined;
}

const EARLIER_AGAIN_MS = 200;
/** Most tasks are over by then; the others get a watch on their drop folder. */
const FIRST_LOOK_MS = 50;

function letGo(job: Job, id: string, run: Run): void {
  discardRun(run.layout);
  unclaimTask(job.layout, id);
}

/** What is left of an earlier attempt is ended first: one attempt of a task at a time. */
function earlierAttemptLives(world: World, job: Job, id: string, attempt: number): boolean {
  let lives = false;
  for (const n of attemptsIn(world, id)) {
    if (n >= attempt) continue;
    const runDir = new RunLayout(`${job.layout.runs}/${runName(id, n)}`).root;
    const members = membersOf(world.processes(), { runDir });
    if (members.length === 0) continue;
    lives = true;
    if (world.strays.some((stray) => stray.runDir === runDir)) continue;
    addStray(world, job.name, runDir, NO_HOLDINGS); // they were settled, and what they held is others' by now
    world.log.warn('ending processes that an earlier attempt left', {
      job: job.name,
      task: id,
      attempt: n,
      processes: members.length,
    });
  }
  return lives;
}

/** Attempts of tasks of this name that processes say they belong to: there may have been thousands. */
function attemptsIn(world: World, id: string): Set<number> {
  const numbers = new Set<number>();
  for (const { value, stdout } of world.processes().byPid.values()) {
    for (const runDir of [value, stdout && dirname(stdout)]) {
      const run = parseRunName(basename(runDir ?? ''));
      if (run?.task === id) numbers.add(run.attempt);
    }
  }
  return numbers;
}

/** Reads the task from running/, on one descriptor. What may not start goes back, or to rejected/. */
function readAgain(world: World, job: Job, id: string): TaskSpec | undefined {
  const path = job.layout.task('running', id);
  const drop = readDrop(path, world.owners);
  if (isThere(job.layout.task('succeeded', id))) {
    // Of the folders, only succeeded/ is not known by heart.
    rejectDrop(world, job, id, sameIdText(job, id, 'succeeded', path), path);
    job.graph.forget(id);
    relocate(world, job, id);
    return undefined;
  }
  const parsed = drop.kind === 'json' ? specFrom(job, id, drop.value) : undefined;
  if (drop.kind !== 'json' || parsed === undefined || 'problems' in parsed) {
    const text =
      drop.kind === 'json' && parsed !== undefined && 'problems' in parsed
        ? describeBriefly(drop.text, path, parsed.problems).join('\n')
        : undefined;
    if (text !== undefined || drop.kind === 'refused') {
      rejectDrop(world, job, id, text ?? `${path}: ${drop.kind === 'refused' ? drop.reason : ''}`, path);
      if (job.graph.get(id)?.state === 'pending') job.graph.forget(id);
    } else goBack(world, job, id);
    return undefined;
  }
  const facts = factsOf(id, parsed.spec, drop.queuedAt);
  const planned = job.graph.get(id);
  const isOther = planned?.request?.key !== facts.request?.key;
  const notBefore = Math.max(facts.notBefore, planned?.notBefore ?? 0);
  if (isOther || job.graph.readiness(facts).kind !== 'ready' || notBefore > wallClock()) {
    goBack(world, job, id); // edited meanwhile
    return undefined;
  }
  return parsed.spec;
}

function goBack(world: World, job: Job, id: string): void {
  if (moveIfFree(job.layout.task('running', id), job.layout.task('pending', id)) === 'exists') {
    const path = job.layout.task('running', id);
    rejectDrop(world, job, id, `${path}: another file of this id was dropped while it was being started`, path);
  }
  job.hint('pending', `${id}.json`);
}

function handOver(world: World, attempt: Attempt, spec: TaskSpec): void {
  const { job, id, run } = attempt;
  try {
    writeScript(world, attempt, spec);
  } catch (error) {
    if (!(error instanceof Unstartable)) throw error;
    return settle(world, attempt, { kind: 'unstartable', reason: error.reason, message: error.message });
  }
  const dir = `jobs/${job.name}/runs/${runName(id, run.attempt)}`;
  world.event({ job: job.name, task: id, attempt: run.attempt, event: 'started', from: 'pending', to: 'running' });
  if (spec.onLost !== 'fail') return pass(world, attempt, dir);
  attempt.handedAt = Number.POSITIVE_INFINITY; // however long the sync takes, it is not overdue
  world.afterSync(() => handOverLate(world, attempt, dir));
}

/** With `on_lost: fail` the claim is on the disk before anything runs; by then it may have been cancelled. */
function handOverLate(world: World, attempt: Attempt, dir: string): void {
  const { job, id } = attempt;
  if (job.attempts.get(id) !== attempt || attempt.ending !== undefined) return;
  attempt.handedAt = monotonic(); // if what follows fails, it will be overdue
  if (isThere(job.layout.task('running', id))) pass(world, attempt, dir);
}

/** Whoever took our place while we were held up has given back an attempt without `run`, and voids one with it: only the first could run yet. */
function pass(world: World, attempt: Attempt, dir: string): void {
  beforeChange(attempt.run.layout.root);
  world.launcher.handOver(dir);
}

function writeScript(world: World, attempt: Attempt, spec: TaskSpec): void {
  const { job, id, run } = attempt;
  const cwd = workingDirectory(world, spec);
  const environment = environmentOf(world, spec, cwd);
  const stdin = standardInput(spec, cwd, run.layout.root, overwrite);
  const text = renderScript({
    job: job.name,
    task: id,
    attempt: run.attempt,
    stateDir: world.layout.root,
    runDir: run.layout.root,
    boot: world.identity.boot,
    argv: spec.argv ?? shellArgv(spec.shell ?? ''),
    cwd,
    setEnv: environment.set,
    unsetEnv: environment.unset,
    umask: world.taskUmask,
    holdings: attempt.holdings,
    ...(stdin === undefined ? {} : { stdin }),
    ...(spec.bestEffort ? { nice: 19, lowered: idleIo() } : {}),
  });
  overwrite(run.layout.script, text);
}
