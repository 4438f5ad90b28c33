// `max_parallel: auto`: as many slots as cores, fewer while the host is under pressure, whoever is its cause. At each
// look one step: a quarter down above the upper mark, one up below the lower one, and none in between, so that what the
// own tasks add to the load does not swing it. Additive increase, multiplicative decrease (Chiu and Jain 1989). At least
// one slot stays: the work goes on, however slowly.

export interface Pressure {
  cores: number;
  /** Runnable processes over the last minute; undefined: not known. */
  load: number | undefined;
  /** Percent of time that some process waited for memory; undefined: not known. */
  memory: number | undefined;
}

export interface AutoSlots {
  slots: number;
  /** Why there are fewer than cores, in words; undefined: there are not. */
  heldBack: string | undefined;
}

/** Load by core, and percent of time: above the first it is held back, below the second let go. */
const LOAD = { high: 1.5, low: 1.1 };
const MEMORY = { high: 10, low: 2 };

/** The slots after a look, from those before it (undefined: there was none). */
export function autoSlots(before: number | undefined, { cores, load = 0, memory = 0 }: Pressure): AutoSlots {
  const now = Math.min(Math.max(before ?? cores, 1), cores);
  const isHigh = load > LOAD.high * cores || memory > MEMORY.high;
  const isLow = load < LOAD.low * cores && memory < MEMORY.low;
  const slots = isHigh ? Math.max(1, now - Math.max(1, Math.floor(now / 4))) : isLow ? Math.min(cores, now + 1) : now;
  if (slots === cores) return { slots, heldBack: undefined };
  const reasons = [
    ...(load >= LOAD.low * cores ? [`its load is ${load} on ${cores} cores`] : []),
    ...(memory >= MEMORY.low ? [`processes wait ${memory}% of the time for memory`] : []),
  ];
  const why = reasons.length > 0 ? reasons.join(', and ') : 'it was busy a moment ago';
  return { slots, heldBack: `${slots} of ${cores} slots are used, to spare the host: ${why}` };
}
