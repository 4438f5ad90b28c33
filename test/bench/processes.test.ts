// What the bench says of a process's time on a core, against what that process says of itself.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { cpuMs } from '../../bench/processes.ts';

/** Has a thread compute for 300 ms, waits until it has ended, and says what all of it took. */
const PROGRAM = `
const { Worker } = require('node:worker_threads');
const busy = 'const { user } = process.cpuUsage(); while (process.cpuUsage().user - user < 300_000);';
new Worker(busy, { eval: true }).on('exit', () => {
  const { user, system } = process.cpuUsage();
  console.log((user + system) / 1000);
  process.stdin.resume();
});`;

test('the time of a process has that of its threads that have ended', async (t) => {
  const child = spawn(process.execPath, ['-e', PROGRAM], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  for await (const line of createInterface({ input: child.stdout })) {
    const own = Number(line);
    assert.ok(own >= 300);
    assert.ok(cpuMs(child.pid as number) >= own - 20, `${cpuMs(child.pid as number)} ms of ${own}`);
    return;
  }
  assert.fail('it said nothing');
});
