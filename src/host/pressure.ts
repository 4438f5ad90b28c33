// How busy the host is, as its kernel tells: runnable processes (/proc/loadavg) and the share of time that some process
// waited for memory (/proc/pressure/memory, "some", over the last ten seconds; kernels may be built without it).
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { errnoOf } from '../errors.ts';

export interface HostPressure {
  cores: number;
  /** Over the last minute; undefined if the host does not tell. */
  load: number | undefined;
  /** Percent of the last ten seconds; undefined if the host does not tell. */
  memory: number | undefined;
}

/** Reads it now. `proc` is where /proc is. */
export function readPressure(proc = '/proc'): HostPressure {
  return {
    cores: availableParallelism(),
    load: numberIn(`${proc}/loadavg`, /^([\d.]+) /),
    memory: numberIn(`${proc}/pressure/memory`, /^some avg10=([\d.]+) /m),
  };
}

function numberIn(path: string, pattern: RegExp): number | undefined {
  try {
    const [, number] = pattern.exec(readFileSync(path, 'utf8')) ?? [];
    return number === undefined ? undefined : Number(number);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return undefined; // not there, or pressure is switched off (EOPNOTSUPP)
  }
}
