// Resources: who is given what, told by the tasks themselves, over kills of the daemon; and who waits for it.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { type JobHands, Place, readText, speak, type Task } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';

/** The account that tasks keep of themselves: each line one append. */
const ACCOUNT = 'account';

/** Says that it begins, and on which index; waits until it is let go; says that it ends. */
function holder(place: Place, more: Task): Task {
  const account = place.aside(ACCOUNT);
  const gate = place.aside('gate');
  const line = (word: string) =>
    `echo "${word} $SPOOLD_TASK \${SPOOLD_GPU:-none} \${CUDA_VISIBLE_DEVICES:-none}" >>'${account}'`;
  return {
    shell: `${line('begin')}; until [ -e '${gate}-'$SPOOLD_TASK ]; do sleep 0.05; done; ${line('end')}`,
    ...more,
  };
}

function letGo(place: Place, ...ids: string[]): void {
  for (const id of ids) writeFileSync(place.aside(`gate-${id}`), '');
}

/** Who has begun, in that order. */
const begun = (place: Place): string[] =>
  place.lines(ACCOUNT).flatMap((line) => (line.startsWith('begin ') ? [line.split(' ')[1] as string] : []));

const hasBegun = (place: Place, ...ids: string[]): Promise<unknown> =>
  waitUntil(
    `${ids.join(', ')} run`,
    () => ids.every((id) => begun(place).includes(id)),
    () => [place.lines(ACCOUNT), place.log.slice(-2000)],
  );

const manyHaveBegun = (place: Place, many: number): Promise<unknown> =>
  waitUntil(
    `${many} have begun`,
    () => begun(place).length >= many,
    () => [place.lines(ACCOUNT), place.log.slice(-2000)],
  );

/** Fails where two held one index at the same time. Gives the most that were held at once. */
function checkAccount(lines: readonly string[]): number {
  const holders = new Map<string, string>();
  let most = 0;
  for (const line of lines) {
    const [word, task = '', gpus = '', cuda] = line.split(' ');
    assert.equal(gpus, cuda, line);
    for (const index of gpus.split(',')) {
      if (word === 'end') {
        assert.equal(holders.get(index), task, line);
        holders.delete(index);
      } else {
        assert.equal(
          holders.get(index),
          undefined,
          `${line}, while ${holders.get(index)} held it:\n${lines.join('\n')}`,
        );
        holders.set(index, task);
      }
    }
    most = Math.max(most, holders.size);
  }
  assert.deepEqual([...holders], [], 'all were given back');
  return most;
}

const places: Place[] = [];
after(async () => {
  for (const place of places) await place.close();
});

async function open(config: string, slots: number | 'auto' = 8): Promise<{ place: Place; job: JobHands }> {
  const place = new Place({ config: `max_parallel: ${slots}\npoll_interval: 100ms\n${config}` });
  places.push(place);
  await place.start();
  return { place, job: place.job('work').make({ max_parallel: 'none' }) };
}

describe('two GPUs', { concurrency: true }, () => {
  it('are never given to two of five tasks at once, over two kill -9 of the daemon', async () => {
    const { place, job } = await open('resources: {gpu: 2}\n');
    for (const id of ['a', 'b', 'c', 'd', 'e']) job.drop(id, holder(place, { resources: { gpu: 1 } }));
    // In which order is not for us to say: a job that is being read starts what has been read.
    await manyHaveBegun(place, 2);
    await place.kill9();
    await place.start();
    letGo(place, begun(place)[0] as string);
    await manyHaveBegun(place, 3);
    await place.kill9();
    letGo(place, ...begun(place)); // they end while nobody serves
    await place.start();
    await manyHaveBegun(place, 5);
    letGo(place, ...begun(place));
    for (const id of ['a', 'b', 'c', 'd', 'e']) await job.comesTo('succeeded', id);
    const lines = place.lines(ACCOUNT);
    assert.equal(lines.length, 10, lines.join('\n'));
    assert.equal(checkAccount(lines), 2);
    assert.deepEqual(new Set(lines.map((line) => line.split(' ')[2])), new Set(['0', '1']));
  });

  it('keep waiting only those that ask for one: others pass, and one that asks for both is given both', async () => {
    const { place, job } = await open('resources: {gpu: 2}\n');
    job.drop('1-first', holder(place, { resources: { gpu: 1 } }));
    await hasBegun(place, '1-first');
    job.drop('2-both', holder(place, { resources: { gpu: 2 }, priority: 'foreground' }));
    job.drop('3-plain', { command: ['sh', '-c', 'echo "${SPOOLD_GPU-unset}"'], priority: 'best_effort' });
    await job.comesTo('succeeded', '3-plain');
    assert.equal(job.output('3-plain'), 'unset\n');
    assert.ok(job.isIn('pending', '2-both'));
    letGo(place, '1-first', '2-both');
    await job.comesTo('succeeded', '2-both');
    assert.equal(place.lines(ACCOUNT).at(-1), 'end 2-both 0,1 0,1');
  });

  it('one of which a removed job still uses are not both free before its processes have ended', async () => {
    const { place, job } = await open('resources: {gpu: 2}\nkill_after: 1h\n');
    const stubborn = place.job('stubborn').make({ max_parallel: 'none' });
    const gate = place.aside('gate-stubborn');
    const shell = `trap 'echo term >>"${place.aside('signals')}"' TERM; echo begin x $SPOOLD_GPU x >>'${place.aside(ACCOUNT)}'; until [ -e '${gate}' ]; do sleep 0.05 || :; done`;
    stubborn.drop('x', { shell, resources: { gpu: 1 } });
    await hasBegun(place, 'x');
    renameSync(stubborn.path(), place.aside('removed'));
    await waitUntil(
      'it is told to end',
      () => place.lines('signals').includes('term'),
      () => place.log,
    );
    job.drop('both', { command: 'true', resources: { gpu: 2 } });
    job.drop('one', holder(place, { resources: { gpu: 1 } }));
    await hasBegun(place, 'one');
    assert.equal(place.lines(ACCOUNT).at(-1), 'begin one 1 1');
    letGo(place, 'one');
    await job.comesTo('succeeded', 'one');
    assert.ok(job.isIn('pending', 'both'), 'the other is in use still');
    writeFileSync(gate, '');
    await job.comesTo('succeeded', 'both');
  });
});

