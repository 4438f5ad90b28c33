// Jobs of which nothing is started until somebody mends them, for daemon.json: only the daemon judges a job.json as a whole,
// and its folders by its own config. Whoever looks reads it there, and so in the words in which the log has it.
import type { DaemonRecord } from '../store/daemon-record.ts';
import type { World } from './world.ts';

/** Of each kind; whoever mends these is told of the next. */
const MOST_TOLD = 50;
const LONGEST = 500;

export function troublesRecord({ jobs, oddFolders }: World): Pick<DaemonRecord, 'damaged' | 'left_alone'> {
  const damaged: [string, string][] = [];
  const leftAlone = [...oddFolders];
  for (const { name, trouble, damage } of jobs.values()) {
    if (trouble !== undefined) leftAlone.push([name, trouble]);
    else if (damage !== undefined) damaged.push([name, damage]);
  }
  return { damaged: recordOf(damaged), left_alone: recordOf(leftAlone) };
}

function recordOf(all: readonly [string, string][]): Record<string, string> | undefined {
  if (all.length === 0) return undefined;
  return Object.fromEntries(all.slice(0, MOST_TOLD).map(([name, reason]) => [name, reason.slice(0, LONGEST)]));
}
