// Whom the daemon keeps out, and where it does not let itself be led: other users, links in the place of files and
// folders, names. And what it keeps to itself: rights and descriptors. Promised against others; of one's own tasks, which
// may do all that their user may, only that the daemon itself does not follow what they have put in its way.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { isThere, Place, readText, speak, withPlace } from '../helpers/place.ts';
import { isRoot } from '../helpers/scratch.ts';
import { waitUntil } from '../helpers/wait-until.ts';

const OTHER = 65533;
const asOther = (script: string) =>
  spawnSync('setpriv', [`--reuid=${OTHER}`, `--regid=${OTHER}`, '--clear-groups', 'sh', '-c', script], {
    encoding: 'utf8',
  });
const canBeOther = isRoot && asOther('true').status === 0;
const withOthers = { skip: canBeOther ? false : 'only root can be somebody else' };

const inPlace = (run: (place: Place) => Promise<void>, config = 'max_parallel: 8\npoll_interval: 200ms\n') =>
  withPlace({ config }, run);

describe('other users', { concurrency: true }, () => {
  it(
    'who are trusted may write to pending/, and what they put there is run; in what everybody may go through, nothing else may be open',
    withOthers,
    () =>
      inPlace(async (place) => {
        await place.start();
        for (const dir of [place.root, place.dir, place.at('jobs')]) chmodSync(dir, 0o711);
        const job = place.job('a').drop('x', { command: 'true' });
        await job.comesTo('succeeded', 'x');
        chmodSync(job.path(), 0o711);
        chmodSync(job.path('pending'), 0o733);
        const drop = `echo '{"command":["id","-u"]}' >.y && mv .y y.json`;
        assert.equal(asOther(`cd '${job.path('pending')}' && ${drop}`).status, 0);
        await job.comesTo('succeeded', 'y');
        assert.equal(job.output('y'), `${process.getuid?.()}\n`);
        for (const folder of ['running', 'runs', 'failed', '.']) {
          const there = asOther(`cd '${job.path()}' && : >'${folder}/z.json'`);
          assert.notEqual(there.status, 0, `others may write to ${folder}`);
        }
        chmodSync(job.path('runs'), 0o777);
        job.drop('later', { command: 'true' });
        await waitUntil(
          'it is said',
          () => place.log.includes(`write to ${job.path('runs')}`),
          () => place.log,
        );
        await place.job('b').drop('z', { command: 'true' }).comesTo('succeeded', 'z');
        assert.equal(job.folderOf('later'), 'pending');
        chmodSync(job.path('runs'), 0o700);
        await job.comesTo('succeeded', 'later');
        await place.end();
        chmodSync(place.at('config.yaml'), 0o666);
        const { status, err } = await place.spoold('start', '--foreground');
        assert.notEqual(status, 0);
        assert.ok(err.includes(`chmod o-w ${place.at('config.yaml')}`), err);
      }, `max_parallel: 8\npoll_interval: 200ms\nallowed_owners: [${OTHER}]\n`),
  );

  it('whom nobody trusts do not get a pending/ that is open to all', withOthers, () =>
    inPlace(async (place) => {
      mkdirSync(place.at('jobs', 'a', 'pending'), { recursive: true });
      const job = place.job('a');
      await place.start();
      for (const dir of [place.dir, place.at('jobs'), job.path()]) chmodSync(dir, 0o711);
      chmodSync(job.path('pending'), 0o733);
      job.drop('x', { command: 'true' });
      await waitUntil(
        'it is said',
        () => place.log.includes(`write to ${job.path('pending')}`),
        () => place.log,
      );
      assert.equal(job.folderOf('x'), 'pending');
      chmodSync(job.path('pending'), 0o700);
      await job.comesTo('succeeded', 'x');
    }),
  );
});

