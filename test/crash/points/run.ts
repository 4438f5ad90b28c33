// One scenario, with crashes at given changes: the first daemon dies at the first of them, the second at the second, and
// whatever comes after runs to the end. Then everything is judged, and a last daemon, two hours later by its clock, must
// find nothing to do.
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readProcess, signalProcess } from '../../../src/host/identity.ts';
import { isLauncher, Place, readText, speak } from '../../helpers/place.ts';
import { waitUntil } from '../../helpers/wait-until.ts';
import { accountOf, homeOf, isNeverDropped, judge, leftBehind, tasksIn } from './judge.ts';
import type { Scenario } from './scenarios.ts';
import { describeOp, type Op, type LauncherKind, type PreloadOptions, readTrace, type Sabotage } from './trace.ts';
import { changesBetween, imageOf, stateOf, treeOf } from './tree.ts';
import type { Image } from './disk.ts';

/**
 * What dies: a daemon; it and all that runs at the same moment; a command line; a launcher or runner; all when one of these
 * does. `rival`: nothing; a command line is held up while another one does its work.
 */
export type Mode = 'daemon' | 'all' | 'client' | 'rival' | 'runner' | 'all at runner';
export const MODES: readonly Mode[] = ['daemon', 'all', 'client', 'rival', 'runner', 'all at runner'];

/** A call of the launcher or a runner, and which of its kind by the process that makes it. */
export interface Call {
  syscall: string;
  when: number;
}

export interface CrashPlan {
  scenario: Scenario;
  mode: Mode;
  /** Changes, from 1, at which the first, the second … daemon (or command line) ends. */
  points?: readonly number[];
  call?: Call;
  sabotage?: Sabotage;
  launcher?: LauncherKind;
  /** Each change tells which state it found. */
  tellStates?: boolean;
  /** States in which a run has ended, and from which a second recovery has changed nothing: it is not made again. */
  knownEnds?: Set<string>;
  /** Milliseconds after which nothing is expected any more. */
  patience?: number;
}

export interface Outcome {
  /** How many of the crashes came about. */
  crashes: number;
  /** How many changes each daemon made. */
  changes: number[];
  /** How many changes each command line made. */
  commandChanges: number[];
  /** Which state each change of the first daemon found, and of the one after the first crash (if that was asked for). */
  states: string[];
  statesAfter: string[];
  /** The change of the first daemon from which on something else runs. */
  handedOverAt: number;
  /** What the launcher and each runner called: how often at most a process called each. */
  calls: Record<string, number>;
  violations: string[];
  /** For people: at which change it crashed, and what lay there then. */
  story: string[];
  /** All that was traced, in order. */
  trace: Op[];
}

/** A scenario as it went. */
export interface Recorded {
  /** The state directory, and the file that the tasks tell. */
  root: string;
  account: string;
  lines: string[];
  /** What lay there before, and in the end. */
  base: Image;
  last: Image;
  ops: Op[];
}

/** What of the launcher and its runners counts: files, processes, signals. */
const CALLS = [
  'openat',
  'write',
  'clone',
  'clone3',
  'fork',
  'vfork',
  'execve',
  'chdir',
  'fchdir',
  'setpgid',
  'setsid',
  'wait4',
  'waitid',
  'kill',
  'exit_group',
];
const PATIENCE = 300_000;
const TWO_HOURS = 7_200_000;
/** How long strace may take to detach itself. */
const LETS_GO_WITHIN_MS = 5_000;

export async function crash(plan: CrashPlan): Promise<Outcome> {
  const run = new CrashRun(plan);
  try {
    await run.toTheEnd();
  } catch (error) {
    run.violations.push(`it came to no end: ${(error as Error).message}`);
    run.violations.push(...judge(run.place, plan.scenario, run.account, { exact: false, struck: run.byRunner }));
    run.story.push(...treeOf(run.place.dir).lines());
  }
  await run.close();
  return run.outcome();
}

interface Traced {
  path: string;
  by: 'daemon' | 'command' | 'last' | 'other';
}

