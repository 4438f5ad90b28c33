// `doctor` where something else lies in a place of ours: a link, a folder for a file, a VERSION of nobody's, rights that
// are missing. It says so and who mends it, looks at all the rest, and changes nothing that is not ours.
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
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { diagnose, type Finding, type Mended, mend, patientAt } from '../../src/client/doctor.ts';
import { projectRoot } from '../protocol/root.ts';
import { atOnce, contents, healthy, kindsOf, mendIn, newPlace } from '../helpers/patient.ts';
import { bin, isThere, type JobHands, type Place, speak, type Spoken } from '../helpers/place.ts';
import { isRoot } from '../helpers/scratch.ts';
import { waitUntil } from '../helpers/wait-until.ts';

/** A directory in order that nobody serves. */
async function atRest(t: TestContext): Promise<{ place: Place; job: JobHands }> {
  const all = await healthy(t);
  await all.place.end();
  return all;
}

async function findings(place: Place): Promise<Finding[]> {
  return (await diagnose(patientAt(place.dir), atOnce)).findings;
}

/** What was found while it was mended. */
function foundIn(place: Place, all: readonly Mended[]): string[] {
  return inShort(
    place,
    all.map(({ finding }) => finding),
  );
}

/** `kind path by`, paths from the top. */
function inShort(place: Place, all: readonly Finding[]): string[] {
  return all.map(({ kind, path, by }) => `${kind} ${path.replace(`${place.dir}/`, '').replace(place.dir, '.')} ${by}`);
}

function left(all: readonly Mended[]): string[] {
  return all.flatMap(({ finding, mended }) => (mended || finding.by === 'nobody' ? [] : finding.kind));
}

function modeOf(path: string): number {
  return lstatSync(path).mode & 0o777;
}

/** A folder outside, that looks like one of ours and has something of ours in it. */
function outside(place: Place, mode: number): string {
  const dir = place.aside('outside');
  mkdirSync(join(dir, 'pending'), { recursive: true });
  for (const name of ['.new-0a1b2c3d-1', 'x.json', 'a'.repeat(64), 'state.json']) {
    writeFileSync(join(dir, name), 'mine');
    utimesSync(join(dir, name), 1, 1);
  }
  chmodSync(dir, mode);
  return dir;
}

describe('through a link in the place of', () => {
  test('config.yaml nothing is changed, and it is read as it is', async (t) => {
    const { place } = await atRest(t);
    const target = place.aside('settings.yaml');
    writeFileSync(target, 'max_parallel: 4\n', { mode: 0o600 });
    symlinkSync(target, place.at('config.yaml'));
    assert.deepEqual(await kindsOf(place), []);
    assert.deepEqual((await mendIn(place)).all, []);
    assert.equal(modeOf(target), 0o600);

    chmodSync(target, 0o666);
    const { all } = await mendIn(place);
    assert.deepEqual(foundIn(place, all), ['mode config.yaml you']);
    assert.equal(modeOf(target), 0o666);
    writeFileSync(target, 'max_parallel: many\n');
    chmodSync(target, 0o600);
    assert.deepEqual(await kindsOf(place), ['settings']);
  });

  for (const mode of [0o700, 0o777]) {
    for (const name of ['jobs', 'env', 'jobs/etl/failed', 'jobs/etl/pending', 'jobs/etl/runs']) {
      test(`${name} nothing is changed or looked at, of mode ${mode.toString(8)}`, async (t) => {
        const { place } = await atRest(t);
        const dir = outside(place, mode);
        if (isThere(place.at(name))) renameSync(place.at(name), place.aside('away'));
        symlinkSync(dir, place.at(name));
        const before = contents(dir);
        const { all } = await mendIn(place);
        assert.deepEqual(foundIn(place, all), [`no_folder ${name} you`]);
        assert.deepEqual(left(all), ['no_folder']);
        assert.deepEqual(contents(dir), before);
        assert.equal(modeOf(dir), mode);
      });
    }
  }

  test('a job, which is told once', async (t) => {
    const { place } = await atRest(t);
    const dir = outside(place, 0o777);
    symlinkSync(dir, place.at('jobs', 'elsewhere'));
    const before = contents(dir);
    const { all } = await mendIn(place);
    assert.deepEqual(foundIn(place, all), ['no_job jobs/elsewhere you']);
    assert.deepEqual(contents(dir), before);
  });
});

