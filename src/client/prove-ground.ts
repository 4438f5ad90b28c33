// The scratch directory that `prove` works in: a state directory with its daemon, beside it the account that tasks keep,
// and the means to kill daemon, launcher and runners at any moment. Nothing outside of the folder is touched.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { SpooldError, unless } from '../errors.ts';
import {
  createExclusive,
  createFolder,
  ensureFolder,
  isThere,
  namesIn,
  publish,
  remove,
  removeTree,
  renameFolder,
} from '../host/atomic.ts';
import { monotonic } from '../host/clock.ts';
import { isZombie, lookAtProcesses, readProcess, signalProcess } from '../host/identity.ts';
import type { Layout } from '../protocol/layout.ts';
import { daemonOf } from '../store/daemon-record.ts';
import { readPidFile } from '../store/runs.ts';
import { jobNames } from '../store/snapshot.ts';
import { RunLayout } from '../protocol/layout.ts';
import { openStateDir } from '../store/state-dir.ts';
import { submitJob } from './submit.ts';
import { sizeOf, unfinishedIn } from './unfinished.ts';
import { type Accepted, WORK } from './prove-work.ts';
import type { JobFiles } from './workflow.ts';

export type Victim = 'daemon' | 'launcher' | 'runner';

interface Target {
  pid: number;
  startTicks: number;
}

/** Milliseconds that a daemon may take to serve, on a busy machine and a slow disk. */
const SERVES_WITHIN_MS = 120_000;

export class Ground {
  /** Holds the account, `live/` and the work's script. */
  readonly root: string;
  readonly layout: Layout;
  /** What a daemon is started by, before node, and with: for faults. */
  under: readonly string[] = [];
  env: Record<string, string> = {};
  /** What the daemons have said that went to standard error, the end of it. */
  said = '';
  private readonly script: string;
  private child: ChildProcess | undefined;

  /** `script`: the command line's own. `dir`: the state directory, if it is not to lie in `root`. Errors: PROVE_FOLDER. */
  constructor(on: string, script: string, dir?: string) {
    this.script = script;
    try {
      this.root = realpathSync(mkdtempSync(join(on, 'spoold-prove-')));
    } catch (error) {
      throw new SpooldError('PROVE_FOLDER', `Nothing can be made in ${on}: ${(error as Error).message}`, {
        path: on,
        hint: 'Name a folder that you may write to, on the disk that you care about: --on FOLDER.',
      });
    }
    createFolder(join(this.root, 'live'));
    createExclusive(join(this.root, 'work.sh'), WORK);
    this.layout = openStateDir(dir ?? join(this.root, 'state'), { create: true });
    createExclusive(this.layout.config, 'max_parallel: 6\npoll_interval: 1s\nmin_free: {bytes: 0, inodes: 0}\n');
  }

  get account(): string {
    return join(this.root, 'account');
  }

