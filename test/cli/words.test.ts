import assert from 'node:assert/strict';
import { test } from 'node:test';
import { count, oneLine, printedLine, thousands } from '../../src/cli/words.ts';

test('numbers are grouped by thousands', () => {
  for (const n of [0, 7, 999, 1000, 12_000, 999_999, 1_000_000, 123_456_789])
    assert.equal(thousands(n), n.toLocaleString('en-US'));
  assert.equal(count(1, 'task'), '1 task');
  assert.equal(count(12_000, 'task'), '12,000 tasks');
});

test('text of several lines is shown whole on one, and of a line that a progress bar wrote over what came last', () => {
  assert.equal(oneLine('set -e\r\necho hi\r\n'), 'set -e echo hi ');
  assert.equal(oneLine('a\rb'), 'a·b');
  assert.equal(printedLine(' 10 %\r 20 %\r'), ' 20 %');
  assert.equal(printedLine('a line\r'), 'a line');
});
