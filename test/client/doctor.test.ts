// `doctor` over what each crash leaves (fixtures/states) and over what people, copies and power cuts leave: each is
// explained, looking changes nothing, and what is mended loses nothing. The daemon that mends is the real one.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs, {
  appendFileSync,
  chmodSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { mend, patientAt } from '../../src/client/doctor.ts';
import { serve } from '../../src/daemon/daemon.ts';
import { atOnce, contents, healthy, kindsOf, mendIn, newPlace, recover } from '../helpers/patient.ts';
import type { Folder, Place } from '../helpers/place.ts';
import { projectRoot } from '../protocol/root.ts';

const states = join(projectRoot(), 'fixtures', 'states');
/** Has a daemon serve it, in this process, until `isDone`. */
async function served(place: Place, isDone: () => Promise<void>): Promise<void> {
  const umask = process.umask();
  const daemon = await serve({ dir: place.dir, log: 'file' });
  await isDone();
  daemon.stop('now');
  await daemon.ended;
  process.umask(umask);
}

interface Row {
  kinds: string[];
  /** Where x is once it is mended, and nothing was started. */
  x: Folder | undefined;
  /** Something runs and goes on: nothing is wrong. */
  runs?: true;
}

const back: Pick<Row, 'x'> = { x: 'pending' };
const never: Row = { kinds: ['never_began'], ...back };
const unsettled = (x: Folder): Row => ({ kinds: ['unsettled'], x });
const settled: Row = { kinds: ['half_settled'], x: 'succeeded' };
const running: Row = { kinds: ['runs'], x: 'running', runs: true };

const ROWS: Record<string, Row> = {
  'result-without-move': settled,
  'result-half-moved': settled,
  'result-and-moved': settled,
  'result-cut-short': unsettled('succeeded'),
  'claimed-only': never,
  'never-handed-over': never,
  void: never,
  'handed-over-not-begun': never,
  'half-a-first-line': never,
  'ending-and-over': unsettled('cancelled'),
  'ending-without-a-word': unsettled('failed'),
  'ending-and-alive': { kinds: ['half_ended'], x: 'cancelled' },
  'ending-on-a-full-disk': { kinds: ['half_ended'], x: 'cancelled' },
  'ending-cut-short': running,
  'last-word-succeeded': unsettled('succeeded'),
  'last-word-failed': unsettled('failed'),
  alive: running,
  'alive-and-cancelled': { kinds: ['unwanted'], x: 'cancelled' },
  'alive-and-deleted': { kinds: ['unwanted'], x: undefined },
  'alive-without-claim': { kinds: ['runs_unclaimed', 'unclaimed'], x: 'running', runs: true },
  'alive-without-anything': { kinds: ['runs_unclaimed'], x: undefined },
  lost: { kinds: ['lost'], ...back },
  'lost-and-not-again': { kinds: ['lost'], x: 'failed' },
  'lost-and-cancelled': { kinds: ['lost'], x: 'cancelled' },
  'half-a-last-word': { kinds: ['lost'], x: 'failed' },
  'power-cut': { kinds: ['lost'], x: 'failed' },
  'power-cut-before-it-began': { kinds: ['lost'], x: 'failed' },
  unclaimed: { kinds: ['unclaimed'], ...back },
  'dead-claim': { kinds: ['dead_claim'], ...back },
  'two-names': { kinds: ['half_moved'], x: 'failed' },
  'reason-without-task': { kinds: ['reason_without_task', 'reason_without_task'], ...back },
  'bundle-half-spread': { kinds: ['half_bundle'], ...back },
  'unfinished-files': { kinds: ['leftover', 'leftover', 'leftover'], ...back },
};

/** The others of the half-spread array run when they run. */
function runsOfX(lines: string[]): number {
  return lines.filter((line) => !/[yz]$/.test(line)).length;
}