export interface CommandOptions {
  /** After a crash: true if it need not be given again. */
  isDone?: () => boolean;
  /** What somebody else does while it is held up. */
  rival?: () => Promise<void>;
}

export class CrashRun {
  readonly place: Place;
  readonly account: string;
  readonly violations: string[] = [];
  readonly story: string[] = [];
  private readonly plan: CrashPlan;
  private readonly env: Record<string, string | undefined> = {};
  /** Whose trace is where, in the order of their starts. */
  private readonly traces: Traced[] = [];
  private crashes = 0;
  private pointsUsed = 0;
  private tracer: ChildProcess | undefined;
  private calls: Record<string, number> = {};
  private isStopping = false;

  constructor(plan: CrashPlan) {
    this.plan = plan;
    this.place = new Place({ env: this.env, config: plan.scenario.config ?? 'max_parallel: 4\n' });
    this.account = this.place.aside('account');
    writeFileSync(this.account, '');
  }

  async toTheEnd(): Promise<void> {
    const { scenario, mode } = this.plan;
    const { byRunner } = this;
    if (byRunner) {
      this.startNext();
      await this.until('it serves', () => this.serves());
      await this.attach(mode === 'all at runner');
      await scenario.before?.(this);
    } else {
      await scenario.before?.(this);
      this.startNext();
    }
    await scenario.act?.(this);
    await this.until('every task has come to its end', () => this.isDone());
    if (byRunner) await this.detach();
    await this.stop();
    if (!this.isDone()) {
      this.startNext();
      await this.until('every task has come to its end', () => this.isDone());
      await this.stop();
    }
    this.violations.push(
      ...judge(this.place, scenario, this.account, { exact: !byRunner && mode !== 'all', struck: byRunner }),
    );
    const { launcher } = this.plan;
    if (launcher !== undefined && !this.place.log.includes(`"launcher":"${launcher}"`))
      this.violations.push(`it was not run by the launcher ${launcher}`);
    await this.recoverAgain();
  }

  /** Every task has ended, and no array is still being taken in, no job archived: that goes on in the background. */
  isDone(): boolean {
    if (leftBehind(this.place.dir).some((name) => /\.(bundle|archived)-/.test(name))) return false;
    const { scenario } = this.plan;
    const hasEnded = (address: string): boolean => {
      const [job = '', id = ''] = address.split('/');
      const hands = homeOf(this.place, job, id);
      const folder = hands.folderOf(id);
      if (folder === undefined) return this.byRunner && isNeverDropped(scenario, [], id, accountOf(this.account));
      return folder !== 'pending' && folder !== 'running' && !hands.isClaimed(id);
    };
    const all = Object.keys(scenario.ends);
    const droppers = all.filter((address) => !scenario.children?.some((id) => address.endsWith(`/${id}`)));
    return droppers.every(hasEnded) && all.every(hasEnded); // by then nothing more is dropped
  }

  get byRunner(): boolean {
    return this.plan.mode === 'runner' || this.plan.mode === 'all at runner';
  }

  /** A daemon later than all that is younger than what is swept: it finds nothing to do. */
  private async recoverAgain(): Promise<void> {
    const { knownEnds } = this.plan;
    const end = stateOf(this.place.dir, this.account);
    if (knownEnds?.has(end)) return;
    const before = treeOf(this.place.dir);
    this.preload('last', { clockShift: TWO_HOURS });
    this.spawn();
    await this.until('the last one serves', () => this.serves() && this.isDone());
    await this.stop();
    const after = treeOf(this.place.dir);
    const wrong = [
      ...changesBetween(before, after).map((line) => `the second recovery: ${line}`),
      ...leftBehind(this.place.dir).map((name) => `left behind: ${name}`),
    ];
    if (wrong.length === 0) knownEnds?.add(end);
    this.violations.push(...wrong);
  }