describe('a link in the place of', { concurrency: true }, () => {
  const place = new Place({ config: 'max_parallel: 20\npoll_interval: 200ms\n' });
  before(() => place.start());
  after(() => place.close());

  /** Folders outside, with something in each of them that is not to be touched. */
  function outside(name: string): { dir: string; look: () => string[] } {
    const dir = place.aside('outside', name);
    mkdirSync(join(dir, 'pending'), { recursive: true });
    writeFileSync(join(dir, 'x.json'), '{"command":"touch-me-not"');
    writeFileSync(join(dir, 'pending', 'y.json'), '{"shell":"echo outside"}');
    return { dir, look: () => readdirSync(dir, { recursive: true, encoding: 'utf8' }).sort() };
  }

  for (const folder of ['pending', 'running', 'runs', 'failed', 'succeeded', 'rejected', 'skipped', 'cancelled']) {
    it(`${folder}/ does not lead outside: the job is left alone until the folder is back`, async () => {
      const job = place.job(`swap-${folder}`).make({ max_parallel: 4 });
      await job.drop('first', { command: 'true' }).comesTo('succeeded', 'first');
      const { dir, look } = outside(folder);
      const untouched = look();
      renameSync(job.path(folder), job.path(`${folder}.away`));
      symlinkSync(dir, job.path(folder));
      await waitUntil(
        'it is said',
        () => place.log.includes(`${job.path(folder)} is a link`),
        () => place.log.slice(-2000),
      );
      const into = folder === 'pending' ? 'pending.away' : 'pending';
      job.write(`${into}/good.json`, '{"command":"true"}').write(`${into}/bad.json`, '{"retry":0,"command":"false"}');
      job.write(`${into}/none.json`, '{"comand":1}');
      const other = place.job(`beside-${folder}`);
      for (const id of ['one', 'two']) await other.drop(id, { command: ['sleep', '0.3'] }).comesTo('succeeded', id);
      assert.deepEqual(look(), untouched);
      rmSync(job.path(folder));
      renameSync(job.path(`${folder}.away`), job.path(folder));
      await job.comesTo('succeeded', 'good');
      await job.comesTo('failed', 'bad');
      await job.rejects('none');
      assert.deepEqual(look(), untouched);
    });
  }

  it('a job does not make what lies elsewhere one', async () => {
    const { dir, look } = outside('job');
    const untouched = look();
    symlinkSync(dir, place.at('jobs', 'elsewhere'));
    await waitUntil(
      'it is said',
      () => place.log.includes(`${place.at('jobs', 'elsewhere')} is a link`),
      () => place.log,
    );
    await place.job('beside-job').drop('x', { command: 'true' }).comesTo('succeeded', 'x');
    assert.deepEqual(look(), untouched);
    rmSync(place.at('jobs', 'elsewhere'));
  });

  it('an attempt of its own, by the task itself, gets nothing written there', async () => {
    const { dir, look } = outside('run');
    const untouched = look();
    const job = place.job('own-run').drop('x', {
      shell: `[ "$SPOOLD_ATTEMPT" = 1 ] || exit 0; mv "$SPOOLD_RUN_DIR" "$SPOOLD_RUN_DIR.away" && ln -s '${dir}' "$SPOOLD_RUN_DIR"`,
    });
    await job.comesTo('succeeded', 'x');
    assert.deepEqual(look(), untouched);
  });

  for (const [name, what] of [
    ['output.log', 'the log'],
    ['result.json', 'the result'],
    ['ending', 'the reason of its end'],
    ['pid', 'the PID file'],
    ['stdin', 'its input'],
  ] as const) {
    it(`${what}, by the task itself, is neither written nor read through`, async () => {
      const { dir } = outside(name);
      const victim = join(dir, 'victim');
      writeFileSync(victim, 'mine');
      const job = place.job(`link-${name.replace('.', '-')}`).drop('x', {
        shell: `ln -sf '${victim}' "$SPOOLD_RUN_DIR/${name}"; echo said; [ "$SPOOLD_ATTEMPT" = 2 ] || exec sleep 1000`,
        stdin: 'input',
        timeout: '700ms',
        kill_after: '100ms',
        retry: 0,
      });
      await waitUntil(
        'it is over',
        () => (job.isIn('failed', 'x') || job.isIn('succeeded', 'x')) && !job.isClaimed('x'),
        () => job.describe('x'),
      );
      assert.equal(readFileSync(victim, 'utf8'), 'mine');
      assert.ok(!lstatSync(victim).isSymbolicLink());
      const { out } = await place.spoold('status', `${job.name}/x`, '--json');
      assert.ok(!out.includes('mine'), out);
    });
  }

  it('the files at the top is not followed', async () => {
    await inPlace(async (own) => {
      const victim = own.aside('victim');
      writeFileSync(victim, 'mine');
      assert.equal((await own.spoold('init')).status, 0);
      for (const name of ['daemon.json', 'daemon.log', 'events.ndjson']) symlinkSync(victim, own.at(name));
      assert.equal((await own.spoold('start')).status, 0);
      await own.job('a').drop('x', { command: 'true' }).comesTo('succeeded', 'x');
      assert.equal((await own.spoold('stop')).status, 0);
      assert.equal(readFileSync(victim, 'utf8'), 'mine');
    });
  });

  it('a file of a job is not followed', async () => {
    const victim = place.aside('victim-of-job');
    writeFileSync(victim, 'mine');
    const job = place.job('files').make({ job_timeout: '1h' });
    for (const name of ['state.json', 'started', 'rejected/x.error.txt', 'skipped/z.reason.txt']) {
      mkdirSync(join(job.path(name), '..'), { recursive: true });
      symlinkSync(victim, job.path(name));
    }
    job
      .drop('x', '{"comand":1}')
      .drop('y', { command: 'false' })
      .drop('z', { command: 'true', dependencies: ['y'] });
    await job.rejects('x');
    await job.comesTo('skipped', 'z');
    await waitUntil('the summary', () => readText(job.path('state.json'))?.includes('counts'));
    assert.equal(readFileSync(victim, 'utf8'), 'mine');
  });
});

