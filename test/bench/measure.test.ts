import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { judge, median, meets, quantile, ratios, spreadOf } from '../../bench/measure.ts';

const figure = fc.double({ min: 0.001, max: 1e9, noNaN: true });
const rounds = fc.array(figure, { minLength: 1, maxLength: 12 });
const must = fc.oneof(
  figure.map((atLeast) => ({ atLeast })),
  figure.map((atMost) => ({ atMost })),
);

test('a quantile lies between the lowest and the highest, and does not fall as the share grows', () => {
  fc.assert(
    fc.property(
      rounds,
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (values, p, q) => {
        const { lowest, highest } = spreadOf(values);
        const [low, high] = [quantile(values, Math.min(p, q)), quantile(values, Math.max(p, q))];
        assert.ok(lowest <= low && low <= high * (1 + 1e-12) && high <= highest * (1 + 1e-12));
      },
    ),
  );
});

test('the order of the rounds changes neither median nor verdict', () => {
  fc.assert(
    fc.property(rounds, must, (values, asked) => {
      const turned = values.toReversed();
      assert.equal(median(turned), median(values));
      assert.equal(judge(turned, asked), judge(values, asked));
    }),
  );
});

test('at least half of the values lie on either side of the median', () => {
  fc.assert(
    fc.property(rounds, (values) => {
      const middle = median(values);
      const slack = Math.abs(middle) * 1e-12;
      assert.ok(values.filter((value) => value <= middle + slack).length * 2 >= values.length);
      assert.ok(values.filter((value) => value >= middle - slack).length * 2 >= values.length);
    }),
  );
});

test('a verdict is given only where three rounds or more agree, and its median agrees with it', () => {
  fc.assert(
    fc.property(rounds, must, (values, asked) => {
      const verdict = judge(values, asked);
      const agreeing = values.filter((value) => meets(value, asked)).length / values.length;
      if (values.length < 3) assert.equal(verdict, 'too few rounds to judge');
      else if (verdict === 'met') assert.ok(agreeing >= 0.75 && meets(median(values), asked));
      else if (verdict === 'missed') assert.ok(agreeing <= 0.25 && !meets(median(values), asked));
      else assert.ok(agreeing > 0.25 && agreeing < 0.75);
    }),
  );
});

test('a round that gets better never makes a verdict worse', () => {
  const worth = ['missed', 'spread too wide to judge', 'met'];
  fc.assert(
    fc.property(
      fc.array(figure, { minLength: 3, maxLength: 12 }),
      fc.nat(),
      figure,
      figure,
      (values, at, more, atLeast) => {
        const better = values.with(at % values.length, (values[at % values.length] ?? 0) + more);
        assert.ok(worth.indexOf(judge(better, { atLeast })) >= worth.indexOf(judge(values, { atLeast })));
      },
    ),
  );
});

test('ratios are taken round by round, so that a drift of the machine cancels out', () => {
  const drift = fc.array(fc.tuple(figure, fc.double({ min: 0.1, max: 10, noNaN: true })), {
    minLength: 1,
    maxLength: 9,
  });
  fc.assert(
    fc.property(drift, (figures) => {
      const [theirs, slower] = [figures.map(([value]) => value), figures.map(([, factor]) => factor)];
      const ours = theirs.map((value) => value * 2);
      const drifted = (values: number[]): number[] => values.map((value, i) => value * (slower[i] ?? 1));
      for (const ratio of ratios(drifted(ours), drifted(theirs))) assert.ok(Math.abs(ratio - 2) < 1e-9);
    }),
  );
});