  /** The whole scenario without a crash, its changes recorded with what they wrote. */
  async record(): Promise<Recorded> {
    const { scenario } = this.plan;
    this.isRecording = true;
    await scenario.before?.(this);
    const base = imageOf(this.place.dir);
    this.startNext();
    await scenario.act?.(this);
    await this.until('every task has come to its end', () => this.isDone());
    await this.stop();
    if (this.violations.length > 0) throw new Error(this.violations.join('\n'));
    const ops = this.traces.flatMap(({ path }) => withoutFailed(readTrace(path)));
    const inTime = [...ops, ...this.byHand].sort((a, b) => (a.t ?? 0) - (b.t ?? 0));
    return {
      root: this.place.dir,
      account: this.account,
      lines: accountOf(this.account),
      base,
      last: imageOf(this.place.dir),
      ops: inTime,
    };
  }

  private isRecording = false;
  private readonly byHand: Op[] = [];

  /** What a person does is recorded too. */
  did(op: Op): void {
    this.byHand.push({ ...op, t: Number(process.hrtime.bigint()) });
  }

  // For scenarios

  /** Waits for something, while daemons that were made to crash are started again. */
  async until(what: string, isDone: () => boolean | undefined): Promise<void> {
    await waitUntil(
      what,
      () => {
        this.watch();
        return isDone();
      },
      () => `${JSON.stringify(Object.fromEntries(tasksIn(this.place.dir)))}\n${this.place.log.slice(-3000)}`,
      this.plan.patience ?? PATIENCE,
    );
  }

  begun(id: string): number {
    return accountOf(this.account).filter((line) => line.startsWith(`begin ${id} `)).length;
  }

  serves(): boolean {
    const { daemon } = this.place;
    return (
      daemon !== undefined && daemon.exitCode === null && daemon.signalCode === null && this.said().includes(' serves ')
    );
  }

  /** A daemon that is not to crash. */
  async startPlainly(): Promise<void> {
    this.preload('last', {});
    this.spawn();
    await this.until('it serves', () => this.serves());
  }

  async askToStop(how: 'drain' | 'kill'): Promise<void> {
    await this.until('it serves', () => this.serves());
    writeFileSync(this.place.at('stop'), how);
    this.isStopping = true;
    this.place.daemon?.kill('SIGTERM');
  }

  /** Waits for a daemon that was asked to stop, then starts the next one. */
  async goneOnce(): Promise<void> {
    await waitUntil(
      'the daemon has gone',
      () => isOver(this.place.daemon),
      () => this.place.log.slice(-2000),
      PATIENCE,
    );
    this.noteEnd();
    this.isStopping = false;
    this.startNext();
  }

  /** The command line, once more if it was made to crash before it was done. What it has acknowledged, it has. */
  async command(words: string[], { isDone, rival }: CommandOptions = {}): Promise<void> {
    let mayBeDone = false;
    for (;;) {
      const [verb = '', ...args] = words;
      const mayCrash = this.plan.scenario.rival !== true || rival !== undefined;
      const gate = rival === undefined ? undefined : this.place.aside(`gate.${this.traces.length}`);
      this.preload('command', { ...(mayCrash && this.nextOfCommands()), ...(gate !== undefined && { gate }) });
      if (!mayCrash) (this.traces.at(-1) as Traced).by = 'other';
      const { path: trace } = this.traces.at(-1) as Traced;
      const saying = speak([verb, '--dir', this.place.dir, ...args], {
        cwd: this.place.root,
        env: { ...this.env, TEST_PLACE: this.place.root },
      });
      if (gate !== undefined) await this.meanwhile(saying, trace, gate, rival);
      const said = await saying;
      const crashed = this.lastCrash('command');
      if (crashed !== undefined && crashed.trace === trace) {
        this.noteCrash(crashed);
        if (this.plan.mode !== 'rival') {
          if (isDone?.()) return;
          continue;
        }
      }
      if (said.status === null && this.plan.mode === 'all') {
        mayBeDone = true; // it ended with all else, and whose crash that was is noted later
        if (isDone?.()) return;
        continue;
      }
      if (said.status === 0) return this.did({ op: 'acknowledged', path: words.join(' ') });
      const text = `${said.out}${said.err}`;
      if (rival !== undefined && this.crashes > 0 && /not finished|has just made/.test(text)) {
        await this.until(
          'the job may be archived',
          () => this.place.job('j').names('running').length === 0 && this.place.job('j').ids('pending').length === 0,
        );
        continue;
      }
      // Done by the one that crashed: so it is there, and is judged like all else.
      mayBeDone ||= this.crashes > 0;
      if (!mayBeDone || !/not finished|there already|nothing to|runs now/i.test(text))
        this.violations.push(`${words.join(' ')}: ${said.status} ${text}`);
      return;
    }
  }

