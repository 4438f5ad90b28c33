import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { generator } from '../../helpers/random.ts';
import { cutPower, record, recoverKept, type Violation } from './power.ts';
import { failureText } from './report.ts';
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
  const point = (unlinked?.n ?? 0) + 1;
  const plan = { ...swapped, points: [point], patience: 15_000 };
  const outcome = await crash(plan);
  assert.equal(outcome.crashes, 1);
  assert.ok(outcome.violations.includes('j/x is in no folder'), outcome.violations.join('\n'));
  const text = failureText(plan, outcome);
  assert.match(text, new RegExp(`VIOLATION in success, daemon, --point ${point}\n`));
  assert.match(text, new RegExp(`crash 1 instead of change ${point}: create jobs/j/succeeded/x.json\n`));
  assert.match(text, / {4}jobs\/j\/running\/x.run {2}→ ..\/runs\/x.1\n/, 'the tree that it left');
  const again = `npm run crash -- --scenario 'success' --mode 'daemon' --point ${point} --sabotage 'unlink before link'`;
  assert.ok(text.endsWith(`again: ${again}`), text);
});

test('what is added while submit archives a finished job of that name runs, and runs once', async () => {
  const archiving = { scenario: scenario('add while archiving'), mode: 'rival' } as const;
  const { commandChanges } = await crash(archiving);
  const points = Array.from({ length: commandChanges.reduce((sum, n) => sum + n, 0) }, (_, i) => i + 1);
  assert.ok(points.length > 8, `submit takes ${points.length} changes`);
  let crashes = 0;
  const worker = async (): Promise<void> => {
    for (let point = points.shift(); point !== undefined; point = points.shift()) {
      const outcome = await crash({ ...archiving, points: [point] });
      assert.deepEqual(outcome.violations, [], told(outcome).join('\n'));
      crashes += outcome.crashes;
    }
  };
  await Promise.all([worker(), worker()]);
  assert.ok(crashes > 8, `it was held up ${crashes} times`);
});

test('whatever a power cut leaves of an acknowledged task, it is there', async () => {
  const add = scenario('add');
  const recorded = await record(add);
  const { states, violations } = await cutPower(add, recorded, { most: 100, random: generator(1) });
  assert.ok(states > 50, `${states} states`);
  assert.deepEqual(violations, []);
  const unsafe = await cutPower(add, recorded, { most: 40, random: generator(1), withoutSyncs: true });
  assert.ok(unsafe.violations.length > 0, 'without syncs something is missing, and the harness sees it');
  const { file } = unsafe.violations[0] as Violation;
  const again = await recoverKept(file);
  assert.ok(again.length > 0, 'a state that was kept is recovered from once more, and judged the same');
  for (const kept of [...unsafe.violations, ...again]) rmSync(dirname(kept.file), { recursive: true, force: true });
});
