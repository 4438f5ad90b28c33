// `npm run soak -- --minutes N --seed S`: the work of `spoold prove`, dropped by eight at once, under kills and everything
// else that goes wrong with a host: frozen processes, a clock that is set, folders that may not be written to, a full disk,
// no watches, few descriptors, and people who move and edit files. In a user namespace and a mount of its own, so that
// nothing of the host is touched. The tasks' own account is the judge.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { drawVictims, judge, strike } from '../../src/client/prove.ts';
import { Ground, type Victim } from '../../src/client/prove-ground.ts';
import { type Findings, noFindings } from '../../src/client/prove-judge.ts';
import { type Accepted, randomBy } from '../../src/client/prove-work.ts';
import { moveNoReplace } from '../../src/host/atomic.ts';
import { readProcess, signalProcess } from '../../src/host/identity.ts';
import { foldersHolding } from '../../src/store/tasks.ts';
import { projectRoot } from '../protocol/root.ts';

const DROPPERS = 8;
const TASKS_EACH = 24;
const KILLS_IN_A_ROUND = 50;
const DISK_MB = 96;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: String(Date.now() % 100_000) },
  },
});
const [minutesAsked, seed] = [Number(values.minutes), Number(values.seed)];
if (!(minutesAsked > 0 && Number.isInteger(seed) && seed >= 0)) {
  console.error('usage: npm run soak -- [--minutes N] [--seed S]: a number above 0, and a whole number.');
  process.exit(2);
}
const random = randomBy(seed);
const victims = drawVictims(random);

/** In namespaces of our own, where the host allows them. */
function inside(): boolean {
  if (process.env.SOAK_INSIDE !== undefined) return process.env.SOAK_INSIDE === 'namespace';
  const unshare = ['-Ur', '-m', '--propagation', 'private'];
  const isAllowed = spawnSync('unshare', [...unshare, 'true']).status === 0;
  const argv = [process.execPath, fileURLToPath(import.meta.url), '--minutes', values.minutes, '--seed', values.seed];
  const env = { ...process.env, SOAK_INSIDE: isAllowed ? 'namespace' : 'host' };
  const [program = '', ...rest] = isAllowed ? ['unshare', ...unshare, ...argv] : argv;
  process.exit(spawnSync(program, rest, { stdio: 'inherit', env }).status ?? 1);
}

interface Fault {
  name: string;
  /** Does it; gives how it is undone, or undefined where it could not be done now. */
  begin: () => (() => void) | undefined;
}

class Soak {
  readonly ground: Ground;
  readonly disk: string;
  readonly skipped: string[] = [];
  readonly faults: Record<string, number> = {};
  readonly killed: Record<Victim, number> = { daemon: 0, launcher: 0, runner: 0 };
  readonly findings: Findings = noFindings();
  tasks = 0;
  private readonly active = new Map<string, Promise<void>>();
  private readonly droppers: { child: ChildProcess; done: (job: string) => Promise<void> }[];
  private readonly kinds: Fault[];
  private accepted: Accepted[] = [];
  private job = '';
  private readonly clock: string;
  private readonly plainUnder: string[];

