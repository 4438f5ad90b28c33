import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import { type ProcessInfo, lookAtProcesses, readProcess, signalProcess } from '../../src/host/identity.ts';
import { RUN_DIR_VARIABLE, membersOf, signalMembers } from '../../src/runner/ending.ts';
import { sampleUsage } from '../../src/runner/usage.ts';
import { waitUntil } from '../helpers/wait-until.ts';
import { type Attempt, KINDS, Served, program } from './attempts.ts';

function look(attempt: Attempt): ProcessInfo[] {
  const runner = attempt.runner;
  return membersOf(lookAtProcesses(RUN_DIR_VARIABLE), { runDir: attempt.runDir, ...(runner && { runner }) });
}

/** Signals until nothing is left, as whoever ends an attempt does. */
async function endAll(attempt: Attempt, signal: NodeJS.Signals): Promise<void> {
  const left = () => {
    const members = look(attempt);
    signalMembers(members, signal);
    return members;
  };
  await waitUntil(`the end of ${attempt.runDir}`, () => left().length === 0, left);
}

for (const kind of KINDS) {
  test(`an attempt's processes are found whatever group they made, and ended without its runner (${kind})`, async (context) => {
    const served = new Served(kind);
    context.after(() => served.end());
    const script = 'setsid sleep 60 & timeout 60 sleep 60 & env -i sleep 60 & echo ready; wait';
    const attempt = served.start(['sh', '-c', script]);
    await attempt.line();
    const commands = () => look(attempt).map((member) => member.comm);
    const expected = ['sh', 'sleep', 'sleep', 'sleep', 'timeout'];
    await waitUntil('all of them', () => commands().sort().join() === expected.join(), commands);
    assert.ok(!look(attempt).some((member) => member.pid === attempt.runner?.pid));
    await endAll(attempt, 'SIGTERM');
    assert.equal(await attempt.status(), 143);
  });

  test(`what is left of an attempt whose runner was killed is still found (${kind})`, async (context) => {
    const served = new Served(kind);
    context.after(() => served.end());
    const attempt = served.start([program('ignore-term')]);
    await attempt.line();
    assert.ok(attempt.runner);
    signalProcess(attempt.runner, 'SIGKILL');
    await served.launcher.sync();
    const commands = () => look(attempt).map((member) => member.comm);
    await waitUntil('its command', () => commands().join() === 'sleep', commands);
    signalMembers(look(attempt), 'SIGTERM');
    assert.equal(look(attempt).length, 1);
    await endAll(attempt, 'SIGKILL');
    assert.equal(attempt.lastWord, undefined);
  });

  test(`a stopped command receives TERM (${kind})`, async (context) => {
    const served = new Served(kind);
    context.after(() => served.end());
    const attempt = served.start(['sh', '-c', 'echo $$; kill -STOP $$']);
    const pid = Number(await attempt.line());
    const state = () => readProcess(pid)?.state;
    await waitUntil('a stopped command', () => state() === 'T', state);
    await endAll(attempt, 'SIGTERM');
    assert.equal(await attempt.status(), 143);
  });
}

test('two attempts do not see each other, and a stranger belongs to neither', async (context) => {
  const served = new Served();
  const stranger = spawn('sleep', ['60'], { stdio: 'ignore' });
  context.after(() => {
    stranger.kill();
    served.end();
  });
  const attempts = [1, 2].map(() => served.start(['sh', '-c', 'echo $$; exec sleep 60']));
  const pids = await Promise.all(attempts.map(async (attempt) => Number(await attempt.line())));
  for (const [index, attempt] of attempts.entries()) {
    assert.deepEqual(
      look(attempt).map((member) => member.pid),
      [pids[index]],
    );
    await endAll(attempt, 'SIGTERM');
  }
  assert.equal(readProcess(stranger.pid ?? 0)?.comm, 'sleep');
});

test('a log that was deleted does not hide the processes', async (context) => {
  const served = new Served();
  context.after(() => served.end());
  const attempt = served.start(['sh', '-c', 'echo ready; exec sleep 60']);
  await attempt.line();
  rmSync(attempt.runDir, { recursive: true });
  await endAll(attempt, 'SIGTERM');
});

test('neither this process nor its group is ever signalled', () => {
  const own = readProcess(process.pid);
  assert.ok(own);
  assert.equal(signalMembers([own], 'SIGKILL'), 0);
  assert.equal(signalMembers([{ ...own, pid: 1, pgid: 1 }], 'SIGKILL'), 0);
});

test('usage is sampled for those that are there', async () => {
  const usage = await sampleUsage([process.pid, 999_999_999]);
  assert.deepEqual([...usage.keys()], [process.pid]);
  assert.ok((usage.get(process.pid)?.rssBytes ?? 0) > 1_000_000);
  const [first, second] = await Promise.all([sampleUsage([process.pid]), sampleUsage([])]);
  assert.deepEqual([first.size, second.size], [1, 0]);
});

test('what a runner had forked when it was killed, and that is not its command yet, belongs to the attempt', () => {
  const runner = { pid: 100, startTicks: 50 };
  const base = { comm: 'spoold-launcher', state: 'R', ppid: 1, session: 100, startTicks: 51 };
  const forked = { ...base, pid: 101, pgid: 101 };
  const others = [
    { ...base, pid: 102, pgid: 102, session: 102 }, // another runner
    { ...base, pid: 103, pgid: 103, comm: 'bash' }, // somebody's who has the number of the session
  ];
  const found = (...more: ProcessInfo[]): number[] => {
    const byPid = new Map([forked, ...others, ...more].map((entry) => [entry.pid, entry]));
    return membersOf({ byPid, takenAt: 100 }, { runDir: '/nowhere', runner }).map(({ pid }) => pid);
  };
  assert.deepEqual(found(), [101]);
  assert.deepEqual(
    found({ ...base, ...runner, pgid: 100, state: 'Z' }),
    [101, 103],
    'nobody has waited for the runner yet: the session is its own',
  );
  assert.deepEqual(found({ ...base, pid: 100, pgid: 100, startTicks: 60 }), [], 'the number is another process by now');
});
