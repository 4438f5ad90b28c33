// What can never end, told from what only takes long: nobody serves the directory, or nothing of the jobs that are waited for
// is able to start and has not been for a while. A wait for that is refused, in words that say what would change it.
import { SpooldError } from '../errors.ts';
import { monotonic, wallClock } from '../host/clock.ts';
import type { JobLayout, Layout } from '../protocol/layout.ts';
import { isName } from '../protocol/names.ts';
import { resourcesIn, unmeetable } from '../protocol/resources.ts';
import type { DaemonRecord, DaemonState } from '../store/daemon-record.ts';
import { readParallel } from '../store/snapshot.ts';
import { dirOption } from './directory.ts';
import { jobDefaults, loadGraph, type Raw, readTask } from './facts.ts';
import { readPause } from './pause.ts';
import { jobTrouble, placeOf } from './place.ts';
import { stampOf, type Unfinished } from './unfinished.ts';

/** A job, or a task of it, that is waited for. */
export interface AwaitedJob {
  readonly name: string;
  readonly job: JobLayout;
  unfinished(): Unfinished;
}

/** A daemon that restarts is away for a moment. */
const RESTART_MS = 10_000;
const NEVER_SEEN_MS = 300;
/** What cannot start now, and has not for this long, will not. */
const STUCK_AFTER_MS = 700;

export class Watch {
  private readonly layout: Layout;
  private servedAt: number | undefined;
  private readonly began = monotonic();
  private readonly beganAt = wallClock();
  /** Since when nothing has been able to start, and what was seen then. */
  private stuck: { stamp: string; since: number; after: number } | undefined;

  constructor(layout: Layout) {
    this.layout = layout;
  }

  /** Errors: WAIT_NO_DAEMON, WAIT_FROZEN, WAIT_STUCK. */
  check(left: readonly AwaitedJob[]): void {
    const { daemon, isFrozen } = placeOf(this.layout);
    if (daemon.kind !== 'stopped' && !isFrozen) this.servedAt = monotonic();
    else if (monotonic() - (this.servedAt ?? this.began) > (this.servedAt === undefined ? NEVER_SEEN_MS : RESTART_MS))
      throw isFrozen && daemon.record !== undefined ? frozen(daemon.record) : noDaemon(this.layout);
    const jobs = new Map(left.map((target) => [target.name, target]));
    const saying = this.sayingOf(daemon);
    // What runs in a job that is left alone comes to no end, and may be another directory's.
    const isLeftAlone = ({ name, job }: AwaitedJob) => (jobTrouble(saying, name, job)?.kind ?? 'damaged') !== 'damaged';
    const idle = [...jobs.values()].every((target) => target.unfinished().running.size === 0 || isLeftAlone(target));
    const stamp = idle ? [...jobs.values()].map((target) => stampOf(target.job)).join() : undefined;
    if (stamp === undefined) this.stuck = undefined;
    else if (this.stuck?.stamp !== stamp) this.stuck = { stamp, since: monotonic(), after: STUCK_AFTER_MS };
    else if (monotonic() - this.stuck.since > this.stuck.after) {
      const reasons = [...jobs.values()].map((target) => whyNothingStarts(this.layout, saying, target));
      if (reasons.every((reason) => reason !== undefined)) throw stuckError(reasons);
      this.stuck = { stamp, since: monotonic(), after: Math.min(2 * this.stuck.after, 10_000) }; // it reads all that waits
    }
  }

  /** What the daemon says of jobs counts once it has said it for a while: what it is about may have been mended a moment ago. */
  private sayingOf(daemon: DaemonState): DaemonState {
    if (daemon.kind === 'stopped') return { kind: 'stopped' };
    const isRepeated = Date.parse(daemon.record.heartbeat_at) - this.beganAt > RESTART_MS;
    return isRepeated ? daemon : { kind: 'stopped' };
  }
}

function noDaemon(layout: Layout): SpooldError {
  return new SpooldError('WAIT_NO_DAEMON', `This would wait for ever: no daemon serves ${layout.root}.`, {
    path: layout.root,
    exit: 3,
    hint: `Start one: spoold start${dirOption(layout)}`,
  });
}

function frozen({ identity: { pid } }: DaemonRecord): SpooldError {
  return new SpooldError(
    'WAIT_FROZEN',
    `This would wait for ever: the daemon (process ${pid}) is frozen, by Ctrl-Z or SIGSTOP.`,
    { exit: 3, hint: `Wake it: kill -CONT ${pid}` },
  );
}

