// The daemon as its user meets it: starting, stopping, being killed, reading its settings again, refusing a directory.
import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { describe, it } from 'node:test';
import { lives, Place, readText, speak } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';

const isRoot = process.getuid?.() === 0;

/** Runs a test in a place of its own, closed at the end. */
function inPlace(config: string | undefined, test: (place: Place) => Promise<void>): () => Promise<void> {
  return async () => {
    const place = new Place(config === undefined ? {} : { config });
    try {
      await test(place);
    } finally {
      await place.close();
    }
  };
}

/** The PID of the daemon that daemon.json names. */
function pidOf(place: Place): number {
  return (JSON.parse(readText(place.at('daemon.json')) ?? '{}') as { identity: { pid: number } }).identity.pid;
}

function daemonsOf(place: Place): number[] {
  return place
    .processes()
    .filter((live) => / start /.test(live.args))
    .map((live) => live.pid);
}

describe('starting', { concurrency: 3 }, () => {
  it(
    'goes to the background, says its PID and directory, and is no error while one runs',
    inPlace(undefined, async (place) => {
      const first = await place.spoold('start');
      assert.equal(first.status, 0, first.err);
      const pid = pidOf(place);
      assert.equal(first.out, `spoold ${pid} serves ${place.dir}\n`);
      const second = await place.spoold('start');
      assert.deepEqual([second.status, second.out], [0, `spoold ${pid} serves ${place.dir} already\n`]);
      place.job('a').drop('x', { command: 'true' });
      await place.job('a').comesTo('succeeded', 'x');
      const stopped = await place.spoold('stop');
      assert.deepEqual([stopped.status, stopped.out], [0, `spoold ${pid} has stopped.\n`]);
      const again = await place.spoold('stop');
      assert.equal(again.status, 0);
      assert.match(again.out, /No daemon was running/);
    }),
  );

  it(
    'three at once: one serves, and none of them fails',
    inPlace(undefined, async (place) => {
      const all = await Promise.all([1, 2, 3].map(() => place.spoold('start')));
      assert.deepEqual(
        all.map(({ status, err }) => `${status}${err}`),
        ['0', '0', '0'],
      );
      const pid = pidOf(place);
      for (const { out } of all) assert.ok(out.startsWith(`spoold ${pid} serves`), out);
      await waitUntil(
        'one is left',
        () => daemonsOf(place).length === 1,
        () => place.processes(),
      );
      assert.deepEqual(daemonsOf(place), [pid]);
      assert.equal((await place.spoold('stop')).status, 0);
    }),
  );

  it(
    'in the foreground beside another is refused with its PID, and harms nothing',
    inPlace(undefined, async (place) => {
      const first = await place.start();
      const { status, err } = await place.spoold('start', '--foreground');
      assert.equal(status, 1);
      assert.match(err, new RegExp(`Daemon ${first.pid} serves`));
      place.job('a').drop('x', { command: 'true' });
      await place.job('a').comesTo('succeeded', 'x');
    }),
  );

  it(
    'right after a kill -9 is at once, without waiting for a lock to grow old',
    inPlace(undefined, async (place) => {
      await place.start();
      await place.kill9();
      const never = Date.now() / 1000 + 1e6;
      utimesSync(place.at('daemon.lock'), never, never); // what waits for that to grow old waits for days
      await place.start();
      place.job('a').drop('x', { command: 'true' });
      await place.job('a').comesTo('succeeded', 'x');
    }),
  );

  it(
    'with a daemon.json that was cut short in the middle is at once too',
    inPlace(undefined, async (place) => {
      await place.start();
      await place.kill9();
      writeFileSync(place.at('daemon.json'), readFileSync(place.at('daemon.json'), 'utf8').slice(0, 40));
      rmSync(place.at('daemon.lock'), { recursive: true });
      await place.start();
      place.job('a').drop('x', { command: 'true' });
      await place.job('a').comesTo('succeeded', 'x');
    }),
  );
});