describe('doctor finds what a crash left', () => {
  const found = readdirSync(states).flatMap((name) =>
    name.endsWith('.sh') && name !== 'lib.sh' ? name.slice(0, -3) : [],
  );
  test('every state in fixtures/states has a row here, or its finding is at least mended', () => {
    assert.deepEqual(
      Object.keys(ROWS).filter((name) => !found.includes(name)),
      [],
    );
  });
  for (const name of found) {
    const row = ROWS[name];
    test(`${name}: ${row?.kinds.join(', ') ?? 'something'} → ${row?.x ?? 'gone'}`, async (t) => {
      const place = newPlace(t);
      const built = spawnSync('sh', [join(states, `${name}.sh`), place.dir], {
        encoding: 'utf8',
        env: { ...process.env, TEST_PLACE: place.root },
      });
      assert.equal(built.status, 0, built.stderr);
      chmodSync(place.dir, 0o700);
      const before = contents(place.dir);
      const ran = place.lines('ran');

      const kinds = await kindsOf(place);
      assert.ok(kinds.length > 0, 'it has something to say');
      if (row !== undefined) assert.deepEqual(kinds, row.kinds);
      assert.deepEqual(contents(place.dir), before, 'looking changes nothing');

      const { all } = await mendIn(place);
      const left = all.filter(({ finding, mended }) => !mended && finding.by !== 'nobody');
      assert.deepEqual(left, []);
      const rest = await kindsOf(place);
      assert.deepEqual(rest, row?.runs ? ['runs'] : row === undefined ? rest : []);
      assert.deepEqual(place.lines('ran'), ran, 'nothing was run by it');
      if (row !== undefined) assert.equal(place.job('demo').folderOf('x'), row.x);

      writeFileSync(place.aside('go'), '');
      const end = row?.x === 'pending' || row?.x === 'running' ? 'succeeded' : row?.x;
      await served(place, () => (end === undefined ? Promise.resolve() : place.job('demo').comesTo(end, 'x')));
      assert.equal(place.job('demo').folderOf('x'), end, 'a daemon goes on from there');
      const more = runsOfX(place.lines('ran')) - runsOfX(ran);
      assert.equal(more, end === 'succeeded' && row?.x !== 'succeeded' ? 1 : 0, 'it ran as often as it ought to');
    });
  }
});

describe('doctor and a directory in order', () => {
  test('has nothing to say about one that is served, nor once its daemon has stopped', async (t) => {
    const { place } = await healthy(t);
    assert.deepEqual(await kindsOf(place), []);
    await place.end();
    assert.deepEqual(await kindsOf(place), []);
    const before = contents(place.dir);
    assert.deepEqual((await mendIn(place)).all, []);
    assert.deepEqual(contents(place.dir), before, 'and --fix has nothing to do');
  });

  test('says of a killed daemon that its lock is left, and mends that', async (t) => {
    const { place } = await healthy(t);
    await place.kill9();
    assert.deepEqual(await kindsOf(place), ['killed']);
    await mendIn(place);
    assert.deepEqual(await kindsOf(place), []);
  });
});

