import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { lstatSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type Folder, type JobHands, Place, readText } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';
import { projectRoot } from '../protocol/root.ts';

const states = join(projectRoot(), 'fixtures', 'states');

interface Row {
  /** The folder in which x is in the end; undefined: in none. */
  x: Folder | undefined;
  /** What x has written, over all attempts: nothing that ran runs again unless it may. */
  ran: string[];
  /** Events of x, among others, in this order. */
  events?: string[];
  /** What else is to be seen. */
  also?: (job: JobHands) => void;
  /** Once the daemon serves: what the user does then. */
  meanwhile?: (job: JobHands) => Promise<void>;
}

const settledBefore = (job: JobHands): void => {
  assert.equal(job.result('x').message, 'before the crash');
  assert.deepEqual(attemptsOf(job), ['x.1']);
};
const endedWith =
  (reason: string, exitCode: number | null) =>
  (job: JobHands): void => {
    const { reason: said, exit_code } = job.result('x');
    assert.deepEqual([said, exit_code], [reason, exitCode]);
    assert.deepEqual(attemptsOf(job), ['x.1']);
  };
const letGo = async (job: JobHands): Promise<void> => {
  assert.equal(job.folderOf('x'), 'running');
  assert.equal(job.isClaimed('x'), true);
  assert.deepEqual(job.place.lines('ran'), []);
  writeFileSync(job.place.aside('go'), '');
  await job.comesTo('succeeded', 'x');
};
const nothingLives = async (job: JobHands): Promise<void> => {
  await waitUntil('its processes have ended', () => job.place.processesOf(job.runDir('x')).length === 0);
  await waitUntil('its runner has said its last word', () =>
    readText(join(job.runDir('x'), 'pid'))?.includes('exited'),
  );
};

/** fixtures/states/<name>.sh → what a daemon that finds it makes of it. */
const ROWS: Record<string, Row> = {
  // has a result.json: finish the move it names, unlink the claim
  'result-without-move': { x: 'succeeded', ran: ['ran 1'], also: settledBefore },
  'result-half-moved': { x: 'succeeded', ran: ['ran 1'], also: settledBefore },
  'result-and-moved': { x: 'succeeded', ran: ['ran 1'], also: settledBefore },
  'result-cut-short': { x: 'succeeded', ran: ['ran 1'], also: endedWith('exit', 0) },
  // is void, or was never handed over: back to pending, at no cost
  'claimed-only': { x: 'succeeded', ran: ['ran 2'], events: ['given_back', 'started'] },
  'never-handed-over': { x: 'succeeded', ran: ['ran 2'], events: ['given_back', 'started'] },
  void: { x: 'succeeded', ran: ['ran 2'], events: ['given_back', 'started'] },
  // has ending: go on, or settle by it, even if the command then exited 0
  'ending-and-over': { x: 'cancelled', ran: ['ran 1'], also: endedWith('cancelled', 0) },
  'ending-without-a-word': { x: 'failed', ran: ['ran 1'], also: endedWith('timeout', null) },
  'ending-and-alive': { x: 'cancelled', ran: [], also: endedWith('cancelled', 143), meanwhile: nothingLives },
  'ending-on-a-full-disk': { x: 'cancelled', ran: [], also: endedWith('cancelled', 143), meanwhile: nothingLives },
  'ending-cut-short': { x: 'succeeded', ran: ['ran 1'], also: endedWith('exit', 0), meanwhile: letGo },
  // has its last word: settle by it
  'last-word-succeeded': { x: 'succeeded', ran: ['ran 1'], also: endedWith('exit', 0) },
  'last-word-failed': { x: 'failed', ran: ['ran 1'], also: endedWith('exit', 3) },
  // is alive: adopt it, or end it if its task is gone
  alive: { x: 'succeeded', ran: ['ran 1'], also: endedWith('exit', 0), meanwhile: letGo },
  'alive-and-cancelled': {
    x: 'cancelled',
    ran: [],
    events: ['ending'],
    also: endedWith('cancelled', 143),
    meanwhile: nothingLives,
  },
  'alive-and-deleted': {
    x: undefined,
    ran: [],
    events: ['ending'],
    also: endedWith('deleted', 143),
    meanwhile: nothingLives,
  },
  'alive-without-claim': { x: 'succeeded', ran: ['ran 1'], also: endedWith('exit', 0), meanwhile: letGo },
  'alive-without-anything': { x: undefined, ran: [], meanwhile: nothingLives },
  // has no complete line 1: void it, look again
  'handed-over-not-begun': { x: 'succeeded', ran: ['ran 2'], events: ['given_back', 'started'], also: isVoid },
  'half-a-first-line': { x: 'succeeded', ran: ['ran 2'], events: ['given_back', 'started'], also: isVoid },
  // none of these: lost
  lost: { x: 'succeeded', ran: ['ran 2'], also: (job) => assert.deepEqual(reasons(job), ['lost', 'exit']) },
  'lost-and-not-again': { x: 'failed', ran: [], also: endedWith('lost', null) },
  'lost-and-cancelled': { x: 'cancelled', ran: [], also: endedWith('lost', null) },
  'half-a-last-word': { x: 'failed', ran: ['ran 1'], also: endedWith('lost', null) },
  'power-cut': { x: 'failed', ran: [], also: endedWith('lost', null) },
  'power-cut-before-it-began': { x: 'failed', ran: [], also: endedWith('lost', null) },
  // no claim, or a claim to nothing
  unclaimed: { x: 'succeeded', ran: ['ran 1'], events: ['returned', 'started'] },
  'dead-claim': { x: 'succeeded', ran: ['ran 1'], events: ['started'] },
  'two-names': { x: 'failed', ran: [], also: (job) => assert.equal(lstatSync(job.file('failed', 'x')).nlink, 1) },
  // halves of other steps
  'reason-without-task': { x: 'succeeded', ran: ['ran 1'] },
  'bundle-half-spread': {
    x: 'succeeded',
    ran: ['ran x', 'ran z'],
    also: (job) => assert.deepEqual([job.ids('succeeded'), job.names('rejected')], [['x', 'y', 'z'], []]),
    meanwhile: (job) => job.comesTo('succeeded', 'z'),
  },
  'unfinished-files': {
    x: 'succeeded',
    ran: ['ran 1'],
    also: (job) => {
      assert.deepEqual(job.names('pending'), ['.new-0a1b2c3d-3']);
      assert.deepEqual(
        readdirSync(job.place.dir).filter((name) => /^\.new|json\.\d/.test(name)),
        [],
      );
    },
  },
};

