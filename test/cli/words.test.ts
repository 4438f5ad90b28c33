import assert from 'node:assert/strict';
import { test } from 'node:test';
import { count, thousands } from '../../src/cli/words.ts';

test('numbers are grouped by thousands', () => {
  for (const n of [0, 7, 999, 1000, 12_000, 999_999, 1_000_000, 123_456_789])
    assert.equal(thousands(n), n.toLocaleString('en-US'));
  assert.equal(count(1, 'task'), '1 task');
  assert.equal(count(12_000, 'task'), '12,000 tasks');
});
