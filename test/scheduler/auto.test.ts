import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { autoSlots, type Pressure } from '../../src/scheduler/auto.ts';

const host = (load: number | undefined, memory?: number): Pressure => ({ cores: 8, load, memory });

/** The slots after each look at such a host. */
function follow(from: number | undefined, loads: readonly number[]): number[] {
  let slots = from;
  return loads.map((load) => (slots = autoSlots(slots, host(load)).slots));
}

test('a host that is not busy, or does not tell, has a slot for each core', () => {
  for (const pressure of [host(0, 0), host(8, 0), host(undefined, undefined), host(3, undefined)])
    assert.deepEqual(autoSlots(undefined, pressure), { slots: 8, heldBack: undefined });
});

test('under load the slots go down by quarters to one, and come back one by one', () => {
  assert.deepEqual(follow(undefined, Array(9).fill(13)), [6, 5, 4, 3, 2, 1, 1, 1, 1]);
  assert.deepEqual(follow(1, Array(8).fill(2)), [2, 3, 4, 5, 6, 7, 8, 8]);
});

test('between the marks they stay as they are, whichever way it went', () => {
  for (const slots of [1, 5, 8]) assert.deepEqual(follow(slots, [9, 10, 11.9, 9]), [slots, slots, slots, slots]);
});

test('memory holds back by itself, and one that is short keeps slots from coming back', () => {
  assert.equal(autoSlots(8, host(0, 10.1)).slots, 6);
  assert.equal(autoSlots(4, host(0, 5)).slots, 4);
  assert.equal(autoSlots(4, host(0, 1.9)).slots, 5);
});

test('it is said why there are fewer than cores', () => {
  assert.equal(autoSlots(8, host(13)).heldBack, '6 of 8 slots are used, to spare the host: its load is 13 on 8 cores');
  assert.equal(
    autoSlots(8, host(20, 30)).heldBack,
    '6 of 8 slots are used, to spare the host: its load is 20 on 8 cores, and processes wait 30% of the time for memory',
  );
  assert.equal(autoSlots(2, host(1)).heldBack, '3 of 8 slots are used, to spare the host: it was busy a moment ago');
});

test('whatever the host tells: at least one slot, never more than cores, and the same facts give the same', () => {
  const share = fc.option(fc.double({ min: 0, max: 200, noNaN: true }), { nil: undefined });
  fc.assert(
    fc.property(
      fc.option(fc.nat(1000), { nil: undefined }),
      fc.integer({ min: 1, max: 256 }),
      share,
      share,
      (before, cores, load, memory) => {
        const found = autoSlots(before, { cores, load, memory });
        assert.ok(found.slots >= 1 && found.slots <= cores);
        assert.equal(found.heldBack === undefined, found.slots === cores);
        assert.deepEqual(found, autoSlots(before, { cores, load, memory }));
      },
    ),
  );
});
