// How many tasks a second, end to end: N × `true`, two at a time, against task-spooler and `xargs -P2` in the same run.
// Each round runs all of them, one after the other, so that a machine whose speed drifts drifts for all; ratios are
// taken round by round, and their median is printed with the spread. Folders are fresh, and removed at the end.
//
//   node build/bench/throughput.js [--tasks 2000] [--rounds 5] [--on FOLDER] [--json]
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, watch, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    tasks: { type: 'string', default: '2000' },
    rounds: { type: 'string', default: '5' },
    on: { type: 'string', default: tmpdir() },
    json: { type: 'boolean', default: false },
  },
});
const TASKS = Number(options.tasks);
const ROUNDS = Number(options.rounds);
const SPOOLD = resolve(import.meta.dirname, '..', '..', 'bin', 'spoold');
const scratch = mkdtempSync(join(resolve(options.on), 'spoold-bench-'));

type Contender = { name: string; run(round: number): Promise<number> };

const seconds = async (work: () => Promise<void> | void): Promise<number> => {
  const begin = performance.now();
  await work();
  return (performance.now() - begin) / 1000;
};

/** Drops all tasks by rename, as a script would, and waits until the last one lies in succeeded/. */
async function spoold(round: number): Promise<number> {
  const dir = join(scratch, `spoold-${round}`);
  const job = join(dir, 'jobs', 'bench');
  const drops = join(scratch, `drops-${round}`);
  for (const folder of ['pending', 'succeeded']) mkdirSync(join(job, folder), { recursive: true });
  mkdirSync(drops);
  writeFileSync(join(job, 'job.json'), '{"max_parallel": 2}');
  writeFileSync(join(dir, 'config.yaml'), 'max_parallel: 2\n');
  for (let i = 0; i < TASKS; i++) writeFileSync(join(drops, `${i}.json`), '{"command": ["true"]}');
  execFileSync(SPOOLD, ['start', '--dir', dir], { stdio: 'ignore' });
  try {
    return await seconds(async () => {
      const done = untilHolds(join(job, 'succeeded'), TASKS);
      for (let i = 0; i < TASKS; i++) renameSync(join(drops, `${i}.json`), join(job, 'pending', `${i}.json`));
      await done;
    });
  } finally {
    execFileSync(SPOOLD, ['stop', '--dir', dir], { stdio: 'ignore' });
  }
}

/** Resolves when a folder holds `count` files; it is read only when it may be so. */
function untilHolds(folder: string, count: number): Promise<void> {
  return new Promise((done) => {
    let events = 0;
    const watcher = watch(folder, () => {
      events += 1;
      if (events >= count) look();
    });
    const timer = setInterval(look, 250); // a hint can be missed
    function look(): void {
      if (readdirSync(folder).length < count) return;
      watcher.close();
      clearInterval(timer);
      done();
    }
  });
}

function xargs(): Promise<number> {
  const input = `${Array.from({ length: TASKS }, (_, i) => i).join('\n')}\n`;
  return seconds(
    () => void execFileSync('xargs', ['-P2', '-n1', 'true'], { input, stdio: ['pipe', 'ignore', 'ignore'] }),
  );
}

/** task-spooler forks a client for each submission, as its users do; all of it counts, as dropping files does for us. */
async function taskSpooler(round: number): Promise<number> {
  const folder = join(scratch, `tsp-${round}`);
  mkdirSync(folder);
  const env = {
    ...process.env,
    TMPDIR: folder,
    TS_SOCKET: join(folder, 'socket'),
    TS_SLOTS: '2',
    TS_MAXFINISHED: '10',
  };
  const ran = join(folder, 'ran');
  writeFileSync(ran, '');
  spawnSync('tsp', ['-S', '2'], { env });
  const script = `i=0; while [ $i -lt ${TASKS} ]; do tsp -n true >/dev/null; i=$((i+1)); done; while tsp | grep -qE ' (queued|running) '; do sleep 0.02; done`;
  try {
    return await seconds(
      () =>
        new Promise<void>((done, fail) => {
          const child = spawn('sh', ['-c', script], { env, stdio: 'ignore' });
          child.on('exit', (code) => (code === 0 ? done() : fail(new Error(`tsp: ${code}`))));
        }),
    );
  } finally {
    spawnSync('tsp', ['-K'], { env });
  }
}

const has = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
const median = (numbers: number[]): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;

const contenders: Contender[] = [
  { name: 'spoold', run: spoold },
  { name: 'xargs -P2 -n1', run: xargs },
  ...(has('tsp') ? [{ name: 'task-spooler', run: taskSpooler }] : []),
];

const rates = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
try {
  for (let round = 0; round < ROUNDS; round++) {
    for (const contender of contenders) {
      if (!options.json) process.stderr.write(`\rround ${round + 1} of ${ROUNDS}: ${contender.name.padEnd(16)}`);
      rates.get(contender.name)?.push(TASKS / (await contender.run(round)));
    }
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
if (!options.json) process.stderr.write('\r\x1b[K');

const ours = rates.get('spoold') ?? [];
const rows = contenders.map(({ name }) => {
  const theirs = rates.get(name) ?? [];
  const ratios = ours.map((rate, i) => rate / (theirs[i] ?? Number.NaN));
  return {
    name,
    perSecond: median(theirs),
    ratio: median(ratios),
    lowest: Math.min(...ratios),
    highest: Math.max(...ratios),
  };
});
const machine = {
  cpu: cpus()[0]?.model,
  cores: cpus().length,
  kernel: readFileSync('/proc/version', 'utf8').split(' ')[2],
  node: process.version,
};
if (options.json) console.log(JSON.stringify({ tasks: TASKS, rounds: ROUNDS, machine, rows }));
else {
  console.log(
    `${TASKS} × true, 2 at a time, ${ROUNDS} rounds; ${machine.cores} cores, ${machine.cpu}, Linux ${machine.kernel}, Node ${machine.node}`,
  );
  console.log(`${''.padEnd(16)} tasks/s   spoold is (median of the rounds, lowest to highest)`);
  for (const { name, perSecond, ratio, lowest, highest } of rows) {
    const compared =
      name === 'spoold' ? '' : `${ratio.toFixed(2)} × it (${lowest.toFixed(2)} to ${highest.toFixed(2)})`;
    console.log(`${name.padEnd(16)} ${perSecond.toFixed(0).padStart(7)}   ${compared}`);
  }
  if (!has('tsp')) console.log('task-spooler (tsp) is not installed, so it is not compared.');
}