describe('doctor finds what people, copies and power cuts leave', () => {
  test('and mends it without losing a byte', async (t) => {
    const { place, job } = await healthy(t);
    await place.end();
    writeFileSync(place.at('VERSION'), '');
    chmodSync(job.path('failed'), 0o777);
    writeFileSync(job.path('state.json'), '{"counts":');
    mkdirSync(place.at('env'), { recursive: true });
    writeFileSync(place.at('env', 'a'.repeat(64)), 'of another name');
    mkdirSync(job.path('runs', 'ghost.1'));
    writeFileSync(job.path('runs', 'ghost.1', 'output.log'), 'what a ghost said');
    writeFileSync(job.path('runs', 'good.1', 'result.json'), '{"job":"etl"');
    copyFileSync(job.file('succeeded', 'good'), job.file('failed', 'good'));
    appendFileSync(job.file('failed', 'good'), ' ');
    job.write('pending/torn.json', '{"command": "tr');

    writeFileSync(place.at('config.yaml'), 'max_parallel: 4\n');
    chmodSync(place.at('config.yaml'), 0o666);
    writeFileSync(job.path('started'), 'at some time');
    mkdirSync(job.path('cancelled'), { recursive: true });
    writeFileSync(job.path('cancelled', 'ghost.reason.txt'), 'cause: failed/nobody.json');
    for (const name of [job.path('.new-0a1b2c3d-7'), place.at('env', '.new-0a1b2c3d-8')]) {
      mkdirSync(name);
      utimesSync(name, 1, 1);
    }

    const odd = ['cache', 'copies', 'damaged', 'damaged', 'half_result', 'leftover', 'leftover', 'mode', 'mode'];
    odd.push('no_task', 'reason_without_task', 'run_without_task', 'version');
    assert.deepEqual(await kindsOf(place), odd);
    const { all } = await mendIn(place);
    assert.deepEqual(
      all.filter(({ mended }) => !mended),
      [],
    );
    assert.deepEqual(await kindsOf(place), []);

    const aside = readdirSync(place.at('aside'), { recursive: true, encoding: 'utf8' }).filter((name) =>
      lstatSync(place.at('aside', name)).isFile(),
    );
    const texts = aside.map((name) => readFileSync(place.at('aside', name), 'utf8')).sort();
    assert.deepEqual(texts, ['', 'at some time', 'of another name', 'what a ghost said', '{"job":"etl"'].sort());
    assert.equal(lstatSync(job.path('failed')).mode & 0o777, 0o770);
    assert.match(job.rejection('torn') ?? '', /torn\.json:1:/);
    assert.match(job.rejection('good') ?? '', /the id good is in use/);
    assert.equal(job.isIn('succeeded', 'good'), true);
  });

  test('touches nothing of a newer format', async (t) => {
    const { place } = await healthy(t);
    await place.end();
    writeFileSync(place.at('VERSION'), '2\n');
    writeFileSync(place.job('etl').path('state.json'), '');
    const before = contents(place.dir);
    const { all } = await mendIn(place);
    assert.deepEqual(
      all.map(({ finding, mended }) => [finding.kind, finding.by, mended]),
      [['version', 'you', false]],
    );
    assert.deepEqual(contents(place.dir), before);
    writeFileSync(place.at('VERSION'), '1\n');
  });

  test('leaves to a living daemon what is its own, and clears away only what nobody owns', async (t) => {
    const { place, job } = await healthy(t);
    const old = job.path('pending', '.new-0a1b2c3d-9');
    writeFileSync(old, 'half');
    utimesSync(old, 1, 1);
    writeFileSync(place.at('parallel'), 'many');
    job.drop('long', { command: ['sleep', '600'] });
    await job.comesTo('running', 'long');
    const { all } = await mend(patientAt(place.dir), () => assert.fail('a daemon serves it'), atOnce);
    const told = all.map(({ finding, mended }) => `${finding.kind}: ${mended ? 'mended' : 'left'}`);
    assert.deepEqual(told.sort(), ['leftover: mended', 'settings: left']);
    job.move('long', 'running', 'cancelled');
    await job.comesTo('cancelled', 'long');
  });
});

test('the command tells it in words and in JSON, and its status says whether anything is left', async (t) => {
  const { place, job } = await healthy(t);
  await place.end();
  writeFileSync(job.path('state.json'), 'no JSON');
  const looked = await place.spoold('doctor');
  assert.equal(looked.status, 1);
  assert.match(looked.out, /^1 oddity in .*\n\njobs\/etl\/state\.json\n  the summary cannot be read\.\n/);
  assert.match(looked.out, /Next: spoold doctor --dir \S+ --fix\n$/);
  const report = JSON.parse((await place.spoold('doctor', '--json')).out) as { healthy: boolean; findings: object[] };
  assert.deepEqual([report.healthy, report.findings.length], [false, 1]);
  const fixed = await place.spoold('doctor', '--fix');
  assert.equal(fixed.status, 0);
  assert.match(fixed.out, /all mended/);
  const again = await place.spoold('doctor');
  assert.deepEqual([again.status, again.out], [0, `Nothing is odd in ${place.dir}.\n`]);
  const none = await place.spoold('doctor', '--dir', '/nowhere');
  assert.deepEqual([none.status, none.out], [3, '']);
});

