// How much may run now: slots over all jobs, and what of the resources live attempts leave. `max_parallel: auto` follows
// the host, a step at a look. What of it a person who waits may want to know goes into daemon.json.
import { availableParallelism } from 'node:os';
import { monotonic } from '../host/clock.ts';
import { readPressure } from '../host/pressure.ts';
import { writtenResources } from '../protocol/resources.ts';
import { autoSlots } from '../scheduler/auto.ts';
import type { Limits } from '../scheduler/plan.ts';
import { Pools } from '../scheduler/resources.ts';
import type { DaemonRecord } from '../store/daemon-record.ts';
import type { World } from './world.ts';

const CORES = availableParallelism();
/** `auto` takes a step this often at most, in ms: the kernel's figures change no faster. */
const STEP_MS = 5_000;

/** How many tasks run at one time, over all jobs: the file `parallel`, else the config, else one a core. */
export function slotsOf(world: World): number {
  const said = world.parallel ?? world.config.maxParallel ?? CORES;
  return said === 'auto' ? (world.auto?.slots ?? CORES) : said;
}

/** With `auto`, looks at the host. */
export function followHost(world: World): void {
  if (world.config.maxParallel !== 'auto') {
    delete world.auto;
    return;
  }
  const now = monotonic();
  if (world.auto !== undefined && now - world.auto.at < STEP_MS) return;
  const before = world.auto;
  world.auto = { ...autoSlots(before?.slots, readPressure()), at: now };
  const { slots, heldBack } = world.auto;
  if ((before?.heldBack === undefined) === (heldBack === undefined)) return;
  world.log.info(heldBack === undefined ? 'the host is not busy any more' : 'held back', { slots, reason: heldBack });
}

/** What may start, of `free` slots. */
export function limitsOf(world: World, free: number): Limits {
  const { resources, starvationAfter } = world.config;
  const holders = resources.size === 0 ? [] : [...world.attempts, ...world.strays].map(({ holdings }) => holdings);
  return { free, pools: new Pools(resources, holders), starvationAfter };
}

/** What of the limits daemon.json tells. */
export function limitsRecord(world: World): Partial<DaemonRecord> {
  const { resources, starvationAfter } = world.config;
  return {
    max_parallel: slotsOf(world),
    resources: writtenResources(resources),
    starvation_after: starvationAfter,
    room_for: world.roomFor,
    held_back: world.parallel === undefined ? world.auto?.heldBack : undefined,
  };
}