describe('a VERSION', () => {
  for (const text of ['2.0', 'v2', '1.1', '0', '1 # x', '1\n2\n', '2\n']) {
    test(`that says ${JSON.stringify(text)} is for a person: nothing is changed, and nothing else is looked at`, async (t) => {
      const { place, job } = await atRest(t);
      writeFileSync(place.at('VERSION'), text);
      writeFileSync(job.path('state.json'), '');
      chmodSync(place.at('jobs'), 0o777);
      writeFileSync(place.at('env'), 'no folder');
      const before = contents(place.dir);
      const { all } = await mendIn(place);
      assert.deepEqual(foundIn(place, all), ['version VERSION you']);
      assert.deepEqual(contents(place.dir), before);
      const [says, started] = [all[0]?.finding.says ?? '', await place.spoold('start', '--foreground')];
      assert.ok(says.includes(JSON.stringify(text.trim())) || says.includes('names format 2'), says);
      assert.ok(started.err.includes(says.slice('it '.length)), `start says the same: ${started.err}`);
      writeFileSync(place.at('VERSION'), '1\n');
    });
  }

  for (const text of ['', ' \n', '\0\0', undefined]) {
    test(`that says ${text === undefined ? 'nothing, for it is not there' : JSON.stringify(text)} is written anew`, async (t) => {
      const { place } = await atRest(t);
      if (text === undefined) rmSync(place.at('VERSION'));
      else writeFileSync(place.at('VERSION'), text);
      const { all } = await mendIn(place);
      assert.deepEqual(left(all), []);
      assert.equal(readFileSync(place.at('VERSION'), 'utf8'), '1\n');
    });
  }

  test('that is a folder, or a link to nothing, is for a person', async (t) => {
    const { place } = await atRest(t);
    for (const put of [() => mkdirSync(place.at('VERSION')), () => symlinkSync('nowhere', place.at('VERSION'))]) {
      rmSync(place.at('VERSION'), { recursive: true });
      put();
      const { all } = await mendIn(place);
      assert.deepEqual(foundIn(place, all), ['version VERSION you']);
      assert.equal(lstatSync(place.at('VERSION')).isFile(), false);
    }
  });
});

describe('of a job that the daemon leaves alone', () => {
  for (const [served, other] of [
    ['n', 'N'],
    ['N', 'n'],
  ] as const) {
    test(`for its name ${other}, and not of ${served}, which it serves, that is said`, async (t) => {
      const { place } = await healthy(t);
      await place.job(served).drop('x', { command: 'true' }).comesTo('succeeded', 'x');
      place.job(other).drop('x', { command: 'true' });
      const all = await waitUntil('it is told', async () => {
        const now = await findings(place);
        return now.some(({ kind }) => kind === 'left_alone') && now;
      });
      assert.deepEqual(inShort(place, all), [`left_alone jobs/${other} you`]);
      assert.match(all[0]?.says ?? '', new RegExp(`there is a job ${served}, which differs only in case`));
      await place.end();
      const [unserved] = await findings(place);
      assert.match(unserved?.says ?? '', /runs one of them, and leaves the other alone/);
    });
  }

  test('for one of its folders, one finding is told, and not two', async (t) => {
    const { place, job } = await healthy(t);
    renameSync(job.path('skipped'), place.aside('away'));
    symlinkSync(place.aside('away'), job.path('skipped'));
    const isLeft = (): boolean => readFileSync(place.at('daemon.json'), 'utf8').includes('left_alone');
    await waitUntil('the daemon leaves it alone', isLeft);
    assert.deepEqual(inShort(place, await findings(place)), ['no_folder jobs/etl/skipped you']);
    rmSync(job.path('skipped'));
    renameSync(place.aside('away'), job.path('skipped'));
  });
});