  /** While a command line is held up, another one does its work; then the first goes on, or ends there. */
  private async meanwhile(
    saying: Promise<unknown>,
    trace: string,
    gate: string,
    rival: (() => Promise<void>) | undefined,
  ): Promise<void> {
    let isSaid = false;
    void saying.then(() => (isSaid = true));
    const isHeldUp = () => readTrace(trace).some((op) => op.crash);
    await this.until('it is held up, or done', () => isSaid || isHeldUp());
    if (isHeldUp()) await rival?.();
    writeFileSync(`${gate}.new`, this.plan.mode === 'rival' ? 'go on' : 'end');
    renameSync(`${gate}.new`, gate);
  }

  // Daemons

  private startNext(): void {
    this.preload('daemon', this.plan.mode === 'daemon' || this.plan.mode === 'all' ? this.nextPoint() : {});
    this.spawn();
  }

  /** Changes are counted over all command lines of a scenario. */
  private nextOfCommands(): Partial<PreloadOptions> {
    const { mode, points } = this.plan;
    const point = (mode === 'client' || mode === 'rival') && this.crashes === 0 ? points?.[0] : undefined;
    const before = this.traces.reduce(
      (sum, { path, by }) => sum + (by === 'command' ? changesIn(readTrace(path)) : 0),
      0,
    );
    return point !== undefined && point > before ? { at: point - before } : {};
  }

  private nextPoint(): Partial<PreloadOptions> {
    const at = this.plan.points?.[this.pointsUsed];
    this.pointsUsed += 1;
    return { ...(at === undefined ? {} : { at }), all: this.plan.mode === 'all' };
  }

  private said: () => string = () => '';

  private spawn(): void {
    const { said } = this.place.spawnDaemon();
    this.said = said;
  }

  private preload(by: Traced['by'], options: Partial<PreloadOptions>): void {
    const trace = this.place.aside(`trace.${this.traces.length}`);
    this.traces.push({ path: trace, by });
    const { sabotage, launcher } = this.plan;
    const all: PreloadOptions = {
      root: this.place.dir,
      trace,
      ...(sabotage !== undefined && { sabotage }),
      ...(launcher !== undefined && { launcher }),
      ...(this.isRecording && { record: true }),
      ...(this.plan.tellStates && { account: this.account }),
      ...options,
    };
    this.env['CRASH_POINTS'] = JSON.stringify(all);
    this.env['NODE_OPTIONS'] = `--import=${pathToFileURL(join(import.meta.dirname, 'preload.js')).href}`;
  }

  /** A daemon that is gone is followed by the next one. */
  private watch(): void {
    const { daemon } = this.place;
    if (daemon === undefined || !isOver(daemon) || this.isStopping) return;
    this.noteEnd();
    this.startNext();
  }

  private noteEnd(): void {
    const { daemon } = this.place;
    if (daemon === undefined || !isOver(daemon)) return;
    const crashed = this.lastCrash('daemon');
    if (crashed !== undefined) this.noteCrash(crashed);
    else if (this.wasEnded) this.wasEnded = false;
    else if (daemon.signalCode !== null || daemon.exitCode !== 0 || !this.isStopping)
      this.violations.push(
        `a daemon ended by itself: ${daemon.signalCode ?? daemon.exitCode}: ${this.place.log.slice(-1500)}`,
      );
    this.place.daemon = undefined;
  }

  private readonly counted = new Set<string>();

  /** A crash that was not told of yet. */
  private lastCrash(who: Traced['by']): { trace: string; op: Op } | undefined {
    for (const { path: trace, by } of this.traces) {
      if (by !== who || this.counted.has(trace)) continue;
      const op = readTrace(trace).find((entry) => entry.crash);
      if (op !== undefined) return { trace, op };
    }
    return undefined;
  }