function isVoid(job: JobHands): void {
  assert.equal(lstatSync(join(job.runDir('x'), 'output.log')).ino, lstatSync(join(job.runDir('x'), 'run')).ino);
}

function attemptsOf(job: JobHands): string[] {
  return job.names('runs').filter((name) => name.startsWith('x.'));
}

function reasons(job: JobHands): string[] {
  return job.results('x').map((result) => result.reason);
}

interface Event {
  event: string;
  task?: string;
  job?: string;
}

function eventsOf(job: JobHands): Event[] {
  const lines = readFileSync(job.place.at('events.ndjson'), 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Event).filter((line) => line.job === job.name);
}

/** Every name in the job's folder, with what it is and holds, but for the daemon's own summary. */
function contents(job: JobHands): string[] {
  const names = readdirSync(job.path(), { recursive: true, encoding: 'utf8' }).filter((name) => name !== 'state.json');
  return names.sort().map((name) => {
    const stat = lstatSync(job.path(name));
    if (stat.isSymbolicLink()) return `${name} → ${readlinkSync(job.path(name))}`;
    return stat.isDirectory() ? `${name}/` : `${name} ${stat.ino} ${readFileSync(job.path(name), 'utf8')}`;
  });
}

/** A task that is run proves that the daemon has looked at everything and acted on it. */
async function probe(place: Place, id: string): Promise<void> {
  await place
    .job('probe')
    .drop(id, { command: ['true'] })
    .comesTo('succeeded', id);
}

test('every state in fixtures/states is known to this test', () => {
  const names = readdirSync(states).flatMap((name) =>
    name.endsWith('.sh') && name !== 'lib.sh' ? name.slice(0, -3) : [],
  );
  assert.deepEqual(names.sort(), Object.keys(ROWS).sort());
});

describe('a daemon that finds what a crash left', { concurrency: 3 }, () => {
  for (const [name, row] of Object.entries(ROWS)) {
    const [sentence] = readFileSync(join(states, `${name}.sh`), 'utf8').split('\n');
    test(`${name}: ${sentence?.slice(2)} → ${row.x ?? 'gone'}, ran: ${row.ran.join(', ') || 'never'}`, async (t) => {
      const place = new Place();
      t.after(() => place.close());
      const job = place.job('demo');
      const built = spawnSync('sh', [join(states, `${name}.sh`), place.dir], {
        encoding: 'utf8',
        env: { ...process.env, TEST_PLACE: place.root },
        timeout: 60_000,
      });
      assert.equal(built.status, 0, built.stderr);

      await place.start();
      await row.meanwhile?.(job);
      if (row.x !== undefined) await job.comesTo(row.x, 'x');
      await probe(place, 'first');
      await waitUntil(
        'no claim stands',
        () => !job.isClaimed('x'),
        () => job.describe('x'),
      );

      assert.equal(job.folderOf('x'), row.x);
      assert.deepEqual(place.lines('ran').sort(), row.ran);
      row.also?.(job);
      const events = eventsOf(job)
        .filter((event) => event.task === 'x')
        .map(({ event }) => event);
      let at = -1;
      for (const event of row.events ?? []) {
        at = events.indexOf(event, at + 1);
        assert.ok(at >= 0, `${row.events?.join(', ')} in ${events.join(', ')}`);
      }
      assert.equal(await place.end(), 0);
      const before = contents(job);
      const told = eventsOf(job).length;

      await place.start();
      await probe(place, 'second');
      assert.equal(await place.end(), 0);
      assert.deepEqual(contents(job), before, 'a second start changes nothing');
      assert.equal(eventsOf(job).length, told, 'and tells of nothing');
    });
  }
});
