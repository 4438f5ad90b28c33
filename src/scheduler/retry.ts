// Whether an attempt that failed is followed by another, and when. Jitter is derived from job, task and attempt, so a
// daemon that starts again computes the same instant.
// Source of the backoff: exponential backoff with jitter, as in "Exponential Backoff And Jitter" (M. Brooker, 2015).

import type { RetryOn, RetrySpec } from '../protocol/task.ts';

export interface Failure {
  reason: string;
  exitCode: number | null;
}

/** Seconds: what a backoff never exceeds, a year. */
const LONGEST_DELAY = 365 * 24 * 3600;

export interface RetryFacts {
  /** Attempts that counted since the last time the task lay in a final folder, this one included. */
  attempts: number;
  /** Milliseconds since 1970 of the first of them. */
  firstStartedAt: number;
  /** Milliseconds since 1970: when this one ended. */
  endedAt: number;
  /** `job/task`, for the jitter. */
  name: string;
}

export type RetryDecision =
  | { retry: true; at: number }
  | { retry: false; why: 'not asked for' | 'used up' | 'not this failure' | 'out of time' };

/** Decides on another attempt; `at` in milliseconds since 1970. */
export function decideRetry(policy: RetrySpec, failure: Failure, facts: RetryFacts): RetryDecision {
  if (policy.max === 0) return { retry: false, why: 'not asked for' };
  if (facts.attempts > policy.max) return { retry: false, why: 'used up' };
  if (!isCovered(policy.on, failure)) return { retry: false, why: 'not this failure' };
  const at = facts.endedAt + retryDelay(policy, facts) * 1000;
  if (policy.maxTime !== undefined && at - facts.firstStartedAt > policy.maxTime * 1000)
    return { retry: false, why: 'out of time' };
  return { retry: true, at };
}

/** Seconds before the attempt that follows number `facts.attempts`. */
export function retryDelay(policy: RetrySpec, facts: Pick<RetryFacts, 'attempts' | 'name'>): number {
  // A power may overflow, and nothing times infinity is no number.
  const factor = Math.min(policy.backoff ** (facts.attempts - 1), Number.MAX_VALUE);
  const capped = Math.min(policy.delay * factor, policy.maxDelay ?? LONGEST_DELAY);
  return capped * (1 + policy.jitter * fraction(`${facts.name}#${facts.attempts}`));
}

function isCovered(on: RetryOn | undefined, { reason, exitCode }: Failure): boolean {
  if (on === undefined) return true;
  const kind = reason === 'timeout' || reason === 'checks' ? reason : 'failed';
  if (on.kinds.includes(kind)) return true;
  return (
    exitCode !== null && reason !== 'timeout' && on.statuses.some(([from, to]) => exitCode >= from && exitCode <= to)
  );
}

/** A fraction in [0, 1) that depends on the text alone: FNV-1a, 32 bits (Fowler, Noll, Vo). */
function fraction(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash ^= hash >>> 15; // spread the last characters into the high bits
  hash = Math.imul(hash, 0x2c1b3c6d);
  return ((hash ^ (hash >>> 12)) >>> 0) / 2 ** 32;
}