  constructor(isInside: boolean) {
    process.umask(0o077);
    this.disk = mkdtempSync(join(tmpdir(), 'spoold-soak-'));
    const isMounted =
      isInside && spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MB}m`, 'none', this.disk]).status === 0;
    this.ground = new Ground(tmpdir(), join(projectRoot(), 'bin', 'spoold'), join(this.disk, 'state'));
    this.clock = join(this.ground.root, 'clock');
    const preload = new URL('./moved-clock.js', import.meta.url).href;
    this.ground.env = { NODE_OPTIONS: `--import ${preload}`, SOAK_CLOCK: this.clock };
    const setpriv = ['setpriv', '--bounding-set=-dac_override,-dac_read_search'];
    const mayDrop =
      process.getuid?.() !== 0 || spawnSync(setpriv[0] as string, [...setpriv.slice(1), 'true']).status === 0;
    this.plainUnder = process.getuid?.() === 0 && mayDrop ? setpriv : [];
    this.ground.under = this.plainUnder;
    this.kinds = [this.freeze, this.setClock, this.handMove, this.handEdit, this.fewDescriptors];
    this.offer(mayDrop, this.readOnly, 'root may write anywhere, and setpriv cannot change that');
    this.offer(isMounted, this.fullDisk, 'no disk of our own could be mounted');
    this.offer(isInside, this.noWatches, 'there is no user namespace of our own');
    this.droppers = Array.from({ length: DROPPERS }, (_, n) => this.newDropper(n));
  }

  private offer(isPossible: boolean, fault: Fault, why: string): void {
    if (isPossible) this.kinds.push(fault);
    else this.skipped.push(`${fault.name}: skipped, ${why}`);
  }

  private newDropper(n: number) {
    const script = fileURLToPath(new URL('./dropper.js', import.meta.url));
    const argv = [script, `d${n}`, this.ground.layout.root, String(seed * 10 + n)];
    const child = spawn(process.execPath, argv, { stdio: ['pipe', 'pipe', 'inherit'] });
    const waiting = new Map<string, () => void>();
    const finished = new Set<string>();
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('{')) return void this.accepted.push(JSON.parse(line) as Accepted);
      const job = line.slice('done '.length);
      finished.add(job);
      waiting.get(job)?.();
    });
    const isGone = new Promise<never>((_, reject) =>
      child.once('exit', (code, signal) => reject(new Error(`dropper d${n} has ended: ${code ?? signal}`))),
    );
    isGone.catch(() => undefined); // at the end they are to go
    return {
      child,
      done: (job: string) =>
        Promise.race([
          isGone,
          new Promise<void>((resolve) => (finished.has(job) ? resolve() : waiting.set(job, resolve))),
        ]),
    };
  }

  async round(n: number): Promise<void> {
    const { ground } = this;
    this.job = `soak${n}`;
    this.accepted = [];
    mkdirSync(ground.layout.job(this.job).folder('pending'), { recursive: true });
    writeFileSync(ground.layout.job(this.job).settings, '{"max_parallel": "none"}');
    for (const { child } of this.droppers) child.stdin?.write(`${this.job} ${TASKS_EACH}\n`);
    for (let kills = 0, idle = 0; kills < KILLS_IN_A_ROUND && idle < 40; ) {
      if (random() < 0.35) this.somethingGoesWrong();
      const victim = victims.next().value;
      if (await strike(ground, victim, random, random() * 8)) {
        this.killed[victim] += 1;
        kills += 1;
      } else idle += 1;
    }
    await this.settle();
    const jobs = new Map([[this.job, this.accepted]]);
    this.tasks += await judge(ground, jobs, this.findings);
  }

  /** All that was broken is mended, and all who drop have dropped. */
  private async settle(): Promise<void> {
    await Promise.all(this.active.values());
    rmSync(this.clock, { force: true });
    await Promise.all(this.droppers.map(({ done }) => done(this.job)));
  }

  private somethingGoesWrong(): void {
    const fault = this.kinds[Math.floor(random() * this.kinds.length)] as Fault;
    if (this.active.has(fault.name)) return;
    const undo = fault.begin();
    if (undo === undefined) return;
    this.faults[fault.name] = (this.faults[fault.name] ?? 0) + 1;
    const over = pause(100 + random() * 1300).then(() => {
      undo();
      this.active.delete(fault.name);
    });
    this.active.set(fault.name, over);
  }

  private readonly freeze: Fault = {
    name: 'frozen',
    begin: () => {
      const victim = (['daemon', 'launcher', 'runner'] as const)[Math.floor(random() * 3)] as Victim;
      const target = this.ground.target(victim, random);
      if (target === undefined || !signalProcess(target, 'SIGSTOP')) return undefined;
      // A runner of the shell launchers has no session of its own: the kernel may hang it up when its launcher is killed.
      const isNative = readProcess(target.pid)?.comm === 'spoold-launcher';
      if (target.attempt !== undefined && !isNative) this.ground.cut.add(target.attempt);
      return () => void signalProcess(target, 'SIGCONT');
    },
  };

  private readonly setClock: Fault = {
    name: 'clock set',
    begin: () => {
      const most = [1_000, 3_600_000, 86_400_000][Math.floor(random() * 3)] as number;
      writeFileSync(this.clock, String(Math.round((random() - 0.5) * 2 * most)));
      return () => undefined;
    },
  };

  private readonly readOnly: Fault = {
    name: 'read-only',
    begin: () => {
      const { layout } = this.ground;
      const job = layout.job(this.job);
      const folders = [layout.root, layout.jobs, job.root, job.runs, job.folder('pending'), job.folder('running')];
      const folder = [...folders, job.folder('succeeded')][Math.floor(random() * 7)] as string;
      if (!existsSync(folder)) return undefined;
      chmodSync(folder, 0o500);
      return () => chmodSync(folder, 0o700);
    },
  };

  private readonly fullDisk: Fault = {
    name: 'disk full',
    begin: () => {
      const ballast = join(this.disk, 'ballast');
      const fd = openSync(ballast, 'w');
      const block = Buffer.alloc(1 << 20);
      try {
        for (let size = block.length; size >= 512; size >>= 1) {
          try {
            for (;;) if (writeSync(fd, block, 0, size) < size) break;
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
          }
        }
      } finally {
        closeSync(fd);
      }
      return () => rmSync(ballast, { force: true });
    },
  };

  private readonly noWatches: Fault = {
    name: 'no watches',
    begin: () => {
      const limits = ['max_inotify_instances', 'max_inotify_watches'].map((name) => `/proc/sys/user/${name}`);
      const before = limits.map((path) => readFileSync(path, 'utf8'));
      for (const path of limits) writeFileSync(path, random() < 0.5 ? '1' : '4');
      return () => limits.forEach((path, at) => writeFileSync(path, before[at] as string));
    },
  };

  /** Of the daemon that is there, and of those that are started until it is over. */
  private readonly fewDescriptors: Fault = {
    name: 'few descriptors',
    begin: () => {
      const daemon = this.ground.daemon;
      if (daemon === undefined) return undefined;
      if (spawnSync('prlimit', ['--pid', String(daemon.pid), '--nofile=64:']).status !== 0) return undefined;
      this.ground.under = ['prlimit', '--nofile=64:', ...this.plainUnder];
      return () => {
        this.ground.under = this.plainUnder;
      };
    },
  };

  private readonly handMove: Fault = {
    name: 'moved by hand',
    begin: () => {
      const task = this.accepted[Math.floor(random() * this.accepted.length)];
      const job = this.ground.layout.job(this.job);
      const [state] = task === undefined ? [] : foldersHolding(job, task.id);
      if (task === undefined || state === undefined) return undefined;
      const to = state === 'pending' ? 'cancelled' : state === 'running' && random() < 0.5 ? 'cancelled' : 'pending';
      try {
        if (moveNoReplace(job.task(state, task.id), job.task(to, task.id)) !== 'moved') return undefined;
      } catch {
        return undefined; // the disk does not take it
      }
      task.byHand = true;
      return () => undefined;
    },
  };

  /** Held and let go, written anew with the same text, or touched. */
  private readonly handEdit: Fault = {
    name: 'edited by hand',
    begin: () => {
      const task = this.accepted[Math.floor(random() * this.accepted.length)];
      const path = this.ground.layout.job(this.job).task('pending', task?.id ?? '-');
      const held = path.replace(/json$/, 'held');
      try {
        const choice = random();
        if (choice < 0.5) renameSync(path, held);
        else if (choice < 0.75) utimesSync(join(path, '..'), new Date(), new Date());
        else {
          writeFileSync(`${held}~`, readFileSync(path));
          renameSync(path, held); // so that nobody can have taken it meanwhile
          renameSync(`${held}~`, held);
        }
      } catch {
        rmSync(`${held}~`, { force: true });
        return undefined;
      }
      return () => void (existsSync(held) && renameSync(held, path));
    },
  };

  /** Removes everything, unless there is something to be looked at. */
  async end(isFine: boolean): Promise<boolean> {
    for (const { child } of this.droppers) child.stdin?.end();
    this.findings.lost.push(...(await this.ground.stop()));
    const isGone = isFine && this.isFine;
    if (isGone) this.ground.remove();
    else this.ground.killAll();
    if (!isGone && existsSync(join(this.disk, 'state')))
      cpSync(join(this.disk, 'state'), join(this.ground.root, 'state'), { recursive: true, verbatimSymlinks: true });
    spawnSync('umount', ['-l', this.disk]);
    rmSync(this.disk, { recursive: true, force: true });
    return isGone;
  }

  get isFine(): boolean {
    return Object.values(this.findings).every((found: string[]) => found.length === 0);
  }

  /** What did not happen that happens in every round: a soak without it shows nothing. */
  get missing(): string[] {
    const never = Object.entries(this.killed).flatMap(([victim, n]) => (n === 0 ? `no ${victim} was killed` : []));
    return Object.keys(this.faults).length === 0 ? [...never, 'nothing went wrong but that'] : never;
  }

  get kills(): number {
    return this.killed.daemon + this.killed.launcher + this.killed.runner;
  }
}

function say(soak: Soak, minutes: number): void {
  const { findings, faults, killed } = soak;
  const all = Object.values(faults).reduce((sum, n) => sum + n, 0);
  const found = `${findings.lost.length} lost, ${findings.overlapping.length} overlapping, ${findings.reruns.length} reruns without a recorded cause`;
  console.log(`${minutes.toFixed(1)} min: ${soak.kills} kills, ${all} faults, ${soak.tasks} tasks: ${found}`);
  if (process.env.VERBOSE) console.log(JSON.stringify({ killed, faults }));
}

const soak = new Soak(inside());
console.log(`seed ${seed}`);
for (const word of soak.skipped) console.log(word);
const began = performance.now();
const minutes = (): number => (performance.now() - began) / 60_000;
let trouble: unknown;
try {
  for (let round = 0; minutes() < minutesAsked && soak.isFine; round++) {
    await soak.round(round);
    say(soak, minutes());
  }
  if (soak.isFine && soak.missing.length > 0) trouble = `This run shows nothing: ${soak.missing.join(', ')}.`;
} catch (error) {
  trouble = error;
}
const isFine = await soak.end(trouble === undefined);
console.log(JSON.stringify({ killed: soak.killed, faults: soak.faults }));
for (const sentence of Object.values(soak.findings).flat()) console.log(`  ${sentence}`);
if (trouble !== undefined) console.log(trouble);
if (!isFine)
  console.log(`kept: ${soak.ground.root}; repeat: npm run soak -- --minutes ${values.minutes} --seed ${seed}`);
say(soak, minutes());
process.exit(isFine ? 0 : 1);
