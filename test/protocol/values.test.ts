import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  durationProblem,
  formatDuration,
  formatSize,
  MAX_DURATION,
  parseDuration,
  parseSize,
  sizeProblem,
} from '../../src/protocol/values.ts';

test('a duration is seconds, or numbers with units from large to small', () => {
  const cases: [unknown, number | 'none' | undefined][] = [
    [90, 90],
    ['90', 90],
    ['90s', 90],
    ['5m', 300],
    ['2h', 7200],
    ['1d', 86_400],
    ['1h30m', 5400],
    ['1h 30m', 5400],
    ['1.5h', 5400],
    ['250ms', 0.25],
    [0, 0],
    ['none', 'none'],
    ['', undefined],
    ['5', 5],
    ['5 minutes', undefined],
    ['30m1h', undefined],
    ['5m5m', undefined],
    ['-5s', undefined],
    [-1, undefined],
    ['1.2.3s', undefined],
    ['.s', undefined],
    [Number.NaN, undefined],
    [Number.POSITIVE_INFINITY, undefined],
    [MAX_DURATION + 1, undefined],
    [null, undefined],
    [['5m'], undefined],
    [true, undefined],
  ];
  for (const [input, seconds] of cases) assert.equal(parseDuration(input), seconds, String(input));
});

test('any duration that is shown reads back as the same', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: MAX_DURATION * 1000 }), (thousandths) => {
      assert.equal(parseDuration(formatDuration(thousandths / 1000)), thousandths / 1000);
    }),
  );
  assert.equal(formatDuration(5400), '1h30m');
  assert.equal(formatDuration(0), '0s');
  assert.equal(formatDuration('none'), 'none');
});

test('a duration or a size that is none says why, and one that is says nothing', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.double(), fc.anything()), (input) => {
      assert.equal(durationProblem(input) === undefined, parseDuration(input) !== undefined);
      assert.equal(sizeProblem(input) === undefined, parseSize(input) !== undefined);
    }),
  );
  assert.match(durationProblem(1_700_000_000) ?? '', /too long: at most 3650d/);
  assert.match(sizeProblem('64M') ?? '', /write "64MB" .* or "64MiB"/);
});

test('a size is bytes, or a number with a decimal or a binary unit', () => {
  const cases: [unknown, number | undefined][] = [
    [5, 5],
    ['5', 5],
    ['10MB', 10_000_000],
    ['10mb', 10_000_000],
    ['1.5GiB', 1.5 * 2 ** 30],
    ['64 kB', 64_000],
    ['64M', undefined],
    ['none', undefined],
    ['9e9', undefined],
    [-1, undefined],
    [1.5, undefined],
    ['99999999TB', undefined],
    [{}, undefined],
  ];
  for (const [input, bytes] of cases) assert.equal(parseSize(input), bytes, String(input));
  assert.equal(formatSize(64_000_000), '64MB');
  assert.equal(formatSize(1536), '1.5kB');
  assert.equal(formatSize(12), '12B');
});
