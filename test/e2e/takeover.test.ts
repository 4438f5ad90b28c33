// Who serves: of two daemons one, whatever namespaces they are in, and whoever is frozen while another takes his place
// writes nothing once he is woken. In namespaces of their own, where this host lets us make them.
// SPOOLD_TEST_LONG=1 tries all that is a sample here, and waits as long as it takes.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { ownIdentity, readProcess } from '../../src/host/identity.ts';
import { LOCK_STALE_MS } from '../../src/store/daemon-record.ts';
import { describeOp, readTrace } from '../crash/points/trace.ts';
import { isThere, lives, type Place, readText, withPlace } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';

const isLong = process.env['SPOOLD_TEST_LONG'] === '1';

/** Another container, as far as PIDs and sockets go: its processes are seen from here, ours not from there. */
const CONTAINER = ['unshare', '--pid', '--net', '--mount-proc', '--kill-child'];
/** Where our abstract sockets are not to be seen, and nothing else is different. */
const APART = ['unshare', '--net'];
const isAllowed = spawnSync('unshare', [...CONTAINER.slice(1), 'true']).status === 0;
const inContainers = { skip: isAllowed ? false : 'this host makes no namespaces for us' };

const inPlace = (run: (place: Place) => Promise<void>, options = {}) =>
  withPlace({ config: 'max_parallel: 4\n', ...options }, run);

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;
const untilEnded = (child: ChildProcess): Promise<true> => waitUntil('it has ended', () => hasEnded(child));
const isFrozen = (pid: number): boolean => readProcess(pid)?.state === 'T';

/** As if nobody had touched it for so many milliseconds. */
function setLockAge(place: Place, age: number): void {
  const then = (Date.now() - age) / 1000;
  utimesSync(place.at('daemon.lock'), then, then);
}

function identityIn(place: Place): { pid: number; pidns: string } {
  return (JSON.parse(readFileSync(place.at('daemon.json'), 'utf8')) as { identity: { pid: number; pidns: string } })
    .identity;
}

/** All that the directory holds, but for what a daemon that serves rewrites all the time. */
function contents(place: Place): string[] {
  const names = readdirSync(place.dir, { recursive: true, encoding: 'utf8' }).sort();
  return names.flatMap((name) => {
    if (/^(daemon\.|events\.ndjson|.*state\.json)/.test(name)) return [];
    const stat = lstatSync(place.at(name));
    if (stat.isSymbolicLink()) return [`${name} → ${readlinkSync(place.at(name))}`];
    return [stat.isDirectory() ? `${name}/` : `${name} ${stat.ino} ${readFileSync(place.at(name), 'utf8')}`];
  });
}

/** One try: which of them serves, once the other has ended. */
async function race(place: Place, other: string[]): Promise<ChildProcess> {
  const told = place.log.length;
  const racers = [place.spawnDaemon([]), place.spawnDaemon(other)];
  const [server] = await waitUntil(
    'one serves, and the other has ended',
    () => {
      const serving = racers.filter(({ child, said }) => said().includes(' serves ') && !hasEnded(child));
      return serving.length === 1 && racers.some(({ child }) => hasEnded(child)) ? serving : undefined;
    },
    () => [racers.map(({ child, said }) => [child.exitCode, said()]), place.log.slice(-2000)],
  );
  const loser = racers.find((racer) => racer !== server)?.child;
  assert.deepEqual([loser?.exitCode, loser?.signalCode], [1, null]);
  const named = /(?:Daemon (\d+)|Another daemon) serves/.exec(place.log.slice(told)) ?? assert.fail(place.log);
  assert.ok(
    named[1] === undefined || Number(named[1]) === server?.child.pid,
    `${named[0]}, and ${server?.child.pid} does`,
  );
  return server?.child as ChildProcess;
}

describe('two daemons started in the same moment', () => {
  const tries = isLong ? 100 : 4;
  test(`one serves, and the other says who, ${tries} times of ${tries}, over the lock of a killed one too`, () =>
    inPlace(async (place) => {
      for (let n = 0; n < tries; n++) {
        const server = await race(place, []);
        assert.equal(identityIn(place).pid, server.pid);
        await place.job('a').drop(`x${n}`, { command: 'true' }).comesTo('succeeded', `x${n}`);
        place.daemon = server;
        await place.end(n % 2 === 0 ? 'SIGKILL' : 'SIGTERM');
      }
    }));

  test('one serves also where neither sees the socket of the other', inContainers, () =>
    inPlace(async (place) => {
      for (let n = 0; n < (isLong ? 50 : 2); n++) {
        const server = await race(place, APART);
        assert.equal(identityIn(place).pid, server.pid);
        place.daemon = server;
        await place.end('SIGKILL');
      }
    }),
  );
});

