// Who does something by the command line, and the lines about it in events.ndjson.
import { userInfo } from 'node:os';
import { wallClock } from '../host/clock.ts';
import { type EventLine, formatEvent } from '../protocol/event.ts';
import type { Layout } from '../protocol/layout.ts';
import { LineLog } from '../store/events.ts';

/** The user's name, or `uid 1000` where the host has none for them. */
export function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? '?'}`; // containers have users without names
  }
}

/** Appends what a person just did to events.ndjson. A disk without room for it stops nobody. */
export function recordEvents(layout: Layout, events: readonly Omit<EventLine, 't' | 'by'>[]): void {
  const log = new LineLog(layout.events);
  const t = new Date(wallClock()).toISOString();
  const by = userName();
  for (const event of events) log.add(formatEvent({ t, ...event, by }).trimEnd());
  log.flush();
  log.close();
}
