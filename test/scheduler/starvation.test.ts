import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PRIORITIES } from '../../src/protocol/values.ts';
import { liftOf, TIER, tierOf } from '../../src/scheduler/starvation.ts';

const waited = (ms: number, after: number | 'none') =>
  liftOf({ since: 1_000_000, startedAt: 0 }, after, 1_000_000 + ms);

test('a task is lifted by one tier for each starvation_after that it has waited', () => {
  assert.equal(waited(599_999, 600), 0);
  assert.equal(waited(600_000, 600), 1);
  assert.equal(waited(1_250_000, 600), 2);
  assert.equal(waited(1e12, 'none'), 0);
  assert.equal(waited(-5_000, 600), 0); // the clock was set back
});

test('the clock begins again when one of its kind starts', () => {
  fc.assert(
    fc.property(
      fc.nat(1e9),
      fc.nat(1e9),
      fc.nat(1e6),
      fc.integer({ min: 1, max: 1000 }),
      (since, startedAt, more, after) => {
        const from = Math.max(since, startedAt);
        assert.equal(liftOf({ since, startedAt }, after, from + more), Math.floor(more / (after * 1000)));
      },
    ),
  );
});

test('the named priorities are a tier apart', () => {
  const { best_effort, background, foreground } = PRIORITIES;
  assert.deepEqual([best_effort, background, foreground].map(tierOf), [-1, 0, 1]);
  assert.equal(best_effort + TIER, background);
  assert.equal(background + TIER, foreground);
});