describe('stopping', { concurrency: 3 }, () => {
  it(
    'by SIGTERM leaves running tasks running and names them; the next daemon adopts them with their results',
    inPlace(undefined, async (place) => {
      await place.start();
      const job = place
        .job('a')
        .drop('x', { shell: `echo runs; until [ -e '${place.aside('go')}' ]; do sleep 0.05; done; echo done; exit 6` });
      await job.says('x', 'runs');
      assert.equal(await place.end(), 0);
      assert.match(place.log, /a\/x runs on/);
      assert.ok(job.isClaimed('x') && place.processesOf(job.runDir('x')).length > 0);
      const stopped = await place.spoold('stop');
      assert.match(stopped.err + stopped.out, /a\/x/);
      await place.start();
      writeFileSync(place.aside('go'), '');
      await job.comesTo('failed', 'x');
      assert.equal(job.result('x').exit_code, 6);
      assert.equal(job.output('x'), 'runs\ndone\n');
    }),
  );

  it(
    'while no daemon is there a task comes to its end, and the next daemon finds its result',
    inPlace(undefined, async (place) => {
      await place.start();
      const job = place
        .job('a')
        .drop('x', { shell: `echo runs; until [ -e '${place.aside('go')}' ]; do sleep 0.05; done; exit 7` });
      await job.says('x', 'runs');
      await place.end();
      writeFileSync(place.aside('go'), '');
      await waitUntil(
        'its last word',
        () => readText(`${job.runDir('x')}/pid`)?.includes('exited 7'),
        () => readText(`${job.runDir('x')}/pid`),
      );
      assert.ok(!job.hasResult('x'));
      await place.start();
      await job.comesTo('failed', 'x');
      assert.equal(job.result('x').exit_code, 7);
    }),
  );

  it(
    'with --drain waits for what runs and starts nothing new',
    inPlace('max_parallel: 4\n', async (place) => {
      await place.start();
      const job = place
        .job('a')
        .drop('x', { shell: `echo runs; until [ -e '${place.aside('go')}' ]; do sleep 0.05; done` });
      await job.says('x', 'runs');
      const stop = place.spoold('stop', '--drain');
      await waitUntil(
        'it is told',
        () => place.log.includes('"mode":"drain"'),
        () => place.log,
      );
      place.job('b').drop('y', { command: 'true' });
      writeFileSync(place.aside('go'), '');
      const { status, out } = await stop;
      assert.equal(status, 0);
      assert.match(out, /has stopped/);
      assert.equal(job.folderOf('x'), 'succeeded');
      assert.equal(place.job('b').folderOf('y'), 'pending');
      await place.start();
      await place.job('b').comesTo('succeeded', 'y');
    }),
  );

  it(
    'with --kill ends what runs, which goes back to pending at no cost',
    inPlace('max_parallel: 4\nkill_after: 500ms\n', async (place) => {
      await place.start();
      const marker = place.aside('marker');
      const job = place.job('a').drop('x', {
        shell: `[ ! -e '${marker}' ] || exit 0; touch '${marker}'; trap "" TERM; echo runs; sleep 1000; sleep 1000`,
      });
      await job.says('x', 'runs');
      const family = place.processesOf(job.runDir('x'));
      const { status } = await place.spoold('stop', '--kill');
      assert.equal(status, 0);
      assert.ok(!family.some(lives));
      assert.equal(job.folderOf('x'), 'pending');
      const { reason, to } = job.result('x');
      assert.deepEqual({ reason, to }, { reason: 'stopped', to: 'pending' });
      await place.start();
      await job.comesTo('succeeded', 'x');
    }),
  );

  it(
    'with --kill while it still starts ends what runs; what a daemon before it was asked is nothing to it',
    inPlace(undefined, async (place) => {
      await place.start();
      const job = place.job('a').drop('x', { shell: 'echo runs; sleep 1000' });
      await job.says('x', 'runs');
      const family = place.processesOf(job.runDir('x'));
      await place.kill9();
      writeFileSync(place.at('stop'), 'drain\n');
      writeFileSync(place.at('daemon.lock', 'kept'), ''); // who comes now names itself, and cannot have the lock
      const { child } = place.spawnDaemon();
      await waitUntil('it has named itself', () => pidOf(place) === child.pid);
      assert.ok(!existsSync(place.at('stop')));
      const stop = place.spoold('stop', '--kill');
      await waitUntil('it is asked to stop', () => existsSync(place.at('stop')));
      rmSync(place.at('daemon.lock'), { recursive: true });
      assert.equal((await stop).status, 0);
      assert.ok(!family.some(lives));
      assert.equal(job.folderOf('x'), 'pending');
    }),
  );
});

