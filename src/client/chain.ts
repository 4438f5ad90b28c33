// The chain of tasks that a `Why` leads along: from a task to the one that everything comes down to.
import type { Why } from './causes.ts';

/** Where the first cause of each leads to in the end. */
export function rootOf(why: Why): Why {
  for (let at = why; ; ) {
    const next = nextOf(at);
    if (next === undefined) return at;
    at = next;
  }
}

/** The task that the causes lead to: one that waits for a person before one that goes on by itself, else the first. */
export function nextOf({ causes }: Why): Why | undefined {
  const named = causes.flatMap((cause) => {
    if (cause.cause === 'dependency') return [cause.queued?.[0] ?? cause.why];
    return cause.cause === 'skipped' || cause.cause === 'stopped' ? [cause.why] : [];
  });
  return named.find(({ state }) => state === 'unknown' || state === 'held') ?? named[0];
}

/** The ids of all of them, the task itself first. */
export function chainOf(why: Why): Set<string> {
  const ids = new Set<string>();
  for (let at: Why | undefined = why; at !== undefined; at = nextOf(at)) ids.add(at.task);
  return ids;
}
