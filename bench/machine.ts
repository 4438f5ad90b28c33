// Where the figures come from: without it they say nothing.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
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
    fileSystem: execFileSync('df', ['--output=fstype', folder], { encoding: 'utf8' }).split('\n')[1] ?? 'unknown',
    node: process.version,
    spoold: version,
    load: Number(loadavg()[0]?.toFixed(1)),
    peers: Object.fromEntries(peers.map(({ name, version: theirs }) => [name, theirs])),
  };
}

export function describeMachine(machine: Machine): string {
  const { cpu, cores, memoryGB, kernel, fileSystem, node, spoold, load, peers } = machine;
  const others = Object.entries(peers).map(([name, version]) => `${name} ${version}`);
  return `${cores} cores of ${cpu}, ${memoryGB} GB, Linux ${kernel}, ${fileSystem}, Node ${node.slice(1)}, load ${load} before; spoold ${spoold}, ${others.join(', ')}`;
}
