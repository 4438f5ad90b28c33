// A state directory of the bench's own: filled with files that wait or have finished, served by a daemon of its own, used
// as a script would use it: tasks are dropped by rename, and a task has ended when its file lies in succeeded/.
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pause, until } from './clock.ts';
import { isAlive, liveCpuMs } from './processes.ts';
import type { Scratch } from './scratch.ts';

export const SPOOLD = resolve(import.meta.dirname, '..', '..', 'bin', 'spoold');

/** The task of nearly every row. */
export const TRUE = { command: ['true'] };
/** It waits for a task that nobody drops. */
export const GATED = { command: ['true'], dependencies: ['gate'] };

export interface Task {
  command: readonly string[];
  dependencies?: readonly string[];
  priority?: string;
}

const isThere = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

/** In steps, so that an interrupt is heard in between. */
async function forEach(ids: readonly string[], act: (id: string, index: number) => void): Promise<void> {
  for (const [i, id] of ids.entries()) {
    act(id, i);
    if (i % 500 === 499) await pause(0);
  }
}

export class Place {
  readonly root: string;
  private readonly drafts: string;
  private readonly slots: number;
  private made = 0;

  constructor(scratch: Scratch, name: string, { slots = 2 } = {}) {
    this.root = scratch.folder(name);
    this.drafts = scratch.folder(`${name}-drafts`);
    this.slots = slots;
    scratch.atEnd(() => this.stop());
    mkdirSync(join(this.root, 'jobs'));
    writeFileSync(join(this.root, 'config.yaml'), `max_parallel: ${slots}\n`);
  }

  /** A path of a job's. */
  at(job: string, ...parts: string[]): string {
    return join(this.root, 'jobs', job, ...parts);
  }

  makeJob(job: string): void {
    const draft = join(this.drafts, `job-${job}`);
    mkdirSync(join(draft, 'pending'), { recursive: true });
    writeFileSync(join(draft, 'job.json'), `{"max_parallel": ${this.slots}}`);
    renameSync(draft, this.at(job));
  }

