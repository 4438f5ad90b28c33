import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  isOfThisBoot,
  livenessOf,
  lookAtProcesses,
  ownIdentity,
  readProcess,
  signalProcess,
  wasDeadIn,
} from '../../src/host/identity.ts';
import { waitUntil } from '../helpers/wait-until.ts';

const own = ownIdentity();

test('this process is alive', () => {
  assert.equal(livenessOf(own), 'alive');
});

test('the same PID with another start time is another process: the first is dead', () => {
  assert.equal(livenessOf({ ...own, startTicks: own.startTicks + 1 }), 'dead');
});

test('only another boot of the same host proves death, and only the same PID namespace within one boot', () => {
  assert.equal(livenessOf({ ...own, host: 'elsewhere', boot: 'another' }), 'unknown');
  assert.equal(livenessOf({ ...own, host: 'its name before' }), 'alive');
  assert.equal(livenessOf({ ...own, pidns: '1' }), 'unknown');
  assert.equal(livenessOf({ ...own, boot: 'another' }), 'dead');
  assert.deepEqual([isOfThisBoot(own), isOfThisBoot({ ...own, boot: 'another' })], [true, false]);
});

test('a zombie is dead', async (context) => {
  const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] });
  context.after(() => parent.kill());
  const [text] = (await once(parent.stdout, 'data')) as [Buffer];
  const child = readProcess(Number(text.toString())) ?? assert.fail('no child');
  const parentNow = () => readProcess(parent.pid ?? 0)?.comm;
  await waitUntil('a parent that reaps nothing', () => parentNow() === 'sleep', parentNow);
  assert.equal(livenessOf({ ...own, ...child }), 'alive');
  signalProcess(child, 'SIGKILL');
  const state = () => readProcess(child.pid)?.state;
  await waitUntil('a zombie', () => state() === 'Z', state);
  assert.equal(livenessOf({ ...own, ...child }), 'dead');
});

test('a program with spaces, parentheses and newlines in its name is read aright', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'spoold-identity-'));
  const odd = join(folder, 'a) S 1\n(b');
  copyFileSync('/bin/sleep', odd);
  const child = spawn(odd, ['60'], { stdio: 'ignore', detached: true });
  context.after(() => {
    child.kill();
    rmSync(folder, { recursive: true });
  });
  const pid = child.pid ?? 0;
  const info = await waitUntil(
    'its name',
    () => [readProcess(pid)].find((found) => found?.comm === 'a) S 1\n(b'),
    () => readProcess(pid),
  );
  assert.deepEqual([info.pid, info.ppid, info.pgid, info.session], [pid, process.pid, pid, pid]);
});

test('a look finds processes by a variable of their first environment, at its start, middle and end', async (context) => {
  const environments = [
    { MARK: 'one', A: '' },
    { A: '', MARK: 'two', B: '' },
    { XMARK: 'no', MARK: 'a=b\nc' },
    { XMARK: 'no' },
  ];
  const children = environments.map((env) => spawn('/bin/sleep', ['60'], { env, stdio: 'ignore' }));
  context.after(() => children.forEach((child) => child.kill()));
  const values = () => {
    const { byPid } = lookAtProcesses('MARK');
    return children.map((child) => byPid.get(child.pid ?? 0)?.value);
  };
  const expected = ['one', 'two', 'a=b\nc', undefined];
  await waitUntil('the values', () => JSON.stringify(values()) === JSON.stringify(expected), values);
});

test('a look tells what a dead process had forked only if it was taken after its death, not before its birth or while it lived', async (context) => {
  const before = lookAtProcesses('MARK');
  const child = spawn('/bin/sleep', ['60'], { stdio: 'ignore' });
  context.after(() => child.kill());
  const found = readProcess(child.pid ?? 0);
  assert.ok(found !== undefined);
  assert.equal(wasDeadIn(before, found), false);
  assert.equal(wasDeadIn(lookAtProcesses('MARK'), found), false);
  child.kill('SIGKILL');
  await once(child, 'exit');
  await waitUntil('a later look has it dead', () => wasDeadIn(lookAtProcesses('MARK'), found));
});

test('a shell without the variable is known by its standard output', async (context) => {
  const shell = spawn('/bin/sh', ['-c', 'read -r line'], { env: {}, stdio: ['pipe', 'ignore', 'ignore'] });
  context.after(() => shell.kill());
  const entry = () => lookAtProcesses('MARK').byPid.get(shell.pid ?? 0);
  await waitUntil('its standard output', () => entry()?.stdout === '/dev/null', entry);
});

test('a signal reaches only the process that was meant', async () => {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  const { startTicks } = readProcess(child.pid ?? 0) ?? assert.fail('no child');
  const id = { pid: child.pid ?? 0, startTicks };
  assert.equal(signalProcess({ ...id, startTicks: startTicks + 1 }, 'SIGKILL'), false);
  assert.equal(signalProcess(id, 'SIGTERM'), true);
  assert.deepEqual(await once(child, 'exit'), [null, 'SIGTERM']);
  assert.equal(signalProcess(id, 'SIGTERM'), false);
});
