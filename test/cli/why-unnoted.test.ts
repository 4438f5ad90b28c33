// Attempts that are over, or not here, while their tasks lie in running/: status, why and stop say of them what is so.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { signalProcess } from '../../src/host/identity.ts';
import { parsePidFile } from '../../src/protocol/pid-file.ts';
import { type JobHands, readText, speak, withPlace } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';

const runnerOf = (job: JobHands, id: string) =>
  parsePidFile(readText(join(job.runDir(id), 'pid')) ?? '').runner ?? assert.fail('no runner');

describe('a task in running/', { concurrency: true }, () => {
  it('whose runner was killed, without a daemon: runs on while a process of it does, and then has ended', () =>
    withPlace({}, async (place) => {
      await place.start();
      const job = place.job('n').drop('x', { shell: 'echo begun; sleep 1000' });
      place.job('once').drop('x', { shell: 'echo begun; sleep 1000', on_lost: 'fail' });
      for (const name of ['n', 'once']) await place.job(name).says('x', 'begun');
      await place.kill9();
      for (const name of ['n', 'once']) assert.ok(signalProcess(runnerOf(place.job(name), 'x'), 'SIGKILL'));
      const ask = async (address: string) => (await place.spoold('why', address)).out;
      assert.match(
        await ask('n/x'),
        /^n\/x runs on, with \d processes, though the runner of its attempt 1 is dead and left no exit status; once that is over, the daemon calls it lost, and has it run again, .*; and it goes on, though no daemon serves/,
      );
      const before = await place.spoold('stop');
      assert.match(before.err, /these 2 tasks run on without a daemon, and the next one adopts them:\n {2}n\/x\n/);
      await waitUntil('nothing of it runs', () => {
        const all = ['n', 'once'].flatMap((name) => place.processesOf(place.job(name).runDir('x')));
        for (const live of all) signalProcess(live, 'SIGKILL');
        return all.length === 0;
      });
      assert.match(
        await ask('n/x'),
        /^n\/x has ended, nobody knows how: the runner of its attempt 1 is dead and left no exit status, and nothing else of it runs; the daemon calls it lost, and has it run again, three times in a row at most; and it stays so until there is a daemon/,
      );
      assert.match(await ask('once/x'), /the daemon calls it lost, and fails it \(on_lost: fail\); and it stays so/);
      const { out, err } = await place.spoold('stop');
      assert.match(out, /^No daemon was running/);
      assert.match(err, /^spoold: these 2 tasks have ended, and the next daemon notes .*:\n {2}n\/x\n {2}once\/x\n$/);
      await place.start();
      await place.job('once').comesTo('failed', 'x');
      await job.says('x', 'begun', 2);
      await place.spoold('stop', '--kill');
    }));

  it('of a copied directory is not the one that runs in the original', () =>
    withPlace({}, async (place) => {
      await place.start();
      const job = place.job('n').drop('x', { shell: 'echo begun; sleep 1000' });
      await job.says('x', 'begun');
      const copy = place.aside('copy');
      execFileSync('cp', ['-a', place.dir, copy]);
      const inCopy = (...args: string[]) => speak([...args, '--dir', copy], { cwd: place.root });
      assert.match(
        (await inCopy('why', 'n/x')).out,
        /^n\/x does not run here: its attempt 1 is one of the directory of which this is a copy; the daemon calls it lost/,
      );
      assert.match((await inCopy('status')).out, /n\/x {2}it does not run here: this directory is a copy/);
      assert.match((await inCopy('status', 'n/x')).out, /n\/x does not run here(.*\n)*.*this directory is a copy/);
      const { causes } = JSON.parse((await inCopy('why', 'n/x', '--json')).out) as { causes: object[] };
      const told = { attempt: 1, status: null, left: 0, copied: true, on_lost: 'retry' };
      assert.deepEqual(causes[0], { cause: 'not_noted', ...told });
      assert.match((await place.spoold('why', 'n/x')).out, /^n\/x runs for [^;]*, with \d processes\./);
      rmSync(copy, { recursive: true });
      await place.spoold('stop', '--kill');
    }));

  it('that was cancelled and takes its time to end was cancelled while it ran', () =>
    withPlace({}, async (place) => {
      await place.start();
      const go = place.aside('go');
      const shell = `trap 'echo asked' TERM; echo begun; until [ -e '${go}' ]; do sleep 0.05 || :; done`;
      const job = place.job('n').drop('x', { shell, kill_after: '1000s' });
      await job.says('x', 'begun');
      await place.spoold('cancel', 'n/x');
      await job.says('x', 'asked');
      const { out } = await place.spoold('why', 'n/x');
      const { username } = userInfo();
      assert.match(
        out,
        new RegExp(`^n/x was cancelled .* by ${username}, while it ran; and it is being ended, attempt 1`),
      );
      writeFileSync(go, '');
      await waitUntil('it has ended', () => !job.isClaimed('x'));
      assert.match((await place.spoold('why', 'n/x')).out, /^n\/x was cancelled .*, while it ran/);
    }));
});
