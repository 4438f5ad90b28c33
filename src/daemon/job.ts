// What the daemon keeps of one job: its settings, the graph of its tasks, its live attempts, and what has been seen of
// its folders. All of it can be rebuilt from the disk; nothing here is truth.
import { type BigIntStats, statSync } from 'node:fs';
import { errnoOf, unless } from '../errors.ts';
import { isThere } from '../host/atomic.ts';
import type { JobLayout } from '../protocol/layout.ts';
import { NO_JOB_SETTINGS, type JobSettings } from '../protocol/job.ts';
import type { RunnerLine } from '../protocol/pid-file.ts';
import type { State } from '../protocol/states.ts';
import type { Holdings } from '../protocol/resources.ts';
import type { TaskSpec } from '../protocol/task.ts';
import type { Told } from '../runner/launcher.ts';
import { type Cause, JobGraph, type NodeState, type TaskFacts } from '../scheduler/graph.ts';
import type { Candidate } from '../scheduler/plan.ts';
import type { Kind } from '../scheduler/ready.ts';
import type { Ending, Run } from '../store/runs.ts';
import type { Spread } from './children.ts';
import type { FolderReading } from './folder-reading.ts';

/** Folders in which a person's move matters at once, in the order they are read at start: the longest last; what leaves succeeded/ is seen where it arrives. */
export const WATCHED: readonly State[] = ['running', 'failed', 'cancelled', 'skipped', 'rejected', 'pending'];

/** An attempt whose claim stands. */
export interface Attempt {
  readonly job: Job;
  readonly id: string;
  readonly run: Run;
  /** Known if this daemon started it. */
  spec?: TaskSpec;
  /** The resources that are its own until its claim ends. */
  readonly holdings: Holdings;
  /** Monotonic milliseconds when this daemon started or adopted it. */
  readonly since: number;
  /** Milliseconds of the monotonic clock when it was handed to the launcher; undefined: by another daemon. */
  handedAt?: number;
  /** What its runner told when it had ended: it need not be looked for in its files. */
  told?: Told;
  /** Line 1 of its PID file. */
  runner?: RunnerLine;
  /** Uptime in seconds at which it has run too long. */
  deadline?: number;
  ending?: Ending;
  /** Monotonic milliseconds when the first TERM was due, from which KILL is. */
  termAt?: number;
  /** It has reached something. */
  isTermed?: boolean;
  /** Most memory seen of its processes at one time, in bytes. */
  peakRss: number;
  /** Monotonic milliseconds at which it is to be looked at even without a hint. */
  nextLook: number;
  /** It has dropped children, or may have under an earlier daemon: their sources are cleared away at the end. */
  dropped: boolean;
  /** How many tasks it has queued. */
  children: number;
  /** Arrays of children in the hands of a worker, by path, and files of children that wait for a sync: it is settled after that. */
  readonly spreads: Map<string, Spread>;
  readonly syncing: Set<string>;
  /** An earlier daemon may have taken in children that it did not come to sync. */
  mayHaveTaken: boolean;
  /** The drop folder that is being taken in, and what is left of it. */
  drops?: { folder: string; names: Iterator<string> };
  /** A child of it is no valid task, in words. */
  badChild?: string;
  /** It is cancelled, and so is its family. */
  isFamilyTold?: boolean;
}

/** As far as a task has come that is tried again: attempts that count, and when the first of them began (ms since 1970). */
export interface Tries {
  /** The number of its last attempt. */
  attempt: number;
  count: number;
  firstStartedAt: number;
}

/** A drop that does not parse yet, and since when it has not changed (monotonic milliseconds). */
export interface Unfinished {
  stamp: string;
  since: number;
}

/** What was seen of a folder at its last reading. */
export interface FolderSeen {
  /** Milliseconds since 1970, as exactly as a double holds them: to a quarter of a microsecond. */
  mtime: number;
  inode: number;
  /** It had changed so shortly before that a further change may have the same time stamp. */
  fresh: boolean;
}

