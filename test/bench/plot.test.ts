import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { plotSvg, ticksUpTo } from '../../bench/plot.ts';

test('an axis begins at 0, has a few even steps, and covers the highest value without waste', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.01, max: 1e7, noNaN: true }), (highest) => {
      const ticks = ticksUpTo(highest);
      const [first = Number.NaN, step = Number.NaN] = ticks;
      const top = ticks.at(-1) ?? 0;
      assert.equal(first, 0);
      assert.ok(ticks.length >= 3 && ticks.length <= 7, ticks.join());
      assert.ok(top >= highest * (1 - 1e-6) && top - highest <= step * (1 + 1e-6), ticks.join());
    }),
  );
});

test('a plot draws each series over each x, higher values higher up, and labels each line', () => {
  const svg = plotSvg({
    title: 'cost < time',
    subtitle: 'two cores',
    xLabel: 'waiting',
    yLabel: 'µs',
    xs: [1000, 10_000, 100_000],
    series: [
      { name: 'dear', values: [90, 95, 100] },
      { name: 'cheap', values: [10, 10, 10] },
    ],
  });
  const heights = (i: number): number[] =>
    [...svg.matchAll(new RegExp(`<circle class="s${i}" cx="[\\d.]+" cy="([\\d.]+)"`, 'g'))].map(([, y]) => Number(y));
  assert.equal(heights(0).length, 3);
  assert.ok(heights(0).every((y, i) => y < (heights(1)[i] ?? 0)));
  assert.ok((heights(0)[2] ?? 0) < (heights(0)[0] ?? 0));
  assert.equal(new Set(heights(1)).size, 1);
  for (const words of ['cost &lt; time', '>dear<', '>cheap<', '>100,000<']) assert.ok(svg.includes(words), words);
});