  /** Starts the daemon; gives its process id once it serves. */
  start(env: NodeJS.ProcessEnv = {}): number {
    execFileSync(SPOOLD, ['start', '--dir', this.root], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, ...env },
    });
    return this.pid;
  }

  get pid(): number {
    return this.recordedPid() ?? Number.NaN;
  }

  private recordedPid(): number | undefined {
    const path = join(this.root, 'daemon.json');
    if (!isThere(path)) return undefined;
    return (JSON.parse(readFileSync(path, 'utf8')) as { identity: { pid: number } }).identity.pid;
  }

  /** Stops the daemon, if one runs, and ends what runs under it. */
  stop(): void {
    if (this.recordedPid() === undefined) return; // never started
    execFileSync(SPOOLD, ['stop', '--kill', '--dir', this.root], { stdio: ['ignore', 'ignore', 'inherit'] });
  }

  /** Ends the daemon as a crash would. */
  async kill(): Promise<void> {
    const { pid } = this;
    process.kill(pid, 'SIGKILL');
    await until(() => !isAlive(pid));
  }

  /** New ids, sorted as they were made. */
  ids(count: number, prefix = 't'): string[] {
    const first = this.made;
    this.made += count;
    return Array.from({ length: count }, (_, i) => `${prefix}${first + i}`);
  }

  /** Writes task files aside, and gives what drops them all by rename. */
  draft(job: string, ids: readonly string[], taskOf: (index: number) => Task): () => void {
    const folder = join(this.drafts, `${job}-${ids[0]}`);
    mkdirSync(folder);
    ids.forEach((id, i) => writeFileSync(join(folder, `${id}.json`), JSON.stringify(taskOf(i))));
    return () => {
      for (const id of ids) renameSync(join(folder, `${id}.json`), this.at(job, 'pending', `${id}.json`));
    };
  }

  /** Drops tasks one by one in the careful way: each is written aside, then renamed. */
  drop(job: string, ids: readonly string[], taskOf: (index: number) => Task): void {
    ids.forEach((id, i) => {
      const draft = this.at(job, 'pending', `.${id}`);
      writeFileSync(draft, JSON.stringify(taskOf(i)));
      renameSync(draft, this.at(job, 'pending', `${id}.json`));
    });
  }

  /** Shows a file in pending/ by one rename. */
  dropFile(job: string, path: string, name: string): void {
    renameSync(path, this.at(job, 'pending', name));
  }

  /** Takes back what waits. */
  clearPending(job: string): void {
    for (const name of readdirSync(this.at(job, 'pending'))) rmSync(this.at(job, 'pending', name));
  }

  /** How many task files a folder holds. */
  count(job: string, folder: string): number {
    return readdirSync(this.at(job, folder)).filter((name) => /^[^.].*\.json$/.test(name)).length;
  }

  /** Resolves once all of them lie in succeeded/: first the last one is waited for, then the others are looked for. */
  async finished(job: string, ids: readonly string[], every = 5): Promise<void> {
    for (const id of ids.toReversed()) {
      const path = this.at(job, 'succeeded', `${id}.json`);
      if (!isThere(path)) await until(() => isThere(path), every);
    }
  }

  /** Resolves once a job has so many succeeded tasks. */
  async succeeded(job: string, count: number): Promise<void> {
    await until(() => this.count(job, 'succeeded') >= count, 20);
  }

  /**
   * Resolves once the daemon has nothing to do: for half a second it used less than a tenth of a core. Gives the time
   * (`performance.now()`) at which it last used more.
   */
  async settled(): Promise<number> {
    const { pid } = this;
    let busyAt = performance.now();
    let [time, cpu] = [busyAt, liveCpuMs(pid)];
    while (performance.now() - busyAt < 500) {
      await pause(10);
      const [nowTime, nowCpu] = [performance.now(), liveCpuMs(pid)];
      if (nowCpu - cpu > (nowTime - time) / 10) busyAt = nowTime;
      [time, cpu] = [nowTime, nowCpu];
    }
    return busyAt;
  }

  pauseJob(job: string): void {
    writeFileSync(this.at(job, 'paused'), '');
  }

  resumeJob(job: string): void {
    rmSync(this.at(job, 'paused'));
  }

  /** Puts files straight into pending/; for a directory that is not served yet. */
  fillPending(job: string, ids: readonly string[], taskOf: (index: number) => Task): Promise<void> {
    return forEach(ids, (id, i) => writeFileSync(this.at(job, 'pending', `${id}.json`), JSON.stringify(taskOf(i))));
  }

  /**
   * Makes what finished silent tasks leave: the files of one that really ran, copied under other names. The directory
   * must have been served before, and `model` be a finished task of `job`.
   */
  fillFinished(job: string, ids: readonly string[], from: { job: string; model: string }): Promise<void> {
    const run = this.at(from.job, 'runs', `${from.model}.1`);
    const names = readdirSync(run);
    const files = names.map((name) => [name, readFileSync(join(run, name), 'utf8')] as const);
    const task = readFileSync(this.at(from.job, 'succeeded', `${from.model}.json`));
    for (const folder of ['succeeded', 'runs']) mkdirSync(this.at(job, folder), { recursive: true });
    return forEach(ids, (id) => {
      const copy = this.at(job, 'runs', `${id}.1`);
      mkdirSync(copy);
      for (const [name, text] of files) {
        const own = text
          .replace(`"task":"${from.model}"`, `"task":"${id}"`)
          .replace(`"job":"${from.job}"`, `"job":"${job}"`);
        writeFileSync(join(copy, name), own);
      }
      writeFileSync(this.at(job, 'succeeded', `${id}.json`), task);
    });
  }

  /** Runs one silent task to its end under a daemon that is stopped again: a model of finished ones. */
  async makeModel(): Promise<{ job: string; model: string }> {
    const job = 'model';
    this.makeJob(job);
    this.start();
    this.drop(job, ['model'], () => TRUE);
    await this.finished(job, ['model']);
    this.stop();
    return { job, model: 'model' };
  }
}
