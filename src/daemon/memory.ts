// Memory: as little of the daemon's own as may be, and the most that an attempt's processes were seen to have together, looked at once a poll: for its
// result, never for a decision. What lives for less than a poll has none.
import { setFlagsFromString } from 'node:v8';
import { monotonic } from '../host/clock.ts';
import { sampleUsage } from '../runner/usage.ts';
import { processesOf } from './endings.ts';
import type { Attempt } from './job.ts';
import type { World } from './world.ts';

const YOUNG_MS = 1_000;
let underWay = false;

/** V8 lets its heap grow to a multiple before it collects: with many waiting that is more than they take. A tenth more time to read 200,000 of them takes a fifth off. */
export function keepHeapSmall(): void {
  setFlagsFromString('--heap-growing-percent=25');
}

/** Samples the processes of the attempts that have run for a while. One at a time; failures are passed over. */
export async function sampleMemory(world: World): Promise<void> {
  const old = [...world.attempts].filter(
    (attempt) => attempt.runner !== undefined && monotonic() - (attempt.handedAt ?? 0) > YOUNG_MS,
  );
  if (underWay || old.length === 0) return;
  underWay = true;
  try {
    const pidsOf = new Map<Attempt, number[]>(old.map((attempt) => [attempt, pids(world, attempt)]));
    const usage = await sampleUsage([...pidsOf.values()].flat());
    for (const [attempt, members] of pidsOf) {
      const bytes = members.reduce((sum, pid) => sum + (usage.get(pid)?.rssBytes ?? 0), 0);
      attempt.peakRss = Math.max(attempt.peakRss, bytes);
    }
  } catch (error) {
    world.log.debug('memory could not be sampled', { error: (error as Error).message });
  } finally {
    underWay = false;
  }
}

function pids(world: World, attempt: Attempt): number[] {
  return processesOf(world, attempt).map(({ pid }) => pid);
}
