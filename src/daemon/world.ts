// All that the daemon knows and holds, in one place, handed to each step of a tick. Steps change it and the disk; no
// step keeps anything of its own.
import { hostname } from 'node:os';
import { wallClock } from '../host/clock.ts';
import { lookAtProcesses, type ProcessIdentity, type ProcessTable, wasDeadIn } from '../host/identity.ts';
import type { Config } from '../protocol/config.ts';
import { type EventLine, formatEvent } from '../protocol/event.ts';
import type { Layout } from '../protocol/layout.ts';
import { RUN_DIR_VARIABLE } from '../runner/ending.ts';
import type { Launcher } from '../runner/launcher.ts';
import type { StopHow } from '../store/daemon-record.ts';
import { LineLog } from '../store/events.ts';
import type { Lock } from '../store/lock.ts';
import type { Holdings } from '../protocol/resources.ts';
import type { AutoSlots } from '../scheduler/auto.ts';
import type { Attempt, Job } from './job.ts';
import type { Log } from './log.ts';

/** How long a step of a turn may keep the loop busy, in ms: what it leaves is done in the next one. */
export const SLICE_MS = 25;

/** What ends the daemon's wait, as far as the steps of a turn use it (wake.ts). */
export interface Waker {
  /** The folder of jobs, or the settings at the top, may have changed. */
  topChanged: boolean;
  /** Ends the wait. */
  now(): void;
  /** Has the next turn look at everything. */
  pollNow(): void;
  /** True if a full look is due. */
  takePoll(): boolean;
  /** True if a folder of it is watched from now on. */
  watchJob(job: Job): boolean;
  /** True if what this full look would find of a job at rest may be left to its watches. */
  relyOnWatches(job: Job): boolean;
  /** Each of its folders has a watch. */
  isWatched(job: Job): boolean;
  forgetJob(job: Job): void;
  watchAttempt(attempt: Attempt): void;
  forgetEnded(): void;
  watchTop(): void;
  /** Waits for a hint, but not past `until` (monotonic ms) or the next full look. */
  sleep(until: number): Promise<void>;
  close(): void;
}

/** How the daemon is to stop: as it was asked to, or (`settled`) by itself once all but what runs is in order. */
export type StopMode = StopHow | 'settled';

/** Processes of an attempt that has no claim any more, to be ended. */
export interface Stray {
  runDir: string;
  /** Monotonic milliseconds of the first TERM. */
  termAt: number | undefined;
  /** Only processes that had begun by then (clock ticks): its name may be used again. */
  before: number;
  /** The resources that they may still use. */
  holdings: Holdings;
  job: string;
}

export class World {
  readonly layout: Layout;
  readonly identity: ProcessIdentity;
  readonly lock: Lock;
  readonly log: Log;
  readonly host = hostname();
  readonly events: LineLog;
  readonly jobs = new Map<string, Job>();
  /** Their names in lower case → as they are. */
  readonly lowerNames = new Map<string, string>();
  /** Names of jobs that have come or gone, yet to be taken up or forgotten; and jobs that a full look is yet to come to. The first one last. */
  newNames: string[] = [];
  toLookAt: Job[] = [];
  /** Folders in jobs/ that were said to be no jobs, or could not be taken up, and why. */
  readonly oddFolders = new Map<string, string>();
  /** What is the matter with a job has changed: those who look are told soon. */
  hasNews = false;
  /** Jobs that the next tick looks at; the others cost it nothing. */
  readonly active = new Set<Job>();
  /** Jobs of which something may start as soon as there is a slot for it. */
  readonly ready = new Set<Job>();
  /** Milliseconds since 1970 at which a delayed task of a job is due. */
  readonly dues = new Map<Job, number>();
  /** Bundles being spread, by path. */
  readonly bundles = new Set<string>();
  /** Arrays that wait for a worker, by path, and how many workers there are now. */
  readonly toSpread = new Map<string, () => void>();
  workers = 0;
  /** Environment that commands inherit. */
  readonly inherited: Readonly<Record<string, string>>;
  /** umask of tasks: the one the daemon was started with. */
  readonly taskUmask: number;
  launcher!: Launcher;
  wake!: Waker;
  config: Config;
  /** Users whose files are run. */
  owners: ReadonlySet<number>;
  /** The live attempts of all jobs: their number is bounded by the limits. */
  readonly attempts = new Set<Attempt>();
  /** Jobs with drops that do not parse yet. */
  readonly settling = new Set<Job>();
  /** Attempts to be looked at in the next turn. */
  readonly looks = new Set<Attempt>();
  readonly strays: Stray[] = [];
  /** Why nothing new is started, in words; undefined: it is. */
  holding: string | undefined;
  /** No launcher works, in words; undefined: as far as is known, one does. */
  noLauncher: string | undefined;
  /** It has not served yet: what it finds was there before. */
  recovering = true;
  /** With `max_parallel: auto`: what the last look at the host has made of it, and when (monotonic ms). */
  auto?: AutoSlots & { at: number };
  /** `job/task` of the starved one for whose request room is kept. */
  roomFor: string | undefined;
  paused = false;
  parallel: number | undefined;
  stopping: StopMode | undefined;
  /** Wall clock less monotonic clock at the last turn: a step shows in it. */
  clockOffset = Number.NEGATIVE_INFINITY;
  /** Attempts whose runner cannot be judged (other host or container) are given this long, in monotonic ms. */
  unknownIsDeadAt = 0;
  /** Something was moved since the last group sync began. */
  unsynced = false;
  /** To be done once what was moved until now is on the disk. */
  private whenSynced: (() => void)[] = [];
  private table: ProcessTable | undefined;

  constructor(
    parts: Pick<World, 'layout' | 'identity' | 'lock' | 'log' | 'config' | 'inherited' | 'taskUmask' | 'owners'>,
  ) {
    this.layout = parts.layout;
    this.identity = parts.identity;
    this.lock = parts.lock;
    this.log = parts.log;
    this.config = parts.config;
    this.inherited = parts.inherited;
    this.taskUmask = parts.taskUmask;
    this.owners = parts.owners;
    this.events = new LineLog(this.layout.events);
  }

  /** Keeps a line for events.ndjson; written at the end of the tick. */
  event(line: Omit<EventLine, 't'>): void {
    this.events.add(formatEvent({ t: new Date(wallClock()).toISOString(), ...line }).trimEnd());
  }

  /**
   * One look through /proc serves everybody in a tick, but not whoever asks what a runner has left that died after it: that one may
   * have forked in between.
   */
  processes(dead?: { pid: number; startTicks: number }): ProcessTable {
    if (dead !== undefined && this.table !== undefined && !wasDeadIn(this.table, dead)) this.table = undefined;
    this.table ??= lookAtProcesses(RUN_DIR_VARIABLE);
    return this.table;
  }

  forgetProcesses(): void {
    this.table = undefined;
  }

  /** Runs `action` after the next group sync. */
  afterSync(action: () => void): void {
    this.unsynced = true;
    this.whenSynced.push(action);
  }

  takeWhenSynced(): (() => void)[] {
    const actions = this.whenSynced;
    this.whenSynced = [];
    return actions;
  }
}
