// Bad input: each is answered where its author looks, nothing is lost, and the next good task runs.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { isThere, type JobHands, Place } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';

const isRoot = process.getuid?.() === 0;
const NOBODY = 65534;

describe('bad input', { concurrency: true }, () => {
  const place = new Place({ config: `max_parallel: 60\npoll_interval: 1h\nallowed_owners: [${NOBODY - 1}]\n` });
  before(() => place.start());
  after(() => place.close());

  let number = 0;
  /** A job of its own, and a good task at the end. */
  async function inJob(test: (job: JobHands) => Promise<void>): Promise<void> {
    const job = place.job(`bad-${number++}`);
    mkdirSync(job.path('pending'), { recursive: true });
    await test(job);
    job.drop('good', { shell: 'echo good' });
    await job.comesTo('succeeded', 'good');
  }

  const texts: [string, string | Uint8Array, RegExp][] = [
    ['an empty file', '', /x\.json.*(empty|nothing)/s],
    ['half a file', '{"command": ["echo",', /x\.json:1:\d+: it ends in the middle/],
    ['no JSON', 'command: echo hi\n', /x\.json:1:\d+/],
    ['an array in an array', '[[{"id":"a","command":"true"}]]', /\[0\]/],
    ['an array of no tasks', '[]', /empty/],
    ['an array with a task without id', '[{"command":"true"}]', /id/],
    ['a number', '7', /a task is an object/],
    ['a NUL in an argument', '{"command": ["echo", "a\\u0000b"]}', /NUL/i],
    [
      'bytes that are not UTF-8',
      new Uint8Array([...Buffer.from('{"shell":"echo '), 0xff, 0xfe, ...Buffer.from('"}')]),
      /UTF-8/,
    ],
    ['an id that disagrees with the name', '{"id": "y", "command": "true"}', /"y".*"x\.json"/],
    ['a dependency on itself', '{"command": "true", "dependencies": ["x"]}', /depends on itself/],
    ['an unknown key', '{"command": "true", "depends_on": ["a"]}', /depends_on.*dependencies/],
    ['a command with spaces that is no file', '{"command": "echo hi there"}', /\["echo","hi","there"\].*"shell"/],
    [
      'a command that is longer than any path',
      `{"command": "${'word '.repeat(2_000)}"}`,
      /is no file; write "command"/,
    ],
    ['a command behind what is no folder', '{"command": "/etc/passwd/my tool"}', /is no file; write "command"/],
    [
      'thousands of keys of its owner',
      `{"command": "true", "x-mine": {${Array.from({ length: 10_001 }, (_, n) => `"k${n}":1`).join()}}}`,
      /its x- keys hold 10001 others, at most 10000/,
    ],
    [
      'more keys than anybody reads',
      `{"command": "true", "x-mine": {${Array.from({ length: 25_000 }, (_, n) => `"k${n}":1`).join()}}}`,
      /it has 25002 keys, at most 25000 are read/,
    ],
    ['nothing to run', '{"description": "nothing"}', /nothing to run/],
    ['both command and shell', '{"command": "true", "shell": "true"}', /keep one/],
    ['a negative retry', '{"command": "true", "retry": -1}', /retry/],
    [
      'a key that is there twice',
      '{"command": "true",\n "env": {"A": "1", "A": "2"}}',
      /pending\/x\.json:2:20: env\.A: this key is there twice; keep one/,
    ],
    [
      'a key that is there twice in an array',
      '[{"id": "a", "command": "true"},\n {"id": "b", "command": "true", "id": "c"}]',
      /pending\/x\.json:2:33: \[1\]\.id: this key is there twice; keep one/,
    ],
    ['a duration that is none', '{"command": "true", "timeout": "soon"}', /timeout.*soon/],
    ['nesting a hundred thousand deep', `${'['.repeat(100_000)}${']'.repeat(100_000)}`, /x\.json/],
  ];
  for (const [what, text, why] of texts) {
    it(`${what}: rejected with its reason, the text kept as it was`, async () => {
      await inJob(async (job) => {
        writeFileSync(job.file('pending', 'x'), text);
        assert.match(await job.rejects('x'), why);
        assert.deepEqual(readFileSync(job.file('rejected', 'x')), Buffer.from(text));
        assert.ok(!job.isIn('pending', 'x'));
      });
    });
  }

  it('a key twice in job.json: the job starts nothing until one is taken out, and says which', async () => {
    await inJob(async (job) => {
      writeFileSync(job.path('job.json'), '{"max_parallel": 1,\n "max_parallel": 2}');
      job.drop('x', { command: 'true' });
      await waitUntil(
        'it says why',
        () => place.log.includes(`${job.path('job.json')}:2:2: max_parallel: this key is there twice; keep one`),
        () => place.log.slice(-1000),
      );
      assert.ok(job.isIn('pending', 'x'));
      writeFileSync(job.path('job.json'), '{"max_parallel": 2}');
      await job.comesTo('succeeded', 'x');
    });
  });

  it('50 MB of JSON that is one task: rejected, and said what may have how much', async () => {
    await inJob(async (job) => {
      const fd = openSync(job.path('pending/.x'), 'w');
      writeSync(fd, '{"shell":"');
      for (let mb = 0; mb < 50; mb++) writeSync(fd, Buffer.alloc(1_000_000, 'a'));
      writeSync(fd, '"}');
      closeSync(fd);
      spawnSync('mv', [job.path('pending/.x'), job.file('pending', 'x')]);
      place.job('meanwhile').drop('y', { command: 'true' });
      await place.job('meanwhile').comesTo('succeeded', 'y');
      assert.match(await job.rejects('x'), /1 MB/);
      assert.equal(statSync(job.file('rejected', 'x')).size, 50_000_012);
    });
  });

  it('a file over 64 MB, sparse: rejected with its size', async () => {
    await inJob(async (job) => {
      spawnSync('truncate', ['-s', '65M', job.path('pending/.x')]);
      spawnSync('mv', [job.path('pending/.x'), job.file('pending', 'x')]);
      assert.match(await job.rejects('x'), /68\.2 MB.*64 MB/);
    });
  });

  const names: [string, string, RegExp][] = [
    ['spaces in it', 'a b', /a space is not allowed/],
    ['dots alone', '..', /must begin with a letter or a digit|cannot be one/],
    ['a leading dash', '-rf', /must begin with a letter or a digit/],
    ['letters outside of ASCII', 'bücher', /ü/],
    ['more than a hundred characters', 'n'.repeat(101), /101 characters/],
  ];
  for (const [what, name, why] of names) {
    it(`a name with ${what}: ${name.startsWith('.') ? 'no task, as every dot name' : 'rejected with what a name may be'}`, async () => {
      await inJob(async (job) => {
        writeFileSync(job.file('pending', name), '{"command":"true"}');
        if (name.startsWith('.')) return;
        assert.match(await job.rejects(name), why);
        assert.ok(isThere(job.file('rejected', name)));
      });
    });
  }

  it('a name that is not UTF-8: rejected under a name that can be typed', async () => {
    await inJob(async (job) => {
      const path = Buffer.concat([
        Buffer.from(`${job.path('pending')}/a`),
        Buffer.from([0xff, 0xfe]),
        Buffer.from('.json'),
      ]);
      writeFileSync(path, '{"command":"true"}');
      const name = await waitUntil(
        'it is rejected',
        () => job.ids('rejected').find((id) => id.includes('utf8') || job.rejection(id)?.includes('UTF-8')),
        () => [job.names('pending'), job.names('rejected')],
      );
      assert.ok((job.rejection(name) ?? '').length > 0);
      assert.equal(readFileSync(job.file('rejected', name), 'utf8'), '{"command":"true"}');
    });
  });

  const strange: [string, (path: string) => void, RegExp][] = [
    ['a link to /etc/passwd', (path) => symlinkSync('/etc/passwd', path), /symbolic link/],
    ['a dangling link', (path) => symlinkSync('/no/such/file', path), /symbolic link/],
    ['a FIFO', (path) => void spawnSync('mkfifo', [path]), /FIFO/],
    ['a folder', (path) => mkdirSync(path), /folder/],
    [
      'a file that everybody may write to',
      (path) => (writeFileSync(path, '{"command":"true"}'), chmodSync(path, 0o666)),
      /every user/,
    ],
  ];
  for (const [what, make, why] of strange) {
    it(`${what} called x.json: rejected with what it is`, async () => {
      await inJob(async (job) => {
        make(job.file('pending', 'x'));
        assert.match(await job.rejects('x'), why);
        assert.ok(!isThere(job.file('pending', 'x')));
      });
    });
  }

  it('a file with a second name: rejected once it has had it for two seconds', async () => {
    await inJob(async (job) => {
      writeFileSync(place.aside('linked.json'), '{"command":"true"}');
      spawnSync('ln', [place.aside('linked.json'), job.file('pending', 'x')]);
      assert.match(await job.rejects('x'), /second name/);
    });
  });

  it('a file of another owner: rejected, with the setting that would allow it; of an allowed one: run', {
    skip: isRoot ? false : 'only root can give a file away',
  }, async () => {
    await inJob(async (job) => {
      for (const [name, owner] of [
        ['x', NOBODY],
        ['y', NOBODY - 1],
      ] as const) {
        const draft = job.path('pending', `.${name}`);
        writeFileSync(draft, '{"command":"true"}');
        chownSync(draft, owner, owner);
        spawnSync('mv', [draft, job.file('pending', name)]);
      }
      assert.match(await job.rejects('x'), new RegExp(`user ${NOBODY}.*allowed_owners`));
      await job.comesTo('succeeded', 'y');
    });
  });

  it('an unreadable file: rejected, with what makes it readable', {
    skip: isRoot ? 'root reads every file' : false,
  }, async () => {
    await inJob(async (job) => {
      writeFileSync(job.path('pending/.x'), '{"command":"true"}', { mode: 0o200 });
      spawnSync('mv', [job.path('pending/.x'), job.file('pending', 'x')]);
      assert.match(await job.rejects('x'), /may not read it.*chmod/);
    });
  });

  it('`x.yaml` and other strangers in pending/ are left alone', async () => {
    await inJob(async (job) => {
      job.write('pending/x.yaml', 'command: true\n').write('pending/notes', 'hi');
      job.drop('other', { command: 'true' });
      await job.comesTo('succeeded', 'other');
      assert.deepEqual(job.names('pending'), ['notes', 'x.yaml']);
    });
  });
});

