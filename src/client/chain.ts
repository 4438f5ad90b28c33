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

/** The task that the first of the causes that name one names. */
export function nextOf({ causes }: Why): Why | undefined {
  for (const cause of causes) {
    if (cause.cause === 'dependency') return cause.queued?.[0] ?? cause.why;
    if (cause.cause === 'skipped') return cause.why;
  }
  return undefined;
}

/** The ids of all of them, the task itself first. */
export function chainOf(why: Why): Set<string> {
  const ids = new Set<string>();
  for (let at: Why | undefined = why; at !== undefined; at = nextOf(at)) ids.add(at.task);
  return ids;
}
