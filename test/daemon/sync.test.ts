import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { GroupSync } from '../../src/daemon/sync.ts';
import type { World } from '../../src/daemon/world.ts';
import { waitUntil } from '../helpers/wait-until.ts';

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

test('what waits for a sync that fails is done after the next that does not, and the failure is told once', async () => {
  const answers: { resolve(): void; reject(error: Error): void }[] = [];
  const warnings: string[] = [];
  let done = 0;
  let waiting: (() => void)[] = [() => void (done += 1)];
  const world = {
    unsynced: true,
    launcher: { sync: () => new Promise<void>((resolve, reject) => answers.push({ resolve, reject })) },
    log: { warn: (_: string, { error }: { error: string }) => warnings.push(error) },
    wake: { now: () => undefined },
    takeWhenSynced: () => {
      const actions = waiting;
      waiting = [];
      return actions;
    },
    afterSync: (action: () => void) => waiting.push(action),
  };
  const sync = new GroupSync(world as unknown as World);
  for (let round = 0; round < 3; round++) {
    await waitUntil('a sync', () => (sync.maybe(), answers.length > round));
    assert.equal(done, 0);
    if (round < 2) answers[round]?.reject(new Error('no space'));
    else answers[round]?.resolve();
    await turn();
  }
  assert.equal(done, 1);
  assert.deepEqual(warnings, ['no space']);
});