describe('settings', { concurrency: 3 }, () => {
  it(
    'that do not read keep the daemon from starting, with the line of each mistake',
    inPlace('poll_interval: 5\nmax_paralel: 3\nkill_after: soon\n', async (place) => {
      for (const args of [['start'], ['start', '--foreground']]) {
        const { status, err } = await place.spoold(...args);
        assert.notEqual(status, 0);
        assert.match(err, /config\.yaml:2/);
        assert.match(err, /max_parallel/);
        if (args.length > 1) assert.match(err, /config\.yaml:3/);
      }
      assert.deepEqual(daemonsOf(place), []);
      writeFileSync(place.at('config.yaml'), 'poll_interval: 5\n');
      await place.start();
    }),
  );

  it(
    'are read again on SIGHUP; those that do not read leave the last good ones in force',
    inPlace('max_parallel: 1\npoll_interval: 1h\n', async (place) => {
      const daemon = await place.start();
      const job = place.job('a').make({ max_parallel: 'none' });
      const shell = `echo runs; until [ -e '${place.aside('go')}' ]; do sleep 0.05; done`;
      job.drop('x', { shell }).drop('y', { shell });
      await waitUntil(
        'one runs',
        () => job.ids('running').length === 1,
        () => job.describe('x'),
      );
      writeFileSync(place.at('config.yaml'), 'max_parallel: 2\npoll_interval: 1h\nenv: {WORD: hup}\n');
      daemon.kill('SIGHUP');
      await job.says('x', 'runs');
      await job.says('y', 'runs');
      writeFileSync(place.at('config.yaml'), 'max_parallel: two\n');
      daemon.kill('SIGHUP');
      await waitUntil(
        'it says so',
        () =>
          /config\.yaml:1.*last good one stays in force|last good one stays in force.*config\.yaml:1/.test(place.log),
        () => place.log,
      );
      writeFileSync(place.aside('go'), '');
      await job.comesTo('succeeded', 'x');
      job.drop('z', { shell: 'echo $WORD' });
      await job.comesTo('succeeded', 'z');
      assert.equal(job.output('z'), 'hup\n');
    }),
  );

  it(
    'min_free larger than the disk starts nothing and says so, until the setting changes',
    inPlace('min_free: 900000GB\npoll_interval: 1h\n', async (place) => {
      const daemon = await place.start();
      const job = place.job('a').drop('x', { command: 'true' });
      await waitUntil(
        'it is said',
        () => /min_free/.test(place.log),
        () => place.log,
      );
      await waitUntil(
        'daemon.json says so',
        () => readText(place.at('daemon.json'))?.includes('min_free'),
        () => readText(place.at('daemon.json')),
      );
      assert.deepEqual(job.names('runs'), []);
      writeFileSync(place.at('config.yaml'), 'poll_interval: 1h\n');
      daemon.kill('SIGHUP');
      await job.comesTo('succeeded', 'x');
    }),
  );

  it(
    'of a job that do not read: it starts nothing until they do, and other jobs go on',
    inPlace('poll_interval: 1h\n', async (place) => {
      mkdirSync(place.at('jobs', 'a', 'pending'), { recursive: true });
      const job = place.job('a').write('job.json', '{"max_parallel": "lots"}').drop('x', { command: 'true' });
      await place.start();
      place.job('b').drop('y', { command: 'true' });
      await place.job('b').comesTo('succeeded', 'y');
      await waitUntil(
        'it is said',
        () => /job\.json:1.*max_parallel/.test(place.log),
        () => place.log,
      );
      assert.deepEqual(job.ids('pending'), ['x']);
      assert.deepEqual(job.names('runs'), []);
      writeFileSync(job.path('job.json'), '{"max_parallel": 2}');
      await job.comesTo('succeeded', 'x');
    }),
  );
});

describe('a directory that may not be served', { concurrency: 3 }, () => {
  it(
    'of a newer format is refused and left as it is',
    inPlace('', async (place) => {
      writeFileSync(place.at('VERSION'), '2\n');
      const { status, err } = await place.spoold('start', '--foreground');
      assert.notEqual(status, 0);
      assert.match(err, /format 2.*knows format 1/);
      assert.equal(readText(place.at('VERSION')), '2\n');
      assert.ok(!existsSync(place.at('daemon.json')));
    }),
  );

  it(
    'that every user may write to is refused, with the command that closes it',
    inPlace('', async (place) => {
      writeFileSync(place.at('VERSION'), '1\n');
      mkdirSync(place.at('jobs'));
      chmodSync(place.dir, 0o777);
      const { status, err } = await place.spoold('start', '--foreground');
      assert.notEqual(status, 0);
      assert.match(err, /every user/);
      assert.ok(err.includes(`chmod o-rwx ${place.dir}`), err);
      chmodSync(place.dir, 0o700);
      await place.start();
    }),
  );

  it(
    'that belongs to another user is refused',
    { skip: isRoot ? false : 'only root can give a folder away' },
    inPlace('', async (place) => {
      chownSync(place.dir, 65534, 65534);
      const { status, err } = await place.spoold('start', '--foreground');
      assert.notEqual(status, 0);
      assert.match(err, /belongs to user 65534/);
    }),
  );

  it(
    'that is a file is refused',
    inPlace(undefined, async (place) => {
      writeFileSync(place.dir, '');
      const { status, err } = await place.spoold('start', '--foreground');
      assert.notEqual(status, 0);
      assert.match(err, /is no folder/);
    }),
  );

  it('that lies where nothing can be written is refused with the reason', async () => {
    const { status, err } = await speak(['start', '--foreground', '--dir', '/proc/no-such-state']);
    assert.notEqual(status, 0);
    assert.match(err, /\/proc\/no-such-state cannot be made/);
  });

  for (const [how, ends] of [
    ['by itself', false],
    ['when it is told to stop', true],
  ] as const) {
    it(
      `that is moved away while it is served: the daemon ends ${how}, without a fuss, and does not make it again`,
      inPlace(undefined, async (place) => {
        const daemon = await place.start();
        const job = place.job('a').drop('x', { command: 'true' });
        await job.comesTo('succeeded', 'x');
        renameSync(place.dir, place.aside('moved'));
        if (ends) assert.equal(await place.end(), 0);
        else
          await waitUntil(
            'it ends',
            () => daemon.exitCode !== null,
            () => place.log,
          );
        assert.ok(!existsSync(place.dir), 'the directory was made again');
        if (!ends) await waitUntil('it is said', () => place.log.includes('the state directory is gone'));
        assert.doesNotMatch(place.log, / at .*\.js:/);
      }),
    );
  }
});