/** In a place on a disk of 4 MB. */
async function onSmallDisk(settings: string, test: (place: Place) => Promise<void>): Promise<void> {
  const place = new Place();
  mkdirSync(place.dir, { mode: 0o700 });
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=700', 'spoold-test', place.dir]);
  assert.equal(mounted.status, 0, String(mounted.stderr));
  try {
    writeFileSync(place.at('config.yaml'), settings);
    await test(place);
  } finally {
    await place.end();
    spawnSync('umount', ['-l', place.dir]);
    await place.close();
  }
}

describe('a disk', () => {
  const canMount = isRoot && spawnSync('unshare', ['-m', 'true']).status === 0;

  it('that is full: nothing is started, it is said, and work goes on once there is room', {
    skip: canMount ? false : 'only root can make a small disk',
  }, async () => {
    await onSmallDisk('poll_interval: 200ms\nmin_free: {bytes: 1MB, inodes: 100}\n', async (place) => {
      await place.start();
      const job = place.job('a').drop('before', { command: 'true' });
      await job.comesTo('succeeded', 'before');
      job.write('paused', '').drop('x', { shell: 'echo x' });
      spawnSync('dd', ['if=/dev/zero', `of=${place.at('ballast')}`, 'bs=64k', 'count=100', 'status=none']);
      await waitUntil(
        'it is said',
        () => /nearly full/.test(place.log),
        () => place.log,
      );
      spawnSync('rm', [job.path('paused')]);
      job.drop('.dot', ''); // a name without content needs no block
      await waitUntil('the look after', () => place.daemon?.exitCode === null && job.isIn('pending', 'x'));
      assert.deepEqual(job.names('runs'), ['before.1']);
      spawnSync('rm', [place.at('ballast')]);
      await job.comesTo('succeeded', 'x');
      assert.equal(job.output('x'), 'x\n');
    });
  });

  it('that fills up while a task writes: the attempt ends, is settled once there is room, and nothing is lost', {
    skip: canMount ? false : 'only root can make a small disk',
  }, async () => {
    await onSmallDisk('poll_interval: 200ms\nmin_free: {bytes: 100KB, inodes: 100}\n', async (place) => {
      await place.start();
      const job = place.job('a').make({ max_parallel: 2 }).drop('x', { shell: 'head -c 16000000 /dev/zero' });
      job.drop('y', { command: 'true', dependencies: ['z'] });
      await waitUntil(
        'the disk is full',
        () => /nearly full/.test(place.log) || job.isIn('failed', 'x'),
        () => job.describe('x'),
      );
      // Room that is made while it still writes, it would fill again.
      await waitUntil('it writes no more', () =>
        place.processesOf(job.runDir('x')).every(({ args }) => !args.startsWith('head')),
      );
      spawnSync('truncate', ['-s', '0', `${job.runDir('x')}/output.log`]);
      await job.comesTo('failed', 'x');
      assert.equal(job.folderOf('y'), 'pending');
      job.drop('z', { command: 'true' });
      await job.comesTo('succeeded', 'y');
    });
  });

  it('that is full when children are to be taken in: they are, all of them, once there is room', {
    skip: canMount ? false : 'only root can make a small disk',
  }, async () => {
    await onSmallDisk('poll_interval: 200ms\nmin_free: {bytes: 0, inodes: 0}\n', async (place) => {
      await place.start();
      const ids = Array.from({ length: 9 }, (_, n) => `c${n}`);
      const drops = ids.map((id) => `echo '{"command":"true"}' >.${id}`).join('; ');
      const fill = `dd if=/dev/zero of='${place.at('ballast')}' bs=4k status=none || :`;
      const shell = `cd "$SPOOLD_PENDING"; ${drops}; ${fill}; for c in ${ids.join(' ')}; do mv .$c $c.json; done`;
      const job = place.job('a').make({ max_parallel: 1 }).drop('p', { shell });
      await waitUntil(
        'it cannot be settled',
        () => /ENOSPC/.test(place.log),
        () => place.log,
      );
      spawnSync('rm', [place.at('ballast')]);
      for (const id of ids) await job.comesTo('succeeded', id);
      await waitUntil('its parent has ended', () => job.isIn('succeeded', 'p') || job.isIn('failed', 'p'));
    });
  });

  it('that is full to the last byte: `add` says so and that room is to be made; `stop --kill` ends what runs, and is over once there is room', {
    skip: canMount ? false : 'only root can make a small disk',
  }, async () => {
    await onSmallDisk('poll_interval: 200ms\nmin_free: {bytes: 0, inodes: 0}\n', async (place) => {
      await place.start();
      const job = place.job('a').drop('x', { command: ['sleep', '1000'] });
      await job.comesTo('running', 'x');
      await waitUntil('it runs', () => place.processesOf(job.runDir('x')).some(({ args }) => args.startsWith('sleep')));
      spawnSync('dd', ['if=/dev/zero', `of=${place.at('ballast')}`, 'bs=4k', 'status=none']);
      const { status, err } = await place.spoold('add', '-J', 'a', 'true');
      assert.equal(status, 1);
      assert.match(err, /^spoold: In \S+ nothing can be written: the disk is full\.\nMake room on it [^\n]+\n$/);
      const stopped = place.spoold('stop', '--kill');
      await waitUntil('nothing runs', () => place.processesOf(job.runDir('x')).length === 0);
      spawnSync('rm', [place.at('ballast')]);
      assert.equal((await stopped).status, 0);
      assert.ok(job.isIn('pending', 'x'), job.describe('x'));
    });
  });

  it('that is read-only: the daemon does not start, and says why', {
    skip: canMount ? false : 'only root can make a small disk',
  }, async () => {
    const place = new Place();
    mkdirSync(place.dir, { mode: 0o700 });
    assert.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=700', 'spoold-test', place.dir]).status, 0);
    try {
      writeFileSync(place.at('VERSION'), '1\n');
      mkdirSync(place.at('jobs'));
      assert.equal(spawnSync('mount', ['-o', 'remount,ro', place.dir]).status, 0);
      const { status, err } = await place.spoold('start', '--foreground');
      assert.notEqual(status, 0);
      assert.match(err, /read-only/i);
      assert.ok(!err.includes('    at '), err);
    } finally {
      spawnSync('umount', ['-l', place.dir]);
      await place.close();
    }
  });
});
