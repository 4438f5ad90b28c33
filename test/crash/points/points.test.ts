import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generator } from '../../helpers/random.ts';
import { cutPower, record } from './power.ts';
import { crash } from './run.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';

// The short version of `npm run crash`: the whole of it takes many minutes.

const scenario = (name: string): Scenario => SCENARIOS.find((one) => one.name === name) as Scenario;
const told = (outcome: { violations: string[]; story: string[] }) => [...outcome.violations, ...outcome.story];

test('a daemon that dies at any of its changes, from its first to its last, is followed by one that finishes', async (t) => {
  const whole = await crash({ scenario: scenario('success'), mode: 'daemon' });
  assert.deepEqual(whole.violations, []);
  const changes = whole.changes[0] ?? 0;
  assert.ok(changes > 30, `a task takes ${changes} changes`);
  let crashes = 0;
  const points = Array.from({ length: changes }, (_, i) => i + 1);
  const worker = async (): Promise<void> => {
    for (let point = points.shift(); point !== undefined; point = points.shift()) {
      const outcome = await crash({ scenario: scenario('success'), mode: 'daemon', points: [point] });
      assert.deepEqual(outcome.violations, [], told(outcome).join('\n'));
      crashes += outcome.crashes;
    }
  };
  await Promise.all([worker(), worker()]);
  t.diagnostic(`${crashes} crashes`);
  assert.ok(crashes > 30, `only ${crashes} of ${changes} crashes came about`);
});

test('the harness sees two operations that are in the wrong order', async () => {
  const swapped = { scenario: scenario('success'), mode: 'daemon', sabotage: 'unlink before link' } as const;
  const { trace } = await crash(swapped);
  const unlinked = trace.find(({ op, path }) => op === 'unlink' && path?.endsWith('/running/x.json'));
  // It comes to no end, so all of its patience is used up: more of it only where the machine is too busy to crash by then.
  for (const patience of [15_000, 60_000, 300_000]) {
    const { crashes, violations } = await crash({ ...swapped, points: [(unlinked?.n ?? 0) + 1], patience });
    if (crashes === 0 && patience < 300_000) continue;
    assert.equal(crashes, 1);
    assert.ok(violations.includes('j/x is in no folder'), violations.join('\n'));
    return;
  }
});

test('whatever a power cut leaves of an acknowledged task, it is there', async () => {
  const add = scenario('add');
  const recorded = await record(add);
  const { states, violations } = await cutPower(add, recorded, { most: 100, random: generator(1) });
  assert.ok(states > 50, `${states} states`);
  assert.deepEqual(violations, []);
  const unsafe = await cutPower(add, recorded, { most: 40, random: generator(1), withoutSyncs: true });
  assert.ok(unsafe.violations.length > 0, 'without syncs something is missing, and the harness sees it');
});