describe('a daemon that is frozen', { concurrency: true }, () => {
  test('keeps its place in its own container, and goes on when it is woken', async () =>
    inPlace(async (place) => {
      const daemon = await place.start();
      await place.job('a').drop('x', { command: 'true' }).comesTo('succeeded', 'x');
      daemon.kill('SIGSTOP');
      await waitUntil('it is frozen', () => isFrozen(daemon.pid as number));
      if (isLong) await pause(LOCK_STALE_MS + 2_000);
      place.job('a').drop('y', { command: 'true' });
      const { status, err } = await place.spoold('start', '--foreground');
      assert.equal(status, 1);
      assert.match(err, new RegExp(`Daemon ${daemon.pid} serves`));
      daemon.kill('SIGCONT');
      await place.job('a').comesTo('succeeded', 'y');
      assert.equal(hasEnded(daemon), false);
    }));

  test('while one in another container takes its place: woken, it ends without a change', inContainers, () =>
    inPlace(async (place) => {
      const frozen = await place.start();
      const job = place.job('a');
      job.drop('x', { command: 'true' }).drop('later', { command: 'true', not_before: '2099-01-01T00:00:00Z' });
      await job.comesTo('succeeded', 'x');
      frozen.kill('SIGSTOP');
      await waitUntil('it is frozen', () => isFrozen(frozen.pid as number));
      setLockAge(place, 10 * LOCK_STALE_MS);
      await place.start(CONTAINER);
      await job.drop('y', { command: 'true' }).comesTo('succeeded', 'y');
      job.move('later', 'pending', 'cancelled'); // a hint that the frozen one finds when it is woken
      job.drop('z', { shell: `echo "$SPOOLD_ATTEMPT" >>'${place.aside('account')}'` });
      await job.comesTo('succeeded', 'z');
      await waitUntil('the succeeded are thinned', () => !readdirSync(job.runDir('z')).includes('run'));
      await pause(6_000); // whoever is held up for less has not lost his place
      const before = contents(place);
      frozen.kill('SIGCONT');
      await untilEnded(frozen);
      assert.equal(frozen.exitCode, 1);
      assert.match(place.log, /another daemon has taken the directory/);
      assert.deepEqual(contents(place), before);
      assert.notEqual(identityIn(place).pidns, ownIdentity().pidns);
      await job.drop('last', { command: 'true' }).comesTo('succeeded', 'last');
      assert.deepEqual(place.lines('account'), ['1']);
    }),
  );

  test(
    'at any change it is about to make: woken, it makes that one and no other, and nothing runs twice',
    inContainers,
    async () => {
      const preload = new URL('../crash/points/preload.js', import.meta.url).href;
      const env: Record<string, string | undefined> = {};
      /** Has the daemon frozen at its nth change, another take its place, and the first woken. False if it had done its work before. */
      const tryAt = async (at: number): Promise<boolean> => {
        let wasFrozen = false;
        await inPlace(
          async (place) => {
            const job = place.job('a');
            job.drop('x', { shell: `echo "$SPOOLD_ATTEMPT" >>'${place.aside('account')}'` });
            const trace = place.aside('trace');
            env['CRASH_POINTS'] = JSON.stringify({ root: place.dir, trace, at, freeze: true });
            env['NODE_OPTIONS'] = `--import=${preload}`;
            const { child: frozen } = place.spawnDaemon();
            const isDone = () =>
              job.isIn('succeeded', 'x') && !job.isClaimed('x') && !isThere(join(job.runDir('x'), 'run'));
            await waitUntil(
              'it is frozen, or done',
              () => isFrozen(frozen.pid as number) || isDone(),
              () => place.log,
            );
            delete env['CRASH_POINTS'];
            delete env['NODE_OPTIONS'];
            if (isDone()) return void (await place.end('SIGKILL')); // it may freeze now, and then hears nothing else
            wasFrozen = true;
            const op = readTrace(trace).at(-1);
            const where = `frozen before change ${at}, ${describeOp(op, place.dir)}`;
            const run = job.runDir('x');
            // What has been handed over comes to its end: from the other container it could not be seen to run.
            if (readTrace(trace).some((line) => line.op === 'hand-over'))
              await waitUntil(
                'its last word',
                () => readText(join(run, 'pid'))?.includes('exited'),
                () => where,
              );
            if (readdirSync(place.dir).includes('daemon.lock')) setLockAge(place, 10 * LOCK_STALE_MS);
            await place.start(CONTAINER);
            await job.comesTo('succeeded', 'x');
            frozen.kill('SIGCONT');
            await untilEnded(frozen);
            assert.equal(frozen.exitCode, 1, where);
            // A file that is made and written is one change.
            const after = readTrace(trace).filter(
              (line) => line.n !== undefined && line.n > at && line.path !== op?.path,
            );
            assert.deepEqual(
              after.map((line) => describeOp(line, place.dir)),
              [],
              `${where}: what it changed afterwards`,
            );
            await job.drop('y', { command: 'true' }).comesTo('succeeded', 'y');
            await waitUntil(
              'nothing is claimed',
              () => !job.isClaimed('x'),
              () => where,
            );
            assert.deepEqual([place.lines('account').length, job.folderOf('x')], [1, 'succeeded'], where);
            assert.deepEqual([job.ids('pending'), job.ids('running')], [[], []], where);
          },
          { config: 'poll_interval: 300ms\n', env },
        );
        return wasFrozen;
      };
      // With the lock just taken; claiming; about to write `run`, after which the task may run.
      if (!isLong) for (const at of [14, 30, 32]) assert.ok(await tryAt(at), 'there are fewer changes');
      else for (let at = 13; await tryAt(at); at++);
    },
  );
});

