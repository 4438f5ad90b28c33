import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  compareNatural,
  isName,
  nameProblem,
  parseAddress,
  parseRunName,
  runName,
  taskIdOf,
} from '../../src/protocol/names.ts';
import { MOVES, mayMove, STATES } from '../../src/protocol/states.ts';

const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._=+@:-]{0,99}$/);

test('a name never leaves its folder and is never hidden', () => {
  fc.assert(
    fc.property(
      fc.oneof(name, fc.string(), fc.constantFrom('..', '.', '.x', 'a/b', 'a b', '', '-x', 'x\n')),
      (text) => {
        if (isName(text))
          assert.ok(!text.includes('/') && !text.startsWith('.') && !text.startsWith('-') && !/\s/.test(text));
        assert.equal(nameProblem(text) === undefined, isName(text));
      },
    ),
  );
});

test('a run name gives back its task and its attempt', () => {
  fc.assert(
    fc.property(name, fc.integer({ min: 1, max: 999_999_999 }), (task, attempt) => {
      assert.deepEqual(parseRunName(runName(task, attempt)), { task, attempt });
    }),
  );
  for (const wrong of ['x', 'x.', 'x.0', 'x.01', '.1', 'x.-1', 'x.1e3'])
    assert.equal(parseRunName(wrong), undefined, wrong);
});

test('a file name gives a task id only if it is no hidden file and ends in .json', () => {
  assert.equal(taskIdOf('x.json'), 'x');
  assert.equal(taskIdOf('a.b.json'), 'a.b');
  for (const other of ['.x.json', 'x.held', 'x.json.swp', 'x.yaml', 'json'])
    assert.equal(taskIdOf(other), undefined, other);
});

test('an address is a job, or a job and a task', () => {
  assert.deepEqual(parseAddress('j'), { job: 'j' });
  assert.deepEqual(parseAddress('j/t'), { job: 'j', task: 't' });
  for (const wrong of ['', '/', 'j/', '/t', 'j/t/u', '../t', 'j/..'])
    assert.equal(parseAddress(wrong), undefined, wrong);
});

test('ids sort as people do, and always in the same order', () => {
  assert.deepEqual(['t10', 't2', 't1', 'a'].toSorted(compareNatural), ['a', 't1', 't2', 't10']);
  fc.assert(
    fc.property(name, name, name, (a, b, c) => {
      assert.equal(compareNatural(a, b) < 0, compareNatural(b, a) > 0);
      assert.equal(compareNatural(a, b) === 0, a === b);
      if (compareNatural(a, b) <= 0 && compareNatural(b, c) <= 0)
        assert.ok(compareNatural(a, c) <= 0, `${a} ${b} ${c}`);
    }),
    { numRuns: 2000 },
  );
});

test('a person may do by mv whatever the daemon does to a task that runs or has ended', () => {
  for (const from of STATES) {
    for (const to of STATES) {
      if (mayMove('daemon', from, to) && from !== 'pending') assert.ok(mayMove('person', from, to), `${from} → ${to}`);
    }
    assert.equal(MOVES[from][from], undefined);
  }
});

/** As `compareNatural` says, each name taken apart. */
function slowly(a: string, b: string): number {
  if (a === b) return 0;
  const [left, right] = [a.match(/\d+|\D+/g) ?? [], b.match(/\d+|\D+/g) ?? []];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const [x, y] = [left[i] as string, right[i] as string];
    if (x === y) continue;
    if (!/^\d/.test(x) || !/^\d/.test(y)) return x < y ? -1 : 1;
    if (Number(x) !== Number(y)) return Number(x) - Number(y);
  }
  return left.length - right.length || (a < b ? -1 : 1);
}

test('names that differ in a number only are compared as those are that must be taken apart', () => {
  const part = fc.constantFrom('a', 'b', '-', '0', '1', '9', '10', '007', '12345678901234567', '.');
  const text = fc.array(part, { maxLength: 6 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(text, text, (a, b) => assert.equal(Math.sign(compareNatural(a, b)), Math.sign(slowly(a, b)))),
    { numRuns: 5000 },
  );
});
