import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { GroupSync } from '../../src/daemon/sync.ts';
import type { World } from '../../src/daemon/world.ts';

test('what waits for a sync that nobody answers is done after another one', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const answers: (() => void)[] = [];
  let done = 0;
  const waiting: (() => void)[] = [() => void (done += 1)];
  const world = {
    unsynced: true,
    launcher: { sync: () => new Promise<void>((resolve) => answers.push(resolve)) },
    log: { warn: () => undefined },
    wake: { now: () => undefined },
    takeWhenSynced: () => waiting.splice(0),
    afterSync: (action: () => void) => waiting.push(action),
  };
  new GroupSync(world as unknown as World).maybe();
  assert.equal(answers.length, 1);
  t.mock.timers.tick(60_000);
  await turn();
  assert.equal(answers.length, 2);
  assert.equal(done, 0);
  answers[1]?.();
  await turn();
  assert.equal(done, 1);
});
