// A line of events.ndjson: what happened, for people and scripts. Telemetry and audit, never truth: nothing reads it
// back to decide anything. One line is one O_APPEND write, so a line is either whole or not there.
import * as z from 'zod';

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

const eventSchema = z.object({
  t: z.iso.datetime({ offset: true }),
  job: z.string().optional(),
  task: z.string().optional(),
  attempt: z.int().min(1).optional(),
  event: z.string().min(1),
  from: z.string().optional(),
  to: z.string().optional(),
  reason: z.string().optional(),
  by: z.string().optional(),
});

/** One line, with its newline; its keys in the order of the documentation, its reason cut to 1,000 characters. */
export function formatEvent({ t, job, task, attempt, event, from, to, reason, by }: EventLine): string {
  const cut = reason !== undefined && reason.length > MAX_REASON ? `${reason.slice(0, MAX_REASON)}…` : reason;
  return `${JSON.stringify({ t, job, task, attempt, event, from, to, reason: cut, by })}\n`;
}

/** A line back; undefined if it is cut short or is none. */
export function parseEvent(line: string): EventLine | undefined {
  try {
    const parsed = eventSchema.safeParse(JSON.parse(line));
    return parsed.success ? parsed.data : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