/** Root without what root may do more with files; an ordinary user already is one. */
const ORDINARY = isRoot ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search'] : [];
const canBeOrdinary = !isRoot || spawnSync(ORDINARY[0] as string, [...ORDINARY.slice(1), 'true']).status === 0;

type Told = Finding & { mended: boolean; failed?: string };

function doctor(place: Place, ...args: string[]): Promise<Spoken> {
  return speak(['doctor', '--dir', place.dir, '--json', ...args], {
    cwd: place.root,
    env: { TEST_PLACE: place.root },
    under: ORDINARY,
  });
}

function told({ out }: Spoken): Told[] {
  return (JSON.parse(out) as { findings: Told[] }).findings;
}

describe('for one who is not root, what may not be used', { skip: canBeOrdinary ? false : 'root may do all' }, () => {
  for (const [name, mode] of [
    ['jobs/etl', 0o000],
    ['jobs/etl', 0o500],
    ['jobs/etl/succeeded', 0o000],
    ['jobs/etl/pending', 0o500],
    ['jobs/etl/runs', 0o000],
    ['jobs/etl/runs/good.1', 0o000],
    ['jobs/etl/runs/good.1/result.json', 0o000],
    ['jobs/etl/parallel', 0o000],
    ['config.yaml', 0o000],
    ['daemon.json', 0o000],
    ['jobs', 0o000],
    ['env', 0o300],
    ['.', 0o000],
    ['.', 0o500],
  ] as const) {
    test(`is told, and nothing is set aside for it: ${name} of mode ${mode.toString(8)}`, async (t) => {
      const { place, job } = await atRest(t);
      mkdirSync(place.at('env'), { recursive: true });
      writeFileSync(place.at('config.yaml'), 'max_parallel: 4\n');
      writeFileSync(job.path('parallel'), '4');
      if (name === 'daemon.json') mkdirSync(place.at('daemon.lock')); // whose it is, that would say
      const path = name === '.' ? place.dir : place.at(name);
      const { mode: before } = lstatSync(path);
      chmodSync(path, mode);
      t.after(() => isThere(path) && chmodSync(path, before));
      try {
        for (const args of [[], ['--fix']]) {
          const spoken = await doctor(place, ...args);
          assert.deepEqual(inShort(place, told(spoken)), [`mode ${name} you`], spoken.out + spoken.err);
          assert.equal(spoken.status, 1);
          assert.ok(told(spoken)[0]?.would.includes(`chmod u+rw${lstatSync(path).isDirectory() ? 'x' : ''} ${path}`));
        }
      } finally {
        chmodSync(path, before);
      }
      assert.equal(isThere(place.at('aside')), false);
    });
  }

  test('keeps doctor from nothing else, and it says why what it tried has failed', async (t) => {
    const { place, job } = await atRest(t);
    place.job('other').write('state.json', 'no JSON');
    writeFileSync(job.path('state.json'), 'no JSON');
    mkdirSync(place.at('daemon.lock'));
    chmodSync(job.path(), 0o500);
    try {
      const { status, out } = await doctor(place, '--fix');
      const all = told({ status, err: '', out });
      assert.equal(status, 1);
      const short = inShort(place, all).map((one, i) => `${one} ${all[i]?.mended}`);
      const expected = ['cache jobs/etl/state.json doctor false', 'cache jobs/other/state.json doctor true'];
      expected.push('killed daemon.lock start true', 'mode jobs/etl you false');
      assert.deepEqual(short.sort(), expected);
      assert.match(all.find(({ path }) => path.endsWith('etl/state.json'))?.failed ?? '', /EACCES/);
    } finally {
      chmodSync(job.path(), 0o700);
    }
  });

  test('is the format, which is then unknown: nothing is changed', async (t) => {
    const { place } = await atRest(t);
    chmodSync(place.at('VERSION'), 0o000);
    const before = readdirSync(place.dir);
    try {
      const spoken = await doctor(place, '--fix');
      assert.deepEqual(inShort(place, told(spoken)), ['version VERSION you']);
      assert.match(told(spoken)[0]?.says ?? '', /cannot be read: EACCES/);
      assert.deepEqual(readdirSync(place.dir), before);
      const started = await speak(['start', '--foreground', '--dir', place.dir], { under: ORDINARY });
      assert.match(started.err, /VERSION should say 1, and cannot be read: EACCES/);
    } finally {
      chmodSync(place.at('VERSION'), 0o600);
    }
  });
});