  get accountBytes(): number {
    return statSync(this.account, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** Starts a daemon, if the last one is dead, and does not wait for it. */
  start(): void {
    if (this.child !== undefined && this.child.exitCode === null && this.child.signalCode === null) return;
    const argv = [...this.under, process.execPath, this.script, 'start', '--foreground', '--dir', this.layout.root];
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SPOOLD_')));
    const child = spawn(argv[0] as string, argv.slice(1), {
      cwd: this.root,
      env: { ...env, ...this.env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.said = (this.said + text).slice(-20_000)));
    this.child = child;
  }

  get daemon(): Target | undefined {
    const pid = this.child?.pid;
    return pid === undefined ? undefined : readProcess(pid);
  }

  /** Starts daemons until one serves. Errors: PROVE_STUCK. */
  async serving(): Promise<void> {
    for (const deadline = monotonic() + SERVES_WITHIN_MS; ; await pause(10)) {
      this.start();
      const found = daemonOf(this.layout);
      if (found.kind === 'running' && found.record.serving && found.record.identity.pid === this.child?.pid) return;
      if (monotonic() > deadline)
        throw new SpooldError('PROVE_STUCK', `No daemon serves ${this.layout.root}: ${this.said.slice(-2000)}`, {
          exit: 1,
        });
    }
  }

  /** Kills one of them by SIGKILL, a daemon to be followed by another at once; false if there is none to be killed now. */
  kill(victim: Victim, random: () => number): boolean {
    const target = this.target(victim, random);
    if (target === undefined || !signalProcess(target, 'SIGKILL')) return false;
    if (victim === 'daemon') {
      this.child = undefined;
      this.start();
    }
    return true;
  }

  /** One of them that is there now. */
  target(victim: Victim, random: () => number): Target | undefined {
    const targets = victim === 'daemon' ? [this.daemon] : victim === 'launcher' ? [this.launcher()] : this.runners();
    return targets[Math.floor(random() * targets.length)];
  }

  private launcher(): Target | undefined {
    const daemon = this.daemon?.pid;
    for (const name of daemon === undefined ? [] : readdirSync('/proc')) {
      const info = /^\d+$/.test(name) ? readProcess(Number(name)) : undefined;
      if (info?.ppid === daemon && /spoold-launcher|launcher\.sh/.test(commandLine(name))) return info;
    }
    return undefined;
  }

  /** Runners by their PID files. */
  private runners(): Target[] {
    return jobNames(this.layout).flatMap((name) => {
      const running = this.layout.job(name).folder('running');
      const claims = namesIn(running).filter((entry) => entry.endsWith('.run'));
      return claims.flatMap((entry) => readPidFile(new RunLayout(join(running, entry))).runner ?? []);
    });
  }

  /** Queues tasks: as one job at once, one by one, or as an array. What this returns from has been accepted. */
  queue(name: string, files: JobFiles, how: 'job' | 'files' | 'array'): void {
    if (how === 'job') return void submitJob(this.layout, name, files);
    const job = this.layout.job(name);
    const one = how === 'array' ? [...files.tasks].map(([id, raw]) => ({ id, ...raw })) : [];
    submitJob(this.layout, name, { settings: files.settings, tasks: new Map() });
    if (how === 'array') publish(job.task('pending', 'all'), `${JSON.stringify(one)}\n`, { sync: true });
    else
      for (const [id, raw] of files.tasks) publish(job.task('pending', id), `${JSON.stringify(raw)}\n`, { sync: true });
  }

  /** How many of a job's tasks wait or run. */
  unfinished(name: string): number {
    return sizeOf(unfinishedIn(this.layout.job(name)));
  }

  /** Waits until all jobs are at rest; gives those that did not come to it while nothing moved for a minute or more. */
  async rest(jobs: ReadonlyMap<string, readonly Accepted[]>, patience = 90_000): Promise<string[]> {
    let before = '';
    for (let since = monotonic(); ; await pause(20)) {
      this.start();
      const left = [...jobs.keys()].filter((name) => this.unfinished(name) > 0);
      if (left.length === 0) return [];
      const now = left
        .map((name) => `${name} ${this.unfinished(name)} ${namesIn(this.layout.job(name).runs).length}`)
        .join();
      if (now !== before) since = monotonic();
      before = now;
      if (monotonic() - since > patience) return left;
    }
  }

  /** Forgets what was judged. */
  clear(jobs: Iterable<string>): void {
    for (const name of jobs) {
      const gone = join(this.layout.archive, name); // the daemon writes to a job until it sees that it is gone
      ensureFolder(this.layout.archive);
      renameFolder(this.layout.job(name).root, gone);
      removeTree(gone);
      for (const live of namesIn(join(this.root, 'live')))
        if (live.startsWith(`${name}.`)) remove(join(this.root, 'live', live));
    }
  }

  /** Stops the daemon as a user would, and gives what is left of all that ran here, as `PID COMMAND`. */
  async stop(): Promise<string[]> {
    const child = this.child;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGTERM');
      await Promise.race([ended, pause(30_000, undefined, { ref: false })]);
    }
    this.child = undefined;
    for (const deadline = monotonic() + 15_000; ; await pause(20)) {
      const left = this.processes();
      if (left.length === 0 || monotonic() > deadline)
        return left.map(({ pid }) => `process ${pid}: ${commandLine(String(pid))}`);
    }
  }

  /** Living processes of tasks of this directory. */
  processes(): Target[] {
    const all = [...lookAtProcesses('SPOOLD_DIR').byPid.values()];
    return all.filter((entry) => entry.value === this.layout.root && !isZombie(entry));
  }

  /** Ends all that is left and removes the folder. */
  async remove(): Promise<void> {
    const daemon = this.daemon;
    if (daemon !== undefined) signalProcess(daemon, 'SIGKILL');
    for (const deadline = monotonic() + 15_000; monotonic() < deadline; await pause(20)) {
      const left = this.processes();
      for (const target of left) signalProcess(target, 'SIGKILL');
      if (left.length === 0) break;
    }
    if (isThere(this.root)) removeTree(this.root);
  }
}

function commandLine(pid: string): string {
  const text = unless(['ENOENT', 'ESRCH', 'EACCES'], () => readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
  return (text ?? '').replaceAll('\0', ' ').trim();
}