interface StuckReason {
  words: string;
  hint: string;
}

function stuckError(reasons: readonly StuckReason[]): SpooldError {
  return new SpooldError('WAIT_STUCK', `This would wait for ever: ${reasons.map(({ words }) => words).join('; ')}.`, {
    exit: 3,
    hint: [...new Set(reasons.map(({ hint }) => hint))].join('\n'),
  });
}

/** Why nothing in a job, where nothing runs, is able to start; undefined if something is, or soon will be. */
function whyNothingStarts(layout: Layout, daemon: DaemonState, target: AwaitedJob): StuckReason | undefined {
  const { name, job } = target;
  const dir = dirOption(layout);
  if (readPause(layout) !== undefined)
    return { words: 'everything is paused', hint: `Let it go on: spoold resume${dir}` };
  if (readPause(job) !== undefined)
    return { words: `${name} is paused`, hint: `Let it go on: spoold resume${dir} ${name}` };
  if (readParallel(layout.parallel) === 0)
    return { words: 'no task may run at all (parallel is 0)', hint: `Allow some: spoold parallel${dir} 2` };
  if (readParallel(job.parallel) === 0)
    return {
      words: `no task of ${name} may run (its parallel is 0)`,
      hint: `Allow one: spoold parallel${dir} 1 ${name}`,
    };
  const trouble = jobTrouble(daemon, name, job);
  if (trouble !== undefined) {
    const { kind, path, reason } = trouble;
    return {
      words: `${path} ${kind === 'damaged' ? 'does not read' : 'is left alone'} (${reason.replaceAll('\n', '; ')})`,
      hint: `${kind === 'damaged' ? 'Correct' : 'Mend'} it; the job starts nothing until then.`,
    };
  }
  return whyNoneIsReady(target, daemon, `spoold why${dir} ${name} says what each waits for.`);
}

/** The resources of which a task asks for more than the daemon has in all, as its config is now. */
function neverThere({ resources }: Raw, { record }: DaemonState): string {
  if (record === undefined || resources === undefined) return '';
  const unmet = unmeetable(resourcesIn(resources), resourcesIn(record.resources));
  return unmet.map(({ path }) => path[1]).join(' and ');
}

function whyNoneIsReady(target: AwaitedJob, daemon: DaemonState, hint: string): StuckReason | undefined {
  const { name, job } = target;
  const { pending, held } = target.unfinished();
  const graph = loadGraph(job);
  const defaults = jobDefaults(job);
  const never = new Map<string, string>();
  for (const id of pending) {
    const read = readTask(job.task('pending', id));
    if (read.kind !== 'ok' || !isName(id)) return undefined; // no task, or not yet: an array on its way in, or a text that will be rejected
    const lacking = neverThere({ ...defaults, ...read.raw }, daemon);
    if (lacking !== '') never.set(id, lacking);
  }
  if (graph.takeDoomed().length > 0 || graph.takeRevived().length > 0) return undefined;
  const unknown = new Map<string, string>();
  const words: string[] = [];
  for (const node of graph.all()) {
    if (node.state !== 'pending') continue;
    const judged = graph.readiness(node);
    if (judged.kind === 'doomed' || (judged.kind === 'ready' && !never.has(node.id))) return undefined;
    if (judged.kind === 'ready')
      words.push(`${name}/${node.id} asks for more ${never.get(node.id)} than there is in all`);
    else for (const wait of judged.on) if (wait.why === 'unknown') unknown.set(wait.dependency, node.id);
  }
  if (words.length > 3) words.splice(3, words.length, `${words.length - 3} more like it`);
  for (const [dependency, id] of [...unknown].slice(0, 3))
    words.push(`${name}/${id} waits for ${dependency}, which nobody has queued`);
  if (unknown.size > 3) words.push(`${unknown.size - 3} more like it`);
  const known = [...held.keys()].filter(isName).slice(0, 3);
  const which = known.length === 0 ? `files of ${name}` : known.map((id) => `${name}/${id}`).join(', ');
  if (held.size > 0) words.push(`${which} ${known.length === 1 ? 'is' : 'are'} held back in pending/`);
  if (words.length === 0) return undefined; // not understood: rather wait than be wrong
  return { words: words.join('; '), hint };
}