function refuse(): Promise<void> {
  return Promise.reject(Object.assign(new Error('EADDRINUSE: somebody serves it'), { code: 'EADDRINUSE' }));
}

describe('in the way of a daemon', () => {
  for (const [name, put, finding] of [
    ['daemon.lock, a file', (p) => writeFileSync(p.at('daemon.lock'), ''), 'no_lock daemon.lock doctor'],
    [
      'daemon.lock, with something in it',
      (p) => mkdirSync(p.at('daemon.lock', 'x'), { recursive: true }),
      'no_lock daemon.lock doctor',
    ],
    [
      'daemon.json, a folder',
      (p) => (rmSync(p.at('daemon.json')), mkdirSync(p.at('daemon.json'))),
      'damaged daemon.json doctor',
    ],
    ['stop, a folder', (p) => mkdirSync(p.at('stop')), 'stop_request stop doctor'],
    ['archive, a file', (p) => writeFileSync(p.at('archive'), ''), 'no_folder archive doctor'],
    [
      'a claim, a folder',
      (p) => mkdirSync(p.job('etl').path('running', 'later.run')),
      'no_claim jobs/etl/running/later.run doctor',
    ],
  ] as [string, (place: Place) => void, string][]) {
    test(`is ${name}: it is set aside, and one starts`, async (t) => {
      const { place, job } = await atRest(t);
      put(place);
      assert.deepEqual(inShort(place, await findings(place)), [finding]);
      const { all } = await mendIn(place);
      assert.deepEqual(left(all), []);
      assert.equal(readdirSync(place.at('aside')).length, 1);
      await place.start();
      await job.drop('next', { command: 'true' }).comesTo('succeeded', 'next');
    });
  }

  test('is archive, a file, for a job on its way there: both are told and mended', async (t) => {
    const { place, job } = await atRest(t);
    for (const name of ['later.json', 'held.yaml']) rmSync(job.path('pending', name));
    renameSync(job.path(), place.at('jobs', '.archived-etl.20260101T000000Z'));
    writeFileSync(place.at('archive'), 'mine');
    assert.deepEqual(await kindsOf(place), ['leftover', 'no_folder']);
    const { all } = await mendIn(place);
    assert.deepEqual(left(all), []);
    assert.deepEqual(readdirSync(place.at('archive')), ['etl.20260101T000000Z']);
  });

  test('is what cannot be set aside: the rest is mended, and why is said', async (t) => {
    const { place, job } = await atRest(t);
    writeFileSync(place.at('aside'), 'no folder');
    writeFileSync(place.at('daemon.lock'), '');
    writeFileSync(job.path('state.json'), 'no JSON');
    const { status, out } = await place.spoold('doctor', '--fix');
    assert.equal(status, 1);
    assert.match(out, /daemon\.lock\n.*\n.*\n {2}not mended: E\w+: /);
    assert.match(out, /state\.json\n.*\n {2}mended: /);
    assert.doesNotMatch(out, /Next:/);
  });

  test('is another one, that was started meanwhile: what it would have mended is left, and that is said', async (t) => {
    const { place, job } = await atRest(t);
    renameSync(job.file('pending', 'later'), job.file('running', 'later'));
    const { all } = await mend(patientAt(place.dir), refuse, atOnce);
    assert.deepEqual(
      all.map(({ finding, mended, failed }) => [finding.kind, mended, failed]),
      [['unclaimed', false, 'EADDRINUSE: somebody serves it']],
    );
  });
});

