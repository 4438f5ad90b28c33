// The other programs, as far as they are on PATH: how each is told to run N × `true` at two slots, in the way its users do
// it, with servers of its own in a fresh folder. What a client costs per submission counts, as writing files does for us.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './clock.ts';
import type { Scratch } from './scratch.ts';

export interface Peer {
  name: string;
  program: string;
  version: string;
  /** Makes it ready in a fresh folder, its server running. */
  ready(scratch: Scratch): Promise<Ready>;
}

export interface Ready {
  /** Runs so many tasks to their end. */
  run(tasks: number): Promise<void>;
  /** Has the server forget them, after the clock has stopped. */
  tidy?(): Promise<void>;
  /** No more than so many at a time: its cost of one grows with the number that wait. */
  most?: number;
}

/** Runs a shell script; fails if it does. */
export function shell(script: string, env: NodeJS.ProcessEnv = process.env, cwd = '/'): Promise<void> {
  return new Promise((done, fail) => {
    const child = spawn('sh', ['-c', script], { env, cwd, stdio: ['ignore', 'ignore', 'inherit'] });
    child.once('error', fail);
    child.once('exit', (code) => (code === 0 ? done() : fail(new Error(`status ${code} of: ${script}`))));
  });
}

const repeat = (times: number, command: string): string =>
  `i=0; while [ $i -lt ${times} ]; do ${command} || exit; i=$((i+1)); done`;

type Known = Omit<Peer, 'version'> & { ask: string[] };

const xargs: Known = {
  name: 'xargs -P2 -n1',
  program: 'xargs',
  ask: ['--version'],
  ready: async () => ({ run: (tasks) => shell(`seq ${tasks} | xargs -P2 -n1 true`) }),
};

/** A task-spooler server of the bench's own. Gives the environment in which `tsp` speaks to it. */
export function taskSpoolerServer(scratch: Scratch): NodeJS.ProcessEnv {
  const folder = scratch.folder('tsp');
  const env = { ...process.env, TMPDIR: folder, TS_SOCKET: join(folder, 'socket'), TS_MAXFINISHED: '10' };
  spawnSync('tsp', ['-S', '2'], { env });
  scratch.atEnd(() => void spawnSync('tsp', ['-K'], { env }));
  return env;
}

/** Submits to task-spooler, a client each. */
export const submitToTaskSpooler = (tasks: number): string => repeat(tasks, 'tsp true >/dev/null');
export const WAIT_FOR_TASK_SPOOLER =
  "tsp -w >/dev/null; while tsp | grep -qE ' (queued|running) '; do sleep 0.005; done";

const taskSpooler: Known = {
  name: 'task-spooler',
  program: 'tsp',
  ask: ['-V'],
  ready: async (scratch) => {
    const env = taskSpoolerServer(scratch);
    return { run: (tasks) => shell(`${submitToTaskSpooler(tasks)}; ${WAIT_FOR_TASK_SPOOLER}`, env) };
  },
};

/**
 * nq runs one at a time in a folder, so two folders are two slots. Each round has its own: it reads all that ever ran. Of those
 * that wait, each is a process that looks through the others: 5,000 of them do not come to an end in minutes.
 */
const nq: Known = {
  name: 'nq',
  program: 'nq',
  ask: [],
  ready: async (scratch) => {
    const half = (tasks: number): string =>
      `(export NQDIR=${scratch.folder('nq')}; ${repeat(tasks, 'nq true >/dev/null')}; nq -w)`;
    const run = (tasks: number): Promise<void> =>
      shell(`${half(Math.floor(tasks / 2))} & ${half(Math.ceil(tasks / 2))} && wait $!`);
    return { run, most: 500 };
  },
};

const gnuParallel: Known = {
  name: 'GNU parallel -j2',
  program: 'parallel',
  ask: ['--version'],
  ready: async (scratch) => {
    const env = { ...process.env, PARALLEL_HOME: scratch.folder('parallel') };
    return { run: (tasks) => shell(`seq ${tasks} | parallel -j2 true`, env) };
  },
};

const pueue: Known = {
  name: 'pueue',
  program: 'pueue',
  ask: ['--version'],
  ready: async (scratch) => {
    const folder = scratch.folder('pueue');
    const config = join(folder, 'pueue.yml');
    const state = join(folder, 'state');
    mkdirSync(state);
    writeFileSync(
      config,
      `shared: {pueue_directory: ${state}, use_unix_socket: true, runtime_directory: ${state}, unix_socket_path: ${state}/socket}\nclient: {}\ndaemon: {}\nprofiles: {}\n`,
    );
    const server = spawn('pueued', ['-c', config], { stdio: 'ignore' });
    scratch.atEnd(() => void server.kill('SIGTERM'));
    const client = `pueue -c ${config}`;
    await until(() => spawnSync('pueue', ['-c', config, 'status'], { stdio: 'ignore' }).status === 0, 50);
    await shell(`${client} parallel 2`);
    return {
      run: (tasks) => shell(`${repeat(tasks, `${client} add -- true`)}; ${client} wait --quiet`),
      tidy: () => shell(`${client} clean`),
      most: 200, // it saves all that it knows at each change
    };
  },
};

const KNOWN: readonly Known[] = [xargs, taskSpooler, nq, gnuParallel, pueue];

/** Those that are installed. */
export function findPeers(): Peer[] {
  return KNOWN.flatMap((known) =>
    spawnSync('sh', ['-c', `command -v ${known.program}`]).status === 0
      ? [{ ...known, version: versionOf(known) }]
      : [],
  );
}

function versionOf({ program, ask }: Known): string {
  if (ask.length === 0) return 'installed'; // it has no way to say
  return /\d[\w.-]*/.exec(spawnSync(program, ask, { encoding: 'utf8' }).stdout)?.[0] ?? 'unknown';
}