  private noteCrash({ trace, op }: { trace: string; op: Op }): void {
    this.counted.add(trace);
    this.crashes += 1;
    this.story.push(`crash ${this.crashes} instead of change ${op.n}: ${describeOp(op, this.place.dir)}`);
    this.story.push(...treeOf(this.place.dir).lines());
  }

  /** Ends the last daemon; one that crashes on the way is followed by another. */
  private async stop(): Promise<void> {
    for (let round = 0; round < 5; round++) {
      await this.until('it serves', () => this.serves());
      this.isStopping = true;
      this.place.daemon?.kill('SIGTERM');
      await waitUntil(
        'the daemon stops',
        () => isOver(this.place.daemon),
        () => this.place.log.slice(-2000),
        PATIENCE,
      );
      const crashed = this.lastCrash('daemon') !== undefined;
      this.noteEnd();
      this.isStopping = false;
      if (!crashed) return;
      this.startNext();
    }
  }

  // Launcher and runners

  private fired = false;

  private async attach(all: boolean): Promise<void> {
    const launcher = await waitUntil('there is a launcher', () => childOf(this.place.daemon?.pid ?? 0));
    const { call } = this.plan;
    const inject = call === undefined ? [] : ['-e', `inject=${call.syscall}:signal=KILL:when=${call.when}`];
    const known = await knownCalls();
    // Told by its standard error, which it does not keep back as it does a file.
    const args = ['-f', '-p', `${launcher}`, '-e', `trace=${known.join(',')}`, '-e', 'signal=SIGKILL'];
    this.tracer = spawn('strace', [...args, ...inject], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.tracer.stderr?.setEncoding('latin1').on('data', (text: string) => this.hear(text));
    this.killsAll = all;
    await waitUntil('strace has attached itself', () =>
      /^TracerPid:\s+[1-9]/m.test(readText(`/proc/${launcher}/status`) ?? ''),
    );
  }

  private killsAll = false;
  private strace = '';

  /** Once it has struck it lets the others go, or everything ends. */
  private hear(text: string): void {
    this.strace += text;
    const { call } = this.plan;
    if (this.fired || call === undefined || !this.strace.includes('+++ killed by SIGKILL +++')) return;
    this.fired = true;
    this.crashes += 1;
    if (this.killsAll) for (let round = 0; round < 3; round++) this.endAll();
    this.tracer?.once('exit', () => this.tellOfChildren());
    this.endTracer();
    const last = this.strace.split('\n').slice(-8);
    this.story.push(`killed at ${call.syscall} ${call.when}:`, ...last, ...treeOf(this.place.dir).lines());
  }

  /** It may wait for ever for a parent to stop that waits for its vforked child, which it has stopped: the kernel lets all go. */
  private endTracer(): void {
    const { tracer } = this;
    tracer?.kill('SIGTERM');
    const end = setTimeout(() => tracer?.kill('SIGKILL'), LETS_GO_WITHIN_MS);
    tracer?.once('exit', () => clearTimeout(end));
  }

  /** A strace that goes while a signal is under way takes it along: a shell would wait for ever for a child that has ended. */
  private tellOfChildren(): void {
    for (const live of this.place.processes()) if (isLauncher(live.args)) signalProcess(live, 'SIGCHLD');
  }

  private endAll(): void {
    for (const live of this.place.processes()) signalProcess(live, 'SIGKILL');
    this.wasEnded = true;
  }

  /** The daemon was ended with all else, on purpose. */
  private wasEnded = false;

  private async detach(): Promise<void> {
    const { tracer } = this;
    if (tracer === undefined) return;
    this.endTracer();
    await waitUntil('strace has let go', () => isOver(tracer));
    this.calls = countCalls(this.strace);
    this.tracer = undefined;
  }

  async close(): Promise<void> {
    await this.detach().catch(() => undefined);
    for (const { path, by } of this.traces) {
      const ops = readTrace(path);
      this.ops.push(...ops);
      this.made.push({ by, ops, crashed: ops.some((op) => op.crash) });
    }
    await this.place.close().catch((error: unknown) => this.violations.push((error as Error).message));
  }

  private readonly ops: Op[] = [];
  private readonly made: { by: string; ops: Op[]; crashed: boolean }[] = [];

  outcome(): Outcome {
    const { crashes, calls, violations, story, made } = this;
    const by = (who: string) => made.filter((one) => one.by === who).map(({ ops }) => changesIn(ops));
    const crashed = made.findIndex((one) => one.crashed);
    const after = crashed < 0 ? undefined : made.slice(crashed + 1).find((one) => one.by === 'daemon');
    const first = made.find((one) => one.by === 'daemon');
    return {
      crashes,
      changes: by('daemon'),
      commandChanges: by('command'),
      states: statesOf(first?.ops),
      statesAfter: statesOf(after?.ops),
      handedOverAt: made[0] === first ? beforeHandOver(first?.ops ?? []) : 1,
      calls,
      violations,
      story,
      trace: this.ops,
    };
  }
}

function statesOf(ops: readonly Op[] = []): string[] {
  return ops.flatMap(({ n, state }) => (n === undefined ? [] : [state ?? '']));
}

/** The last change before the first hand-over: until then nothing runs besides. */
function beforeHandOver(ops: readonly Op[]): number {
  const at = ops.findIndex(({ op }) => op === 'hand-over');
  return Math.max(1, changesIn(at < 0 ? ops : ops.slice(0, at)));
}

/** How many changes a process made. */
function changesIn(ops: readonly Op[]): number {
  return ops.reduce((most, op) => Math.max(most, op.n ?? 0), 0);
}

/** Without those that failed. */
function withoutFailed(ops: readonly Op[]): Op[] {
  const left: Op[] = [];
  for (const op of ops) {
    if (op.op !== 'failed') left.push(op);
    else
      left.splice(
        left.findLastIndex((one) => one.pid === op.pid && one.thread === op.thread),
        1,
      );
  }
  return left;
}

function isOver(child: ChildProcess | undefined): boolean {
  return child === undefined || child.exitCode !== null || child.signalCode !== null;
}

/** The launcher: the only child that a daemon keeps. */
function childOf(daemon: number): number | undefined {
  for (const name of readdirSync('/proc')) {
    if (
      /^\d+$/.test(name) &&
      readProcess(Number(name))?.ppid === daemon &&
      /launcher/.test(readText(`/proc/${name}/cmdline`) ?? '')
    )
      return Number(name);
  }
  return undefined;
}

/** Those of the calls that this machine has. */
let known: Promise<string[]> | undefined;
function knownCalls(): Promise<string[]> {
  known ??= Promise.all(
    CALLS.map(async (name) => ((await exitOf('strace', ['-e', `trace=${name}`, 'true'])) === 0 ? [name] : [])),
  ).then((names) => names.flat());
  return known;
}

function exitOf(program: string, args: string[]): Promise<number | null> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: 'ignore' });
    child.once('error', () => resolve(null));
    child.once('exit', (code) => resolve(code));
  });
}

/** Why launcher and runners cannot be reached here, if they cannot. */
export async function whyNoStrace(): Promise<string | undefined> {
  const status = await exitOf('strace', ['-o', '/dev/null', 'true']);
  return status === 0 ? undefined : 'there is no strace here that may trace';
}

/** How often at most one process made each call. */
function countCalls(text: string): Record<string, number> {
  const byProcess = new Map<string, number>();
  for (const [, pid, name] of text.matchAll(/^(?:\[pid\s+(\d+)\] )?([a-z0-9_]+)\(/gm)) {
    const key = `${pid ?? 'launcher'} ${name}`;
    byProcess.set(key, (byProcess.get(key) ?? 0) + 1);
  }
  const most: Record<string, number> = {};
  for (const [key, count] of byProcess) {
    const name = key.split(' ')[1] as string;
    most[name] = Math.max(most[name] ?? 0, count);
  }
  return most;
}
