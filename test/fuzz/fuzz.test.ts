// A short run of the fuzzer, with the same files each time; `npm run fuzz` makes others, and more.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { fuzz } from './fuzz.ts';

test('two thousand files that nobody would write: the daemon stays, and says why of each that it rejects', async () => {
  // What a turn may take is for `npm run fuzz`, on a machine that does nothing else; here, what no machine makes of 150 ms.
  const { failures, cases, rejected, ran, spread } = await fuzz(2000, 7, 2_000);
  assert.deepEqual(failures, []);
  assert.equal(cases, 2000);
  assert.ok(rejected > 400 && ran > 200 && spread > 20, `${rejected} rejected, ${ran} ran, ${spread} of arrays`);
});

test('a number that is none is no short run in which all went well', () => {
  for (const [program, ...args] of [
    ['./main.js', '--cases', 'x'],
    ['../soak/soak.js', '--minutes', 'ten'],
  ]) {
    const script = fileURLToPath(new URL(program as string, import.meta.url));
    const { status, stderr } = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });
    assert.equal(status, 2);
    assert.match(stderr, /^usage: /);
  }
});
