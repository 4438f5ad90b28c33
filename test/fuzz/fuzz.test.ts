// A short run of the fuzzer, with the same files each time; `npm run fuzz` makes others, and more.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz } from './fuzz.ts';

test('two thousand files that nobody would write: the daemon stays, and says why of each that it rejects', async () => {
  // What a turn may take is for `npm run fuzz`, on a machine that does nothing else; here, what no machine makes of 150 ms.
  const { failures, cases, rejected, ran } = await fuzz(2000, 7, 2_000);
  assert.deepEqual(failures, []);
  assert.equal(cases, 2000);
  assert.ok(rejected > 400 && ran > 200, `${rejected} rejected, ${ran} ran`);
});
