import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareNatural } from '../../src/protocol/names.ts';
import { compareQueued, Heap, LiveHeap, type Queued } from '../../src/scheduler/order.ts';

/** Ids that have trapped natural orders before: leading zeros, long numbers, words that read as numbers. */
const part = fc.constantFrom(
  '0',
  '00',
  '1',
  '01',
  '9',
  '10',
  '12345678901234567890',
  't',
  'Infinity',
  '+Infinity',
  '-Infinity',
  'NaN',
  '+',
  '-',
  '.',
  '+J',
  'e',
);
const id = fc.oneof(
  fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('')),
  fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._=+@:-]{0,9}$/),
);
const queued: fc.Arbitrary<Queued> = fc.record({
  id,
  priority: fc.integer({ min: -2, max: 2 }),
  queuedAt: fc.integer({ min: 0, max: 3 }),
});

test('ids have one order: it never depends on which two are compared first', () => {
  fc.assert(
    fc.property(id, id, id, (a, b, c) => {
      assert.equal(Math.sign(compareNatural(a, b)), -Math.sign(compareNatural(b, a)) + 0);
      assert.equal(compareNatural(a, b) === 0, a === b);
      if (compareNatural(a, b) < 0 && compareNatural(b, c) < 0)
        assert.ok(compareNatural(a, c) < 0, `${a} < ${b} < ${c}`);
    }),
    { numRuns: 20_000 },
  );
});

test('t2 goes before t10', () => {
  assert.deepEqual(['t10', 't2', 't1', 'a'].sort(compareNatural), ['a', 't1', 't2', 't10']);
});

test('of two waiting tasks the one of higher priority goes first, then the older, then the lower id; never neither', () => {
  fc.assert(
    fc.property(queued, queued, (a, b) => {
      const order = compareQueued(a, b);
      if (a.priority !== b.priority) assert.equal(order < 0, a.priority > b.priority);
      else if (a.queuedAt !== b.queuedAt) assert.equal(order < 0, a.queuedAt < b.queuedAt);
      else assert.equal(Math.sign(order), Math.sign(compareNatural(a.id, b.id)));
      if (a.id !== b.id) assert.notEqual(order, 0);
    }),
  );
});

test('a heap gives at any moment the least of what was put in and not yet taken out', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.integer({ min: 0, max: 20 }), { nil: undefined })), (steps) => {
      const heap = new Heap<number>((a, b) => a - b);
      const naive: number[] = [];
      for (const push of steps) {
        if (push === undefined) {
          naive.sort((a, b) => a - b);
          assert.equal(heap.peek(), naive[0]);
          assert.equal(heap.pop(), naive.shift());
        } else {
          heap.push(push);
          naive.push(push);
        }
        assert.equal(heap.size, naive.length);
      }
    }),
  );
});

test('entries that go stale anywhere in a heap do not pile up in it', () => {
  const live = new Set<number>([-10, -20]);
  const heap = new LiveHeap<number>(
    (a, b) => a - b,
    (n) => live.has(n),
  );
  heap.push(-10);
  heap.push(-20);
  for (let n = 0; n < 10_000; n++) {
    live.delete(n - 1);
    live.add(n);
    heap.push(n);
    assert.ok(heap.size <= 200, `${heap.size} entries, of which ${live.size} count`);
  }
  assert.deepEqual([heap.take(), heap.take(), heap.take(), heap.take()], [-20, -10, 9_999, undefined]);
});
