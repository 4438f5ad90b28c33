import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../protocol/root.ts';
import { readText } from '../../helpers/place.ts';
import { generator } from '../../helpers/random.ts';
import { cutPower, record, recoverKept, type Violation } from './power.ts';
import { failureText } from './report.ts';
import { crash, type CrashPlan } from './run.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';

// The short version of `npm run crash`: the whole of it takes many minutes.

const scenario = (name: string): Scenario => SCENARIOS.find((one) => one.name === name) as Scenario;

/** Two at a time. */
async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const worker = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all([worker(), worker()]);
}

const upTo = (most: number): number[] => Array.from({ length: most }, (_, i) => i + 1);

/** Gives how often it came to the crash. */
async function crashedWell(plan: CrashPlan): Promise<number> {
  const outcome = await crash(plan);
  assert.deepEqual(outcome.violations, [], failureText(plan, outcome));
  return outcome.crashes;
}

test('every call by which a disk is changed is one that the harness numbers', () => {
  const source = readText(join(projectRoot(), 'src', 'host', 'atomic.ts')) ?? '';
  const imported = [...source.matchAll(/^import \{([^}]+)\} from '(node:fs|node:child_process)';/gm)];
  const calls = imported.flatMap(([, names = '']) => names.split(',').map((name) => name.trim()));
  const onlyLook = /^(type .*|constants|fstatSync|lstatSync|opendirSync|readdirSync|readFileSync|)$/;
  // A new file's mode is no more than what the umask leaves, before as well.
  const changing = calls.filter((name) => !onlyLook.test(name) && name !== 'fchmodSync');
  assert.ok(changing.length > 10, changing.join(', '));
  const preload = readText(join(projectRoot(), 'test', 'crash', 'points', 'preload.ts')) ?? '';
  assert.deepEqual(
    changing.filter((name) => !preload.includes(`patched['${name}'] =`)),
    [],
  );
});

test('a daemon that dies at any of its changes, from its first to its last, is followed by one that finishes', async (t) => {
  const whole = await crash({ scenario: scenario('success'), mode: 'daemon' });
  assert.deepEqual(whole.violations, []);
  const changes = whole.changes[0] ?? 0;
  assert.ok(changes > 30, `a task takes ${changes} changes`);
  let crashes = 0;
  await each(upTo(changes), async (point) => {
    const come = await crashedWell({ scenario: scenario('success'), mode: 'daemon', points: [point] });
    crashes += come;
  });
  t.diagnostic(`${crashes} crashes`);
  assert.ok(crashes > 30, `only ${crashes} of ${changes} crashes came about`);
});

test('in every other scenario a daemon that dies at one change of twenty is followed by one that finishes', async (t) => {
  let crashes = 0;
  await each([...SCENARIOS.entries()], async ([index, one]) => {
    // Each begins elsewhere. Where the scenario is over before it comes to the next one, it has been run whole.
    for (let point = 1 + ((index * 7) % 20), more = index > 0; more; point += 20) {
      const come = await crashedWell({ scenario: one, mode: 'daemon', points: [point] });
      crashes += come;
      more = come > 0;
    }
  });
  t.diagnostic(`${crashes} crashes`);
  assert.ok(crashes > 40, `only ${crashes} crashes came about`);
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
  const points = commandChanges.reduce((sum, n) => sum + n, 0);
  assert.ok(points > 10, `submit takes ${points} changes`);
  let crashes = 0;
  await each(upTo(points), async (point) => {
    const come = await crashedWell({ ...archiving, points: [point] });
    crashes += come;
  });
  assert.ok(crashes > 10, `it was held up ${crashes} times`);
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
