import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { RetrySpec } from '../../src/protocol/task.ts';
import { decideRetry, type RetryFacts, retryDelay } from '../../src/scheduler/retry.ts';

const spec = (more: Partial<RetrySpec> = {}): RetrySpec => ({
  max: 3,
  delay: 0,
  backoff: 1,
  maxDelay: undefined,
  jitter: 0,
  maxTime: undefined,
  on: undefined,
  ...more,
});
const facts = (more: Partial<RetryFacts> = {}): RetryFacts => ({
  attempts: 1,
  firstStartedAt: 0,
  endedAt: 60_000,
  name: 'job/task',
  ...more,
});
const failed = { reason: 'exit', exitCode: 1 };
const anyNumber = fc.oneof(
  fc.constant(0),
  fc.integer({ min: 0, max: 1_000_000_000 }),
  fc.double({ min: 0, max: 1000, noNaN: true }),
);
const policy = fc.record({
  delay: anyNumber,
  backoff: fc.double({ min: 1, max: 100, noNaN: true }),
  maxDelay: fc.option(anyNumber, { nil: undefined }),
  jitter: fc.double({ min: 0, max: 1, noNaN: true }),
});
const attempts = fc.integer({ min: 1, max: 1_000_000 });

test('a delay is a number of seconds that never falls below its backoff, nor exceeds max_delay but for the jitter', () => {
  fc.assert(
    fc.property(policy, attempts, fc.string(), (given, attempt, name) => {
      const delay = retryDelay(spec(given), { attempts: attempt, name });
      const plain = retryDelay(spec({ ...given, jitter: 0 }), { attempts: attempt, name });
      assert.ok(Number.isFinite(delay) && delay >= 0, String(delay));
      assert.ok(plain <= (given.maxDelay ?? Number.POSITIVE_INFINITY));
      assert.ok(delay >= plain && delay <= plain * (1 + given.jitter) * (1 + Number.EPSILON));
    }),
  );
});

test('without jitter the delays are delay, delay × backoff, delay × backoff², … up to max_delay', () => {
  const given = spec({ delay: 10, backoff: 2, maxDelay: 60 });
  assert.deepEqual(
    [1, 2, 3, 4, 5].map((n) => retryDelay(given, { attempts: n, name: 'job/task' })),
    [10, 20, 40, 60, 60],
  );
});

test('a daemon that starts again computes the same instant', () => {
  fc.assert(
    fc.property(policy, attempts, fc.string(), (given, attempt, name) => {
      const once = decideRetry(spec({ ...given, max: 1_000_000 }), failed, facts({ attempts: attempt, name }));
      const again = decideRetry(spec({ ...given, max: 1_000_000 }), failed, facts({ attempts: attempt, name }));
      assert.deepEqual(once, again);
      assert.ok(once.retry && once.at >= 60_000);
    }),
  );
});

test('tasks that fail at one moment do not all come back at one moment', () => {
  const given = spec({ delay: 100, jitter: 0.5 });
  const delays = Array.from({ length: 1000 }, (_, n) => retryDelay(given, { attempts: 1, name: `job/task${n}` }));
  for (const share of [0, 1, 2, 3, 4]) {
    const inShare = delays.filter((delay) => delay >= 100 + 10 * share && delay < 110 + 10 * share).length;
    assert.ok(
      inShare > 100 && inShare < 300,
      `${inShare} of 1000 between ${100 + 10 * share} and ${110 + 10 * share} s`,
    );
  }
});

test('retry: N means N more attempts after the first, and not one more', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 1, max: 30 }), (max, attempt) => {
      const decision = decideRetry(spec({ max }), failed, facts({ attempts: attempt }));
      assert.equal(decision.retry, attempt <= max);
      if (!decision.retry) assert.equal(decision.why, max === 0 ? 'not asked for' : 'used up');
    }),
  );
});

test('no attempt is made later than max_time after the first one began', () => {
  const given = spec({ delay: 10, maxTime: 100 });
  assert.deepEqual(decideRetry(given, failed, facts({ endedAt: 90_000 })), { retry: true, at: 100_000 });
  assert.deepEqual(decideRetry(given, failed, facts({ endedAt: 90_001 })), { retry: false, why: 'out of time' });
});

test('`on` lists what is tried again: failed, timeout, checks, and exit statuses', () => {
  const rows: [on: RetrySpec['on'], reason: string, exitCode: number | null, again: boolean][] = [
    [undefined, 'timeout', 143, true],
    [undefined, 'exit', 1, true],
    [{ kinds: ['failed'], statuses: [] }, 'exit', 1, true],
    [{ kinds: ['failed'], statuses: [] }, 'signal', 137, true],
    [{ kinds: ['failed'], statuses: [] }, 'not_found', 127, true],
    [{ kinds: ['failed'], statuses: [] }, 'timeout', 143, false],
    [{ kinds: ['timeout'], statuses: [] }, 'timeout', null, true],
    [{ kinds: ['timeout'], statuses: [] }, 'exit', 1, false],
    [{ kinds: ['checks'], statuses: [] }, 'checks', 0, true],
    [
      {
        kinds: [],
        statuses: [
          [75, 75],
          [100, 110],
        ],
      },
      'exit',
      75,
      true,
    ],
    [
      {
        kinds: [],
        statuses: [
          [75, 75],
          [100, 110],
        ],
      },
      'exit',
      110,
      true,
    ],
    [
      {
        kinds: [],
        statuses: [
          [75, 75],
          [100, 110],
        ],
      },
      'exit',
      111,
      false,
    ],
    [{ kinds: [], statuses: [[143, 143]] }, 'timeout', 143, false], // the status is our own TERM's
    [{ kinds: [], statuses: [[0, 255]] }, 'exit', null, false],
  ];
  for (const [on, reason, exitCode, again] of rows) {
    const decision = decideRetry(spec({ on }), { reason, exitCode }, facts());
    assert.equal(decision.retry, again, JSON.stringify({ on, reason, exitCode }));
  }
});