test('a pending/ that is open to all is in order where others may drop, and only it', async (t) => {
  const { place, job } = await healthy(t);
  await place.end();
  chmodSync(job.path('pending'), 0o1777);
  assert.deepEqual(await kindsOf(place), ['mode']);
  writeFileSync(place.at('config.yaml'), 'allowed_owners: [12345]\n');
  assert.deepEqual(await kindsOf(place), []);
  chmodSync(job.path('failed'), 0o777);
  assert.deepEqual(await kindsOf(place), ['mode']);
});

test('--fix comes to an end where a job.json does not read', async (t) => {
  const { place, job } = await healthy(t);
  await place.end();
  writeFileSync(job.path('job.json'), '');
  place.job('sound').drop('x', { command: 'true' });
  mkdirSync(place.job('sound').path('running'));
  renameSync(place.job('sound').file('pending', 'x'), place.job('sound').file('running', 'x'));
  await recover(place);
  assert.equal(place.job('sound').folderOf('x'), 'pending');
});

test('--fix comes to an end where a task whose time has come may not start', async (t) => {
  const { place, job } = await healthy(t);
  await place.end();
  job.drop('due', { command: 'true', not_before: '2020-01-01T00:00:00Z' });
  writeFileSync(job.path('paused'), '');
  await recover(place);
  assert.equal(job.folderOf('due'), 'pending');
});

test('a clock of a job at rest is a leftover, and one of a job with work is none', async (t) => {
  const { place, job } = await healthy(t);
  await place.end();
  writeFileSync(job.path('started'), new Date().toISOString());
  assert.deepEqual(await kindsOf(place), []); // `later` waits
  renameSync(job.file('pending', 'later'), job.file('cancelled', 'later'));
  rmSync(job.path('pending', 'held.yaml'));
  assert.deepEqual(await kindsOf(place), ['leftover']);
  await mendIn(place);
  assert.deepEqual(await kindsOf(place), []);
});

test('a finished task costs four calls of the system to look over, however many there are', async (t) => {
  const { place, job } = await healthy(t);
  await place.end();
  const add = (from: number, to: number): void => {
    for (let n = from; n < to; n++) {
      copyFileSync(job.file('succeeded', 'good'), job.file('succeeded', `t${n}`));
      mkdirSync(job.path('runs', `t${n}.1`));
      copyFileSync(job.path('runs', 'good.1', 'result.json'), job.path('runs', `t${n}.1`, 'result.json'));
    }
  };
  const callsToLook = async (): Promise<number> => {
    let calls = 0;
    const open = new Set<unknown>();
    const names = [
      'openSync',
      'readSync',
      'closeSync',
      'lstatSync',
      'statSync',
      'fstatSync',
      'readFileSync',
      'readdirSync',
    ];
    const patched = fs as unknown as Record<string, (...args: unknown[]) => unknown>;
    const real = names.map((name) => [name, patched[name] as (...args: unknown[]) => unknown] as const);
    for (const [name, call] of real) {
      patched[name] = (...args) => {
        const isOurs = String(args[0]).startsWith(place.dir) || open.has(args[0]);
        if (isOurs) calls++;
        const answer = call(...args);
        if (name === 'openSync' && isOurs) open.add(answer);
        if (name === 'closeSync') open.delete(args[0]);
        return answer;
      };
    }
    syncBuiltinESMExports();
    try {
      assert.deepEqual(await kindsOf(place), []);
    } finally {
      for (const [name, call] of real) patched[name] = call;
      syncBuiltinESMExports();
    }
    return calls;
  };
  add(0, 100);
  const before = await callsToLook();
  add(100, 600);
  const perTask = ((await callsToLook()) - before) / 500;
  assert.equal(perTask, 4);
});
