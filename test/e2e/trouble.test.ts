// What goes wrong under the daemon's hands: it neither stops, nor turns without a pause, nor keeps others from running.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { bin, isLauncher, isThere, Place, readText, withPlace } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';

/** CPU time that the place's daemon uses in a second, in hundredths of it. */
async function busyness(place: Place): Promise<number> {
  const ticks = (): number => {
    const stat = readFileSync(`/proc/${place.daemon?.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return Number(fields[11]) + Number(fields[12]);
  };
  const used = ticks();
  await pause(1000);
  return ticks() - used;
}

/** Fails if the daemon turns without a pause. What it had to do before may take a busy machine longer. */
async function rests(place: Place): Promise<void> {
  let busy = 0;
  await waitUntil(
    'a second in which it rests',
    async () => (busy = await busyness(place)) < 8,
    () => busy,
  );
}

describe('trouble', { concurrency: true }, () => {
  const place = new Place({ config: 'poll_interval: 1\n' });
  before(() => place.start());
  after(() => place.close());

  it('a link that stands for a claim and cannot be removed does not stop the daemon', async () => {
    mkdirSync(place.at('jobs', '.odd', 'running', 'x.run', 'y'), { recursive: true });
    renameSync(place.at('jobs', '.odd'), place.at('jobs', 'odd'));
    await place.job('beside-odd').drop('good', { shell: 'echo good' }).comesTo('succeeded', 'good');
    assert.equal(place.daemon?.exitCode, null);
    rmSync(place.at('jobs', 'odd'), { recursive: true, maxRetries: 10, retryDelay: 20 });
  });

  it('runs/ that a hand has removed, with all that has ended, is made again by the next start', async () => {
    const job = place.job('cleared').drop('x', { shell: 'echo x' });
    await job.comesTo('succeeded', 'x');
    rmSync(job.path('runs'), { recursive: true });
    await job.drop('y', { shell: 'echo y' }).comesTo('succeeded', 'y');
    assert.equal(job.output('y'), 'y\n');
  });

  it('what an attempt left and cannot be cleared away holds up nothing that waits for a sync', async () => {
    const job = place.job('uncleared');
    job.drop('odd', { shell: 'mkdir "$SPOOLD_RUN_DIR/stdin"' });
    await job.comesTo('succeeded', 'odd');
    job.drop('careful', { shell: 'echo careful', on_lost: 'fail' });
    await job.comesTo('succeeded', 'careful');
  });

  it('a run directory that is a loop of links when its runner ends does not end the daemon, and put back it is settled', async () => {
    const job = place.job('loop');
    const lead = 'mv "$SPOOLD_RUN_DIR" "$SPOOLD_RUN_DIR.away"; ln -s x.1 "$SPOOLD_RUN_DIR"';
    job.drop('x', { shell: lead });
    await waitUntil('it complains', () => place.log.includes('ELOOP'));
    rmSync(job.runDir('x'));
    renameSync(`${job.runDir('x')}.away`, job.runDir('x'));
    await job.comesTo('succeeded', 'x');
    assert.equal(place.daemon?.exitCode, null);
  });

  it('an array that cannot be removed once it is spread keeps no other drop from being judged', async () => {
    const job = place.job('stuck').make({}, { paused: '' });
    await waitUntil('its folders', () => isThere(job.path('running')));
    const launcher = place.processes().find((live) => isLauncher(live.args));
    assert.ok(launcher);
    process.kill(launcher.pid, 'SIGSTOP'); // no sync ends
    try {
      job.drop('array', '[{"id":"a","command":"true"}]');
      const bundle = () => job.names('pending').find((name) => name.startsWith('.bundle-'));
      await waitUntil('the array is spread', () => job.isIn('pending', 'a') && bundle());
      const path = job.path('pending', bundle() ?? '');
      rmSync(path);
      mkdirSync(path);
    } finally {
      process.kill(launcher.pid, 'SIGCONT');
    }
    await waitUntil('it complains', () => place.log.includes('could not be done after a sync'));
    job.write('pending/bad.json', '{');
    assert.match(await job.rejects('bad'), /bad\.json/);
  });

  it('an array that a power cut emptied while it was spread is rejected', async () => {
    const job = place.job('cut');
    job.drop('good', { shell: 'true' });
    await job.comesTo('succeeded', 'good');
    job.write('pending/.bundle-cut', '');
    assert.match(await job.rejects('bundle'), /\.bundle-cut/);
    assert.deepEqual(job.names('pending'), []);
  });

  it('a name too long for a reason beside it is rejected under a shorter one', async () => {
    const job = place.job('long');
    job.write(`pending/${'n'.repeat(250)}.json`, '{"command":"true"}');
    assert.match(await job.rejects('n'.repeat(200)), /100 are allowed/);
  });

  it('a long name that is not UTF-8 does not hide what lies beside it', async () => {
    const job = place.job('long-bytes');
    mkdirSync(place.at('jobs', '.long-bytes', 'pending'), { recursive: true });
    const pending = `${place.at('jobs', '.long-bytes', 'pending')}/`;
    writeFileSync(Buffer.concat([Buffer.from(pending), Buffer.alloc(250, 0xff), Buffer.from('.json')]), '{}');
    writeFileSync(`${pending}good.json`, '{"command":"true"}');
    renameSync(place.at('jobs', '.long-bytes'), job.path());
    await job.comesTo('succeeded', 'good');
    await waitUntil('it is rejected', () => job.ids('rejected').some((name) => name.startsWith('not-utf8-')));
  });

  it('a child of such a name fails the attempt that dropped it', async () => {
    const job = place.job('long-child');
    job.drop('parent', { shell: `echo '{"command":"true"}' >"$SPOOLD_PENDING/${'n'.repeat(250)}.json"` });
    await job.comesTo('failed', 'parent');
    assert.equal(job.result('parent').reason, 'bad_child');
  });

  it('an attempt whose drop folder was made a file is settled all the same', async () => {
    const job = place.job('no-folder');
    job.drop('odd', { shell: 'rmdir "$SPOOLD_PENDING"; : >"$SPOOLD_PENDING"' });
    await job.comesTo('succeeded', 'odd');
  });
});

describe('more than one turn can take in', { concurrency: true }, () => {
  const place = new Place({ config: 'poll_interval: 1\nmax_parallel: 2\n' });
  before(() => place.start());
  after(() => place.close());
  const MANY = 400;
  const dropMany = `i=0; while [ $i -lt ${MANY} ]; do
    echo '{"command":"true","dependencies":["never"]}' >"$SPOOLD_PENDING/c$i.json"; i=$((i+1)); done`;

  it('jobs are found among thousands of folders that are none', async () => {
    for (let n = 0; n < 6_000; n++) mkdirSync(place.at('jobs', `no job ${n}`), { recursive: true });
    const jobs = Array.from({ length: 8 }, (_, n) => place.job(`job${n}`));
    for (const job of jobs) job.drop('x', { command: 'true' });
    for (const job of jobs) await job.comesTo('succeeded', 'x');
  });

  it('all children of a task that ends at once are taken in before it succeeds', async () => {
    const job = place.job('short');
    job.drop('parent', { shell: dropMany });
    await job.comesTo('succeeded', 'parent');
    assert.equal(job.ids('pending').length, MANY);
  });

  it('a family is cancelled to its last member', async () => {
    const job = place.job('family');
    job.drop('parent', { shell: `${dropMany}; exec sleep 1000` });
    await waitUntil('all are taken in', () => job.ids('pending').length === MANY);
    renameSync(job.file('running', 'parent'), job.file('cancelled', 'parent'));
    await waitUntil('all are cancelled', () => job.ids('cancelled').length === MANY + 1);
    await waitUntil('it has ended', () => !job.isClaimed('parent'));
    assert.deepEqual(job.ids('pending'), []);
  });

  it('drops that are held, and those that go on, are all seen', async () => {
    const job = place.job('held').make({ max_parallel: 1 });
    for (let n = 0; n < MANY; n++) job.write(`pending/h${n}.held`, '{"command":"true","dependencies":["never"]}');
    job.drop('after', { command: 'true', dependencies: [`h${MANY - 1}`], run_if: 'always' });
    await waitUntil('the last one is waited for', () => job.folderOf('after') === 'pending');
    for (let n = 0; n < MANY; n++) rmSync(job.path('pending', `h${n}.held`));
    job.write(`pending/h${MANY - 1}.json`, '{"command":"true"}');
    await job.comesTo('succeeded', 'after');
  });
});

describe('a daemon that has to try again', { concurrency: true }, () => {
  it('rests once a drop is gone that did not parse', async () => {
    const place = new Place();
    await place.start();
    try {
      const job = place.job('gone');
      job.write('pending/good.json', '{"command":"true"}');
      await job.comesTo('succeeded', 'good');
      job.write('pending/x.json', '{"command":');
      await pause(300);
      rmSync(job.file('pending', 'x'));
      await pause(2200);
      await rests(place);
    } finally {
      await place.close();
    }
  });

  it('rests between two tries to settle an attempt', async () => {
    const place = new Place();
    await place.start();
    try {
      const job = place.job('stuck');
      const closed = join(job.runDir('x'), 'pending.closed');
      job.drop('x', { shell: 'mkdir -p "$SPOOLD_RUN_DIR/pending.closed/y"; : >"$SPOOLD_PENDING/note"' });
      await waitUntil('it cannot be settled', () => place.log.includes('could not be settled'));
      await rests(place);
      renameSync(closed, `${closed}.old`);
      await job.comesTo('succeeded', 'x');
    } finally {
      await place.close();
    }
  });

  it('keeps its settings at a SIGHUP if config.yaml cannot be read', async () => {
    const place = new Place();
    await place.start();
    try {
      mkdirSync(place.at('config.yaml'));
      place.daemon?.kill('SIGHUP');
      await waitUntil(
        'it complains',
        () => place.log.includes('does not read'),
        () => place.log,
      );
      rmSync(place.at('config.yaml'), { recursive: true });
      writeFileSync(place.at('config.yaml'), 'max_parallel: 7\nallowed_owners: [nobody-of-that-name]\n');
      const told = place.log.length;
      place.daemon?.kill('SIGHUP');
      await waitUntil('it complains again', () => place.log.slice(told).includes('nobody-of-that-name'));
      await pause(50);
      const { max_parallel } = JSON.parse(readFileSync(place.at('daemon.json'), 'utf8')) as { max_parallel: number };
      assert.notEqual(max_parallel, 7);
      await place.job('after').drop('good', { shell: 'true' }).comesTo('succeeded', 'good');
    } finally {
      await place.close();
    }
  });

  it('starts, and takes up jobs, although a finished one cannot be archived', async () => {
    const place = new Place();
    try {
      await place.start();
      await place.end();
      mkdirSync(place.at('jobs', '.archived-old.20260101T000000Z', 'pending'), { recursive: true });
      writeFileSync(place.at('archive'), '');
      await place.start();
      await place.job('new').drop('good', { shell: 'true' }).comesTo('succeeded', 'good');
      assert.match(place.log, /a finished job cannot be archived.*\.archived-old/);
    } finally {
      await place.close();
    }
  });

  it('ends without a bug of its own when the directory is removed', async () => {
    const place = new Place({ config: 'poll_interval: 100ms\n' });
    const child = await place.start();
    try {
      rmSync(place.dir, { recursive: true, maxRetries: 100 }); // it may write meanwhile
      await waitUntil(
        'it has ended',
        () => child.exitCode !== null,
        () => place.log,
      );
      assert.equal(child.exitCode, 1);
      assert.ok(!isThere(place.dir));
    } finally {
      place.daemon = undefined;
      await place.close();
    }
  });
});

/** What has the daemon be of an installation of its own, in which the native launcher does not work. */
function broken(place: Place, path: string): string[] {
  const installed = place.aside('installed');
  for (const part of ['bin', 'dist', 'package.json'])
    cpSync(join(bin, '..', '..', part), join(installed, part), { recursive: true });
  copyFileSync('/bin/false', join(installed, 'dist', 'spoold-launcher'));
  const own = `node=$1; shift 2; exec "$node" '${join(installed, 'bin', 'spoold')}' "$@"`;
  return ['env', `PATH=${path}`, '/bin/sh', '-c', own, 'sh'];
}

describe('a launcher that ends as soon as it is started', { concurrency: true }, () => {
  it('is followed by the next kind', async () => {
    await withPlace({}, async (place) => {
      await place.start(broken(place, process.env.PATH ?? ''));
      const job = place.job('a').drop('x', { shell: 'echo ran' });
      await job.comesTo('succeeded', 'x');
      const outputs = job.names('runs').map((name) => readText(job.path('runs', name, 'output.log')));
      assert.deepEqual(outputs.filter((text) => text === 'ran\n').length, 1);
    });
  });

  it('and is the last kind keeps tasks from starting, in words, until one answers', async () => {
    await withPlace({}, async (place) => {
      mkdirSync(place.aside('path'));
      for (const name of ['sh', 'setsid']) copyFileSync('/bin/false', place.aside('path', name));
      await place.start(broken(place, place.aside('path')));
      const says = () => readText(place.at('daemon.json'))?.includes('no program to run tasks with') === true;
      await waitUntil('it says so', says, () => place.log);
      const job = place.job('a').drop('x', { command: '/bin/true' });
      await waitUntil('the task is seen', () => isThere(job.path('running')));
      for (const name of ['sh', 'setsid']) {
        rmSync(place.aside('path', name));
        symlinkSync(
          spawnSync('sh', ['-c', `command -v ${name}`])
            .stdout.toString()
            .trim(),
          place.aside('path', name),
        );
      }
      await job.comesTo('succeeded', 'x');
      assert.equal(job.names('runs').length, 1);
      await waitUntil(
        'it says so no more',
        () => !says(),
        () => place.log,
      );
    });
  });
});
