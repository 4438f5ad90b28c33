// The only place that reads a clock. Two are needed: the wall clock for what people read, and the uptime of the
// host for durations, which no clock step moves and which compares with the start times in /proc.
import { uptime as hostUptime } from 'node:os';

/** Wall clock, milliseconds since 1970. For people and file names, never for a duration. */
export function wallClock(): number {
  return Date.now();
}

/**
 * Seconds since the host started, suspended time included: the same clock as start times in /proc. Some containers (LXC)
 * are shown an uptime of their own, which is less than the host's other clock says.
 */
export function uptime(): number {
  return Math.max(hostUptime(), Number(process.hrtime.bigint()) / 1e9);
}

/** Milliseconds on a clock that only goes forward; for durations within this process. */
export function monotonic(): number {
  return performance.now();
}
