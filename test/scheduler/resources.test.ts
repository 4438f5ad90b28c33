import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Amount, Holdings, Resources } from '../../src/protocol/resources.ts';
import { Pools, type Request, requestOf } from '../../src/scheduler/resources.ts';

const pieces = (n: number): Amount => ({ unit: 'pieces', n });
const bytes = (n: number): Amount => ({ unit: 'bytes', n });
const request = (amounts: Record<string, Amount>): Request => requestOf(new Map(Object.entries(amounts))) as Request;

test('tasks that ask for the same have one key, in whatever order they say it; one that asks for nothing has none', () => {
  const one = request({ gpu: pieces(1), mem: bytes(4) });
  assert.equal(one.key, request({ mem: bytes(4), gpu: pieces(1) }).key);
  assert.notEqual(request({ a: pieces(4) }).key, request({ a: bytes(4) }).key);
  assert.equal(requestOf(new Map()), undefined);
});

const amounts = fc
  .record({ gpu: fc.integer({ min: 0, max: 3 }), licence: fc.integer({ min: 0, max: 2 }), mem: fc.nat(9) })
  .map(({ gpu, licence, mem }): Resources => {
    const all = new Map<string, Amount>();
    if (gpu > 0) all.set('gpu', pieces(gpu));
    if (licence > 0) all.set('licence', pieces(licence));
    if (mem > 0) all.set('mem', bytes(mem));
    return all;
  });

test('whatever is handed out, given back, and counted again after a restart: no index twice, no more than there is', () => {
  const step = fc.oneof(fc.record({ ask: amounts }), fc.record({ giveBack: fc.nat() }), fc.record({ supply: amounts }));
  fc.assert(
    fc.property(amounts, fc.array(step, { maxLength: 40 }), (first, steps) => {
      let supply = first;
      let live: Holdings[] = [];
      for (const what of steps) {
        if ('supply' in what) supply = what.supply;
        else if ('giveBack' in what) live = live.filter((_, at) => at !== what.giveBack % live.length);
        else {
          const asked = requestOf(what.ask);
          const pools = new Pools(supply, live); // as a daemon that has just started
          if (asked === undefined || !pools.fits(asked)) continue;
          live.push(pools.take(asked));
          check(supply, live, asked);
        }
      }
    }),
  );
});

/** After something was handed out: of what was asked for, there is enough, and nothing has two holders. */
function check(supply: Resources, live: readonly Holdings[], { parts }: Request): void {
  for (const { name, unit, n } of parts) {
    const total = supply.get(name)?.n ?? 0;
    const held = live.flatMap((holdings) => holdings.get(name) ?? []);
    if (unit === 'bytes') assert.ok(held.reduce((sum, one) => sum + one, 0) <= total);
    else {
      assert.equal(new Set(held).size, held.length, `${name}: ${held.join()}`);
      assert.ok(held.length <= total);
      const own = live.at(-1)?.get(name) as readonly number[];
      assert.equal(own.length, n);
      assert.ok(own.every((index) => index >= 0 && index < total));
    }
  }
}

test('indexes are handed out lowest first', () => {
  const pools = new Pools(new Map([['gpu', pieces(4)]]), [new Map([['gpu', [1]]])]);
  assert.deepEqual(pools.take(request({ gpu: pieces(2) })).get('gpu'), [0, 2]);
  assert.deepEqual(pools.take(request({ gpu: pieces(1) })).get('gpu'), [3]);
  assert.equal(pools.fits(request({ gpu: pieces(1) })), false);
});

test('what is held beyond a config that has shrunk counts until it is given back', () => {
  const held: Holdings = new Map([['gpu', [2, 3]]]);
  const pools = new Pools(new Map([['gpu', pieces(2)]]), [held]);
  assert.equal(pools.fits(request({ gpu: pieces(1) })), false);
  assert.equal(new Pools(new Map([['gpu', pieces(3)]]), [held]).fits(request({ gpu: pieces(1) })), true);
});

test('of what lacks it is told how much is asked for, is free, and is there in all', () => {
  const pools = new Pools(
    new Map<string, Amount>([
      ['gpu', pieces(2)],
      ['mem', bytes(16e9)],
    ]),
    [
      new Map<string, number[] | number>([
        ['gpu', [0]],
        ['mem', 10e9],
      ]),
    ],
  );
  const lacking = (amount: Record<string, Amount>) => pools.lacking(request(amount));
  assert.deepEqual(lacking({ gpu: pieces(1), mem: bytes(6e9) }), []);
  assert.deepEqual(lacking({ gpu: pieces(2), mem: bytes(8e9), tape: pieces(1) }), [
    { name: 'gpu', asked: pieces(2), free: 1, total: 2 },
    { name: 'mem', asked: bytes(8e9), free: 6e9, total: 16e9 },
    { name: 'tape', asked: pieces(1), free: 0, total: 0 },
  ]);
});
