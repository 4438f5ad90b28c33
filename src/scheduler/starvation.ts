// Whom priorities keep waiting too long: a task is lifted by one tier for each `starvation_after` that its kind (tasks of
// one job and tier that ask for the same) has waited, since one of it was queued or may start, or one of it last started.
// The clock is the kind's, so that a long queue of low priority does not pass everybody once it is old: one of it goes,
// and the clock begins again. A daemon that starts again knows no starts, and counts from the queueing.

/** Between two named priorities (`PRIORITIES` of the task file). */
export const TIER = 1000;

/** Tasks whose priorities have the same tier share a clock. */
export function tierOf(priority: number): number {
  return Math.floor(priority / TIER);
}

export interface Waiting {
  /** Milliseconds since 1970: when the task was queued, or its delay ended. */
  since: number;
  /** Milliseconds since 1970: when one of its kind last started; 0: not known. */
  startedAt: number;
}

/** By how many tiers it is lifted. `after` in seconds; times in milliseconds since 1970. */
export function liftOf({ since, startedAt }: Waiting, after: number | 'none', now: number): number {
  if (after === 'none') return 0;
  return Math.max(0, Math.floor((now - Math.max(since, startedAt)) / (after * 1000)));
}
