// A line of events.ndjson: what happened, for people and scripts. Telemetry and audit, never truth: nothing reads it
// back to decide anything. One line is one O_APPEND write, so a line is either whole or not there.

export interface EventLine {
  /** ISO 8601, UTC. */
  t: string;
  job?: string | undefined;
  task?: string | undefined;
  attempt?: number | undefined;
  /** A word: `started`, `settled`, `cancelled`, `rejected` … */
  event: string;
  /** Folders. */
  from?: string | undefined;
  to?: string | undefined;
  reason?: string | undefined;
  /** Who: `daemon`, or the user's name. */
  by?: string | undefined;
}

const MAX_REASON = 1000;

/** One line, with its newline; its keys in the order of the documentation, its reason cut to 1,000 characters. */
export function formatEvent({ t, job, task, attempt, event, from, to, reason, by }: EventLine): string {
  const cut = reason !== undefined && reason.length > MAX_REASON ? `${reason.slice(0, MAX_REASON)}…` : reason;
  return `${JSON.stringify({ t, job, task, attempt, event, from, to, reason: cut, by })}\n`;
}

const TEXTS = ['job', 'task', 'from', 'to', 'reason', 'by'] as const;

/** A line back; undefined if it is cut short or is none. */
export function parseEvent(line: string): EventLine | undefined {
  try {
    const value = JSON.parse(line) as Record<string, unknown> | null;
    if (
      typeof value?.t !== 'string' ||
      Number.isNaN(Date.parse(value.t)) ||
      typeof value.event !== 'string' ||
      value.event === ''
    )
      return undefined;
    if (TEXTS.some((key) => value[key] !== undefined && typeof value[key] !== 'string')) return undefined;
    if (value.attempt !== undefined && !(Number.isInteger(value.attempt) && (value.attempt as number) >= 1))
      return undefined;
    return value as unknown as EventLine;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
