// Where the figures come from: without it they say nothing.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { basename } from 'node:path';
import type { Peer } from './peers.ts';

export interface Machine {
  cpu: string;
  cores: number;
  memoryGB: number;
  kernel: string;
  fileSystem: string;
  node: string;
  spoold: string;
  /** Processes that wanted to run just before, a minute's average: on a quiet machine near 0. */
  load: number;
  peers: Record<string, string>;
}

export function machineOf(folder: string, peers: readonly Peer[]): Machine {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGB: Math.round(totalmem() / 1e9),
    kernel: release(),
    fileSystem: fileSystemOf(folder),
    node: process.version,
    spoold: version,
    load: Number(loadavg()[0]?.toFixed(1)),
    peers: Object.fromEntries(peers.map(({ name, version: theirs }) => [name, theirs])),
  };
}

/** An ext4 without a journal is told apart: it walks past every inode that was removed lately whenever it makes one. */
function fileSystemOf(folder: string): string {
  const [, line = ''] = execFileSync('df', ['--output=fstype,source', folder], { encoding: 'utf8' }).split('\n');
  const [type = 'unknown', source = ''] = line.split(/\s+/);
  if (type !== 'ext4' || !existsSync(source)) return type;
  const device = basename(realpathSync(source));
  const hasJournal = !existsSync(`/proc/fs/ext4/${device}`) || existsSync(`/proc/fs/jbd2/${device}-8`);
  return hasJournal ? type : 'ext4 without a journal';
}

export function describeMachine(machine: Machine): string {
  const { cpu, cores, memoryGB, kernel, fileSystem, node, spoold, load, peers } = machine;
  const others = Object.entries(peers).map(([name, version]) => `${name} ${version}`);
  return `${cores} cores of ${cpu}, ${memoryGB} GB, Linux ${kernel}, ${fileSystem}, Node ${node.slice(1)}, load ${load} before; spoold ${spoold}, ${others.join(', ')}`;
}