it('names do not lead out of their folder, by whatever verb', () =>
  inPlace(async (place) => {
    await place.start();
    const names = readdirSync(place.root).sort();
    for (const args of [
      ['add', '--job', '../../out', '--', 'true'],
      ['add', '--id', '../out', '--', 'true'],
      ['add', '--job', '.', '--id', 'x', '--', 'true'],
      ['retry', '../../out/x'],
      ['cancel', 'a/../../../out'],
      ['logs', 'a/../../x'],
      ['mark', '../x/y', 'succeeded'],
    ]) {
      const { status, err } = await place.spoold(...args);
      assert.notEqual(status, 0, args.join(' '));
      assert.doesNotMatch(err, / at .*\.js:/, args.join(' '));
    }
    const job = place.job('a').drop('parent', {
      shell: `echo '[{"id":"../../../out","command":"true"}]' >"$SPOOLD_PENDING/b.json"`,
    });
    await job.comesTo('failed', 'parent');
    job.write('pending/many.json', '[{"id":"../../out","command":"true"}]');
    assert.match(await job.rejects('many'), /id/);
    assert.deepEqual(readdirSync(place.root).sort(), names);
    assert.deepEqual(readdirSync(place.at('jobs')), ['a']);
  }));

describe('what is made', () => {
  it('is for its user alone, whatever the umask: all of a busy directory', async () => {
    const place = new Place();
    const open = ['sh', '-c', 'umask 000; exec "$@"', 'sh'];
    const spoold = async (...args: string[]): Promise<void> => {
      const [verb = '', ...rest] = args;
      const { status, err } = await speak([verb, '--dir', place.dir, ...rest], {
        cwd: place.root,
        env: { TEST_PLACE: place.root },
        under: open,
      });
      assert.equal(status, 0, `${args.join(' ')}: ${err}`);
    };
    try {
      await place.start(open);
      writeFileSync(
        place.aside('work.yaml'),
        'tasks: {one: {command: "true"}, two: {command: "true", dependencies: [one]}}\n',
      );
      const child = `umask 077; echo '{"command":"true"}' >"$SPOOLD_PENDING/.k"; mv "$SPOOLD_PENDING/.k" "$SPOOLD_PENDING/kid.json"`;
      await Promise.all([
        spoold('add', '--job', 'a', '--id', 'bad', '--env', 'A=b', '--', 'false'),
        spoold('add', '--job', 'a', '--id', 'dull', '--', 'echo', ':::', '1', '2'),
        spoold('add', '--job', 'a', '--id', 'parent', '--shell', child),
        spoold('add', '--job', 'late', '--', 'sleep', '1000'),
        spoold('submit', place.aside('work.yaml'), '--job', 'graph'),
      ]);
      const [job, late] = [place.job('a'), place.job('late')];
      late.write('pending/odd.json', '{');
      await job.comesTo('failed', 'bad');
      await job.comesTo('succeeded', 'kid');
      await waitUntil('it runs', () => isThere(late.path('runs', '1.1', 'output.log')));
      await Promise.all([
        spoold('retry', 'a/bad'),
        spoold('mark', 'a/dull.1', 'skipped'),
        spoold('pause', 'graph'),
        spoold('parallel', '3'),
        spoold('cancel', 'late/1'),
      ]);
      await waitUntil('again', () => job.hasResult('bad', 2) && job.isIn('failed', 'bad') && !job.isClaimed('bad'));
      await late.comesTo('cancelled', '1');
      await late.rejects('odd');
      await place.kill9();
      await place.start(open);
      await waitUntil('a summary', () => isThere(late.path('state.json')));
      await place.end();
      await spoold('start');
      await spoold('stop');
      const all = readdirSync(place.dir, { recursive: true, encoding: 'utf8' });
      assert.ok(all.length > 60, String(all.length));
      const ours = all.filter((name) => !name.endsWith('rejected/odd.json')); // made by hand
      const open077 = ['', ...ours].flatMap((name) => {
        const stat = lstatSync(place.at(name));
        const wanted = stat.isDirectory() ? 0o700 : 0o600;
        return stat.isSymbolicLink() || (stat.mode & 0o777) === wanted
          ? []
          : [`${name} ${(stat.mode & 0o777).toString(8)}`];
      });
      assert.deepEqual(open077, []);
    } finally {
      await place.close();
    }
  });

  for (const launcher of ['native', 'bash', 'posix']) {
    it(`of descriptors a task gets its three, and none that the daemon was started with or has opened (${launcher})`, async () => {
      const env: Record<string, string> = {};
      const place = new Place({ env });
      env['CRASH_POINTS'] = JSON.stringify({ root: place.dir, launcher }); // hides the others
      env['NODE_OPTIONS'] = `--import=${new URL('../crash/points/preload.js', import.meta.url).href}`;
      try {
        await place.start(['bash', '-c', 'exec 7</etc/passwd 9>>"$0" 23<.; exec "$@"', place.aside('nine')]);
        assert.match(place.log, new RegExp(`"launcher":"${launcher}"`));
        for (const [id, task] of Object.entries({
          plain: { command: ['ls', '-l', '/proc/self/fd'] },
          shell: { shell: 'ls -l /proc/self/fd' },
          best: { command: ['ls', '-l', '/proc/self/fd'], priority: 'best_effort' },
          fed: { command: ['ls', '-l', '/proc/self/fd'], stdin: 'text' },
        })) {
          const job = place.job('a').drop(id, task);
          await job.comesTo('succeeded', id);
          const open = [...job.output(id).matchAll(/ (\d+) -> (.*)/g)].map(([, n, to]) => `${n} ${to}`);
          const numbers = open.filter((line) => !/ \/proc\/\d+\/fd$/.test(line)).map((line) => line.split(' ')[0]);
          const others = launcher === 'posix' ? numbers.filter((n) => Number(n) < 16) : numbers; // dash closes none above 9
          assert.deepEqual(others, ['0', '1', '2'], `${id}: ${open.join(', ')}`);
        }
      } finally {
        await place.close();
      }
    });
  }
});