/** Which folder it is: a file system soon gives the inode of one that was removed to another. */
function folderOf({ ino, birthtimeNs }: BigIntStats): string {
  return `${ino} ${birthtimeNs}`;
}

export class Job implements Candidate {
  readonly name: string;
  readonly layout: JobLayout;
  private readonly folder: string;
  readonly graph: JobGraph;
  private readonly live = new Map<string, Attempt>();
  readonly seen = new Map<State | 'root', FolderSeen>();
  /** Monotonic ms before which a folder is not read as a whole again for its mtime alone. */
  readonly pauses = new Map<State, number>();
  readonly unfinished = new Map<string, Unfinished>();
  /** Monotonic milliseconds of the last search in pending/ for second names that killed clients have left. */
  sweptAt = Number.NEGATIVE_INFINITY;
  /** Rejected files by name, with their stamps: one that changes is looked at again. */
  readonly rejected = new Map<string, string>();
  /** Ids with capitals, by their lower case: two names that differ only in case are refused. */
  readonly capitals = new Map<string, string>();
  /** Ids whose file was not found at the last full look. */
  readonly missing = new Set<string>();
  /** Folders to be read as a whole, and single names in them to be looked at. */
  readonly dirty = new Set<State>();
  readonly hints = new Map<State, Set<string>>();
  /** Something in its folders could not be looked at since the last full look, which may pass; and hints that could not be followed. */
  hasFailedLooks = false;
  readonly failedHints: [state: State, name: string][] = [];
  /** The folder that is being read. */
  reading: FolderReading | undefined;
  private readonly echoes = new Set<string>();
  /** What has been spent of the retries of tasks between two attempts, for there may be thousands to be read. */
  readonly tries = new Map<string, Tries>();
  /** Waiting tasks that are to be cancelled, each with the reason; meanwhile nothing of the job starts. */
  readonly toCancel = new Map<string, string>();
  /** How far the rejected files have been looked at. */
  rejectedTurn: IterableIterator<[name: string, stamp: string]> | undefined;
  /** Files in pending/ that are no tasks were seen. */
  hasHeld = false;
  /** pending/ was touched: tasks edited in place are to be read again. */
  touched = false;
  settings: JobSettings = NO_JOB_SETTINGS;
  /** Of the job.json that was read; undefined: there is none. */
  settingsStamp: string | undefined = 'not looked at';
  /** They have been read, or there were none. */
  hasSettings = false;
  /** Monotonic milliseconds since when job.json is not there. */
  settingsGoneAt: number | undefined;
  /** Why job.json does not read; the job starts nothing until it does. */
  damage: string | undefined;
  /** What is wrong with its folders: until it is mended, nothing in it is touched. */
  trouble: string | undefined;
  paused = false;
  parallel: number | undefined;
  turn = 0;
  free = 0;
  /** The daemon found it at its start. */
  wasThere = false;
  /** It had no running/ at the last look: it is being archived, or that was cut short. */
  isClosed = false;
  /** Its folders are all read once; until then, only tasks without dependencies start. */
  loaded = false;
  /** job.json, `paused` or `parallel` may have changed, or a folder of states was made. */
  settingsDue = true;
  /** Milliseconds since 1970 at which its present run began; undefined: it does not run, or may take any time. */
  startedAt: number | undefined;
  /** Something moved since its summary was written. */
  summaryDue = true;

  /** Has the next tick look at this job. */
  readonly stir: () => void;
  /** Forgotten by the daemon: its name may be another's by now. */
  isGone = false;

  private readonly allAttempts: Set<Attempt>;

