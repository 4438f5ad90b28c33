// Ids made from what tasks work on.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { idPart, MadeIds } from '../../src/protocol/made-ids.ts';
import { isName } from '../../src/protocol/names.ts';

test('what is allowed in a name stays, runs of anything else become one -', () => {
  assert.deepEqual(['a.csv', 'data/in 1.csv', '../x', '-n', 'ä', 'a  b ', 'lr=0.1+x', '', '日本 2'].map(idPart), [
    'a.csv',
    'data-in-1.csv',
    'x',
    'n',
    '',
    'a-b',
    'lr=0.1+x',
    '',
    '2',
  ]);
});

test('a name that is taken, or differs only in case, gets a number', () => {
  const ids = new MadeIds((id) => id.toLowerCase() === 'x.2');
  assert.deepEqual(
    ['x', 'X', 'x', 'y', 'x'].map((id) => ids.take(id)),
    ['x', 'X.3', 'x.4', 'y', 'x.5'],
  );
});

test('whatever the texts, every id is a name and no two are the same, in any case', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.string(), fc.constantFrom('a', 'A', 'a.2', 'b'.repeat(200)))), (texts) => {
      const ids = new MadeIds((id) => id.length === 3);
      const all = texts.map((text, i) => ids.take(idPart(text) || `${i}`));
      assert.ok(all.every((id) => isName(id) && id.length !== 3));
      assert.equal(new Set(all.map((id) => id.toLowerCase())).size, texts.length);
    }),
  );
});

test('100,000 equal texts cost no more than as many different ones', () => {
  const ids = new MadeIds(() => false);
  let last = '';
  for (let i = 0; i < 100_000; i++) last = ids.take('same');
  assert.equal(last, 'same.100000');
});

test('50,000 texts of which the ends are cut off for their numbers, each there twice, do not search through all numbers', () => {
  const ids = new MadeIds(() => false);
  const given = new Set<string>();
  for (let i = 0; i < 100_000; i++) given.add(ids.take('a'.repeat(95) + String(i % 50_000).padStart(5, '0')));
  assert.equal(given.size, 100_000);
  assert.ok([...given].every(isName));
});