test('an array that cannot be spread any further is told as one that is rejected, and is', async (t) => {
  const { place, job } = await atRest(t);
  writeFileSync(job.path('pending', '.bundle-text'), 'no array');
  writeFileSync(job.path('pending', '.bundle-one'), '{"command":"true"}');
  writeFileSync(job.path('pending', '.bundle-bad'), '[{"id":"a","comand":"true"}]');
  mkdirSync(job.path('pending', '.bundle-folder'));
  symlinkSync('nowhere', job.path('pending', '.bundle-link'));
  const names = ['bad', 'folder', 'link', 'one', 'text'];
  const expected = names.map((name) => `no_task jobs/etl/pending/.bundle-${name} start`);
  assert.deepEqual(inShort(place, await findings(place)).sort(), expected);
  const { all } = await mendIn(place);
  assert.deepEqual(left(all), []);
  assert.equal(job.names('rejected').filter((name) => /^bundle(\.\d)?\.json$/.test(name)).length, names.length);
});

test('of an attempt that is lost, what will not be run again is not promised to be', async (t) => {
  const place = newPlace(t);
  const script = join(projectRoot(), 'fixtures', 'states', 'lost-and-cancelled.sh');
  assert.equal(spawnSync('sh', [script, place.dir]).status, 0);
  chmodSync(place.dir, 0o700);
  const [lost] = await findings(place);
  assert.match(
    lost?.would ?? '',
    /called lost; its file was moved to cancelled\/, and the task stays in cancelled\/\.$/,
  );
  rmSync(place.job('demo').file('cancelled', 'x'));
  const [gone] = await findings(place);
  assert.match(gone?.would ?? '', /called lost; its file was deleted, and no task is left to be run again\.$/);
});

test('a config.yaml that is a FIFO is not waited for', async (t) => {
  const { place } = await atRest(t);
  assert.equal(spawnSync('mkfifo', [place.at('config.yaml')]).status, 0);
  const all = await findings(place);
  assert.deepEqual(inShort(place, all), ['settings config.yaml you']);
  assert.match(all[0]?.says ?? '', /it is no file/);
});

test('validate goes on reading what a shell hands it', async (t) => {
  const { place } = await atRest(t);
  const command = `echo '{"command":"true"}' | '${process.execPath}' '${bin}' validate /dev/stdin`;
  const said = spawnSync('sh', ['-c', command], { cwd: place.root, encoding: 'utf8' });
  assert.equal(said.status, 0, said.stderr + said.stdout);
});

describe('a reason', () => {
  test('that is missing or empty beside a rejected file is missed', async (t) => {
    const { place, job } = await atRest(t);
    writeFileSync(job.path('rejected', 'odd.error.txt'), '');
    writeFileSync(job.path('rejected', 'more.json'), '{}');
    const expected = ['no_reason jobs/etl/rejected/more.json you', 'no_reason jobs/etl/rejected/odd.json you'];
    assert.deepEqual(inShort(place, await findings(place)).sort(), expected);
  });

  test('that is empty beside a skipped task is taken for a power cut after one, and told to a person else', async (t) => {
    const { place, job } = await atRest(t);
    writeFileSync(job.path('skipped', 'after.reason.txt'), '');
    assert.deepEqual(inShort(place, await findings(place)), ['no_reason jobs/etl/skipped/after.reason.txt you']);
    const record = JSON.parse(readFileSync(place.at('daemon.json'), 'utf8')) as { identity: { boot: string } };
    record.identity.boot = '00000000-0000-0000-0000-000000000000';
    writeFileSync(place.at('daemon.json'), JSON.stringify(record));
    assert.deepEqual(inShort(place, await findings(place)), ['no_reason jobs/etl/skipped/after.reason.txt start']);
    const { all } = await mendIn(place);
    assert.deepEqual(left(all), []);
    assert.match(readFileSync(job.path('skipped', 'after.reason.txt'), 'utf8'), /^cause: failed\/bad\.json/);
  });
});