  /** `active` and `attempts` are the daemon's: jobs to be looked at, and the live attempts of all jobs. */
  constructor(name: string, layout: JobLayout, active: Set<Job>, attempts: Set<Attempt>) {
    this.name = name;
    this.layout = layout;
    this.allAttempts = attempts;
    this.stir = () => {
      if (!this.isGone) active.add(this);
    };
    this.folder = folderOf(statSync(layout.root, { bigint: true }));
    this.graph = new JobGraph((id) => isThere(layout.task('succeeded', id)));
    this.graph.expectMore();
  }

  /** Its live attempts, by task. */
  get attempts(): ReadonlyMap<string, Attempt> {
    return this.live;
  }

  /** A claim stands for this attempt now. */
  begin(attempt: Attempt): void {
    this.live.set(attempt.id, attempt);
    this.allAttempts.add(attempt);
  }

  /** Its claim stands no more. */
  end(attempt: Attempt): void {
    this.live.delete(attempt.id);
    this.allAttempts.delete(attempt);
    this.stir();
  }

  /** How many of its tasks may run at one time, but for the global limit. */
  get limit(): number {
    if (this.damage !== undefined || this.trouble !== undefined || this.paused || this.toCancel.size > 0) return 0;
    if (this.parallel !== undefined) return this.parallel;
    const said = this.settings.maxParallel ?? 1;
    return said === 'none' ? Number.POSITIVE_INFINITY : said;
  }

  /** Until its folders are in order, and its job.json has been read once, nothing in it is judged. */
  get isLeftAlone(): boolean {
    return this.trouble !== undefined || !this.hasSettings;
  }

  /** False if its folder was removed, or is another one of the same name by now; true where that cannot be told. */
  stillThere(): boolean {
    try {
      const stat = unless('ENOTDIR', () => statSync(this.layout.root, { bigint: true, throwIfNoEntry: false }));
      return stat !== undefined && folderOf(stat) === this.folder;
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      return true;
    }
  }

  /** The graph learns of a task, or of another text of one it knew. */
  put(facts: TaskFacts, state: NodeState, cause?: Cause): void {
    const lower = facts.id.toLowerCase();
    if (facts.id !== lower) this.capitals.set(lower, facts.id);
    this.graph.put(facts, state, cause);
    if (this.capitals.size > 2 * this.graph.size + 1000) this.forgetCapitals();
  }

  /** Of what has succeeded, or is gone. */
  private forgetCapitals(): void {
    for (const [lower, id] of this.capitals) if (this.graph.get(id) === undefined) this.capitals.delete(lower);
  }

  markLoaded(): void {
    if (!this.loaded) this.graph.complete();
    this.loaded = true;
  }

  /** Something is to be looked at yet. */
  get isUnread(): boolean {
    return this.dirty.size > 0 || this.hints.size > 0 || this.reading !== undefined;
  }

  /** A file of this name in this folder is to be looked at. */
  hint(state: State, name: string): void {
    this.stir();
    const names = this.hints.get(state);
    if (names === undefined) this.hints.set(state, new Set([name]));
    else names.add(name);
  }

  /** The daemon itself has just moved this file into or out of this folder: one hint of it will say nothing new. */
  expectEcho(state: State, id: string): void {
    this.echoes.add(`${state}/${id}.json`);
  }

  /** True of such a hint, once; and of claims, which only the daemon makes. Whatever this hides, the look at every poll finds. */
  isEcho(state: State, name: string): boolean {
    return this.echoes.delete(`${state}/${name}`) || (state === 'running' && name.endsWith('.run'));
  }

  /** What a watch has not told by now, it has lost. */
  forgetEchoes(): void {
    this.echoes.clear();
  }

  /** A folder is to be read as a whole. */
  soil(state: State): void {
    this.dirty.add(state);
    this.stir();
  }

  readyKinds(now: number): Iterable<Kind> {
    return this.graph.readyKinds(now);
  }

  /** True if a task may start, as far as the limits allow. */
  hasReady(now: number): boolean {
    for (const kind of this.readyKinds(now)) if (kind.first() !== undefined) return true;
    return false;
  }
}