describe('another container with the same boot', () => {
  test('that has died is waited for until its lock is old; then its running tasks are lost at once', inContainers, () =>
    inPlace(async (place) => {
      const container = await place.start(CONTAINER);
      const account = place.aside('account');
      const job = place.job('a').drop('x', {
        shell: `echo "begin $SPOOLD_ATTEMPT" >>'${account}'; [ "$SPOOLD_ATTEMPT" = 2 ] || exec sleep 1000`,
      });
      await waitUntil('it begins', () => place.lines('account').length === 1);
      container.kill('SIGKILL');
      await waitUntil('nothing of it is left', () => place.processesOf(job.runDir('x')).length === 0);
      setLockAge(place, -3_600_000); // young for as long as this machine may take
      const refused = await place.spoold('start');
      assert.notEqual(refused.status, 0);
      assert.match(refused.err, /cannot be seen from here/);
      const { said } = place.spawnDaemon();
      const { dev, ino } = statSync(place.dir, { bigint: true });
      await waitUntil('it waits', () => readText('/proc/net/unix')?.includes(`@spoold/${dev}/${ino}`));
      assert.deepEqual([said(), place.lines('account').length], ['', 1]);
      setLockAge(place, 10 * LOCK_STALE_MS);
      await job.comesTo('succeeded', 'x');
      assert.deepEqual(
        job.results('x').map(({ reason }) => reason),
        ['lost', 'exit'],
      );
    }),
  );

  test(
    'has processes of the same directory name that are no concern of ours: they are neither ended nor waited for',
    inContainers,
    () =>
      inPlace(async (place) => {
        await place.start();
        const job = place.job('a').drop('x', { shell: 'exit 3', retry: 0 });
        await job.comesTo('failed', 'x');
        job.drop('gone', { command: ['sleep', '1000'] });
        await waitUntil('it runs', () => place.processesOf(job.runDir('gone')).length > 0);
        const own = place.processesOf(job.runDir('gone'));
        await place.kill9();
        rmSync(job.file('running', 'gone'));
        rmSync(job.path('running', 'gone.run'));
        // Its own disk where our directory lies, and an attempt on it that is called like ours.
        const strangers = ['x', 'gone', 'never'].map((id) => {
          const run = job.runDir(id);
          const script = `mount -t tmpfs none '${place.dir}' && mkdir -p '${run}' && SPOOLD_RUN_DIR='${run}' exec sleep 1000 >'${run}/output.log'`;
          return spawn('unshare', ['--mount', 'sh', '-c', script], { stdio: 'ignore' });
        });
        try {
          for (const { pid } of strangers)
            await waitUntil('it runs', () => readText(`/proc/${pid}/environ`)?.includes('SPOOLD_RUN_DIR='));
          mkdirSync(job.path('running'), { recursive: true });
          await place.start();
          await waitUntil('ours is ended', () => !own.some(lives));
          job.move('x', 'failed', 'pending');
          await waitUntil('it runs again', () => job.hasResult('x', 2));
          assert.deepEqual(
            strangers.map((child) => child.signalCode ?? child.exitCode),
            [null, null, null],
          );
          await place.end();
          const { findings } = JSON.parse((await place.spoold('doctor', '--json')).out) as {
            findings: { kind: string }[];
          };
          assert.deepEqual(
            findings.map(({ kind }) => kind),
            ['run_without_task'],
          );
        } finally {
          for (const child of strangers) child.kill('SIGKILL');
        }
      }),
  );
});