describe('a request', { concurrency: true }, () => {
  it('that can never be met is rejected with what there is, one of a child fails its parent, and the file heals', async () => {
    const { job } = await open('resources: {gpu: 2, mem: 16GB}\n');
    job.drop('x', '{"command": "true",\n "resources": {"gpu": 3}}');
    const why = await job.rejects('x');
    assert.match(why, /x\.json:2:\d+: resources\.gpu: asks for 3 where there is 2 in all/);
    job.drop('unknown', { command: 'true', resources: { tape: 1 } });
    assert.match(await job.rejects('unknown'), /there is no such resource; config\.yaml names gpu, mem/);
    writeFileSync(job.file('rejected', 'x'), '{"command": "true", "resources": {"gpu": 2}}');
    await job.comesTo('succeeded', 'x');
    job.drop('parent', { shell: `echo '{"command": "true", "resources": {"gpu": 9}}' >"$SPOOLD_PENDING/child.json"` });
    await job.comesTo('failed', 'parent');
    assert.equal(job.result('parent').reason, 'bad_child');
    assert.match(job.result('parent').message, /resources\.gpu: asks for 9/);
  });

  it('that a shrunk config no longer meets waits, and starts when it does; sizes are summed', async () => {
    const { place, job } = await open('resources: {mem: 10GB}\n');
    const settings = (text: string) =>
      writeFileSync(place.at('config.yaml'), `max_parallel: 8\npoll_interval: 100ms\n${text}`);
    const reread = async (): Promise<void> => {
      const said = place.log.length;
      place.daemon?.kill('SIGHUP');
      await waitUntil(
        'the config is read',
        () => place.log.slice(said).includes('read again'),
        () => place.log,
      );
    };
    job.drop('six', holder(place, { resources: { mem: '6GB' } }));
    await hasBegun(place, 'six');
    job.drop('five', { shell: 'echo "$SPOOLD_MEM"', resources: { mem: '5GB' } });
    job.drop('four', { shell: 'echo "$SPOOLD_MEM"', resources: { mem: '4GB' } });
    await job.comesTo('succeeded', 'four');
    assert.equal(job.output('four'), '4000000000\n');
    settings('resources: {mem: 1GB}\n');
    await reread();
    letGo(place, 'six');
    await job.comesTo('succeeded', 'six');
    await place.kill9(); // and a daemon that starts with the new config lets it wait as well
    await place.start();
    job.drop('after', { command: 'true' });
    await job.comesTo('succeeded', 'after');
    assert.ok(job.isIn('pending', 'five'), job.describe('five'));
    settings('resources: {mem: 5GB}\n');
    await reread();
    await job.comesTo('succeeded', 'five');
    assert.equal(job.output('five'), '5000000000\n');
  });

  it('is a default of a job, which a task can do without', async () => {
    const { place } = await open('resources: {gpu: 1}\n');
    const job = place.job('defaults').make({ max_parallel: 'none', defaults: { resources: { gpu: 1 } } });
    job
      .drop('asks', { shell: 'echo "${SPOOLD_GPU-none}"; exit 1' })
      .drop('does-not', { shell: 'echo "${SPOOLD_GPU-none}"; exit 1', resources: {} });
    await job.comesTo('failed', 'asks');
    await job.comesTo('failed', 'does-not');
    assert.deepEqual([job.output('asks'), job.output('does-not')], ['0\n', 'none\n']);
    assert.match(readText(join(job.runDir('asks'), 'run')) ?? '', /^# holds: gpu=0$/m);
    assert.doesNotMatch(readText(join(job.runDir('does-not'), 'run')) ?? '', /holds/);
  });

  it('in a workflow that is run where nobody serves is refused: two such runs would be given the same index', async () => {
    const place = new Place();
    places.push(place);
    const temporary = place.aside('tmp');
    mkdirSync(temporary);
    const flow = place.aside('flow.yaml');
    writeFileSync(flow, 'defaults: {resources: {gpu: 1}}\ntasks: {train: {command: "true"}}\n');
    const env = { TMPDIR: temporary, XDG_RUNTIME_DIR: undefined, HOME: place.root, XDG_STATE_HOME: undefined };
    const { status, out, err } = await speak(['run', flow], { cwd: place.root, env });
    assert.equal(status, 3);
    assert.equal(out, '');
    assert.match(err, /The task train asks for gpu \(resources\), which only the daemon of a directory hands out/);
    assert.match(err, /spoold start/);
    assert.deepEqual(readdirSync(temporary), []);
  });
});

/** Dropped so many minutes ago. */
function dropOld(job: JobHands, id: string, task: Task, minutes: number): void {
  const draft = job.path('pending', `.old-${id}`);
  writeFileSync(draft, JSON.stringify(task));
  const then = Date.now() / 1000 - minutes * 60;
  utimesSync(draft, then, then);
  renameSync(draft, job.file('pending', id));
}

const record = (place: Place): { room_for?: string } =>
  JSON.parse(readText(place.at('daemon.json')) ?? '{}') as { room_for?: string };

/** True if the daemon has told that it took the drop in. It tells so of drops that come once it has read the job's folders. */
function isQueued(place: Place, id: string): boolean {
  const events = readText(place.at('events.ndjson')) ?? '';
  return events.split('\n').some((line) => line.includes(`"task":"${id}"`) && line.includes('"queued"'));
}

function takenIn(place: Place, ...ids: string[]): Promise<unknown> {
  return waitUntil(
    `${ids.join()} taken in`,
    () => ids.every((id) => isQueued(place, id)),
    () => place.log,
  );
}

/** Resolves once the daemon has read all of a job's folders. */
async function isRead(place: Place, job: JobHands): Promise<void> {
  for (let n = 1, told = false; !told; n++) {
    job.drop(`probe-${n}`, { command: 'true' });
    await job.comesTo('succeeded', `probe-${n}`);
    told = isQueued(place, `probe-${n}`);
  }
}

describe('one that has waited longer than starvation_after', { concurrency: true }, () => {
  for (const [setting, order] of [
    ['10m', ['first', 'low', 'high']],
    ['none', ['first', 'high', 'low']],
  ] as const) {
    it(`${setting === 'none' ? 'and is not to be' : 'is'} lifted, tier by tier, above what came later with a higher priority`, async () => {
      const { place, job } = await open(`starvation_after: ${setting}\n`, 1);
      await isRead(place, job);
      job.drop('first', holder(place, {}));
      await hasBegun(place, 'first');
      dropOld(job, 'low', holder(place, { priority: 'best_effort' }), 35);
      job.drop('high', holder(place, { priority: 'foreground' }));
      await takenIn(place, 'low', 'high');
      letGo(place, 'first', 'low', 'high');
      for (const id of order) await job.comesTo('succeeded', id);
      assert.deepEqual(begun(place), order);
    });
  }

  it('has room kept for what it asks for, and the daemon says for whom', async () => {
    const { place, job } = await open('resources: {gpu: 2}\n');
    await isRead(place, job);
    job.drop('first', holder(place, { resources: { gpu: 1 } }));
    await hasBegun(place, 'first');
    dropOld(job, 'both', holder(place, { resources: { gpu: 2 } }), 15);
    await takenIn(place, 'both');
    job.drop('one', holder(place, { resources: { gpu: 1 } }));
    await takenIn(place, 'one');
    await waitUntil(
      'room is kept',
      () => record(place).room_for === 'work/both',
      () => record(place),
    );
    assert.deepEqual(begun(place), ['first']);
    assert.match(
      (await place.spoold('why', 'work/one')).out,
      /waits because room is kept for work\/both, which asks for more/,
    );
    letGo(place, 'first', 'both', 'one');
    for (const id of ['both', 'one']) await job.comesTo('succeeded', id);
    assert.deepEqual(begun(place), ['first', 'both', 'one']);
    checkAccount(place.lines(ACCOUNT));
  });
});

it('with max_parallel: auto the daemon has at least one slot and at most one a core, and works', async () => {
  const { place, job } = await open('', 'auto');
  job.drop('x', { command: 'true' });
  await job.comesTo('succeeded', 'x');
  const { max_parallel } = JSON.parse(readText(place.at('daemon.json')) ?? '') as { max_parallel: number };
  assert.ok(max_parallel >= 1 && max_parallel <= availableParallelism(), String(max_parallel));
});
