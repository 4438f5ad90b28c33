// Graphs: what waits for what, and families, which are a task and all that it queued.
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { hasPython, Place, programs, readText } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';

/** Shell that drops a child in the careful way. */
function dropping(id: string, task: string): string {
  return `printf '%s' '${task}' >"$SPOOLD_PENDING/.${id}"; mv "$SPOOLD_PENDING/.${id}" "$SPOOLD_PENDING/${id}.json"\n`;
}

describe('dependencies', { concurrency: true }, () => {
  const place = new Place({ config: 'max_parallel: 60\npoll_interval: 1h\n' });
  before(() => place.start());
  after(() => place.close());

  it('a task waits for an id that nobody has dropped yet', async () => {
    const job = place
      .job('unknown')
      .drop('x', { command: 'true', dependencies: ['later'] })
      .drop('other', { command: 'true' });
    await job.comesTo('succeeded', 'other');
    assert.equal(job.folderOf('x'), 'pending');
    job.drop('later', { command: 'true' });
    await job.comesTo('succeeded', 'x');
  });

  it('what a failure has cost goes to skipped/, through a chain, each with its cause', async () => {
    const job = place.job('chain').make({ max_parallel: 3 });
    job.drop('c', { command: 'true', dependencies: ['b'] }).drop('b', { command: 'true', dependencies: ['a'] });
    job.drop('a', { command: 'false' });
    await job.comesTo('skipped', 'b');
    await job.comesTo('skipped', 'c');
    assert.match(readText(job.path('skipped/b.reason.txt')) ?? '', /failed\/a\.json/);
    assert.match(readText(job.path('skipped/c.reason.txt')) ?? '', /skipped\/b\.json/);
    assert.equal(job.results('b').length, 0);
  });

  it('run_if: always runs after any end, failure only after one that is no success', async () => {
    const job = place
      .job('run-if')
      .make({ max_parallel: 5 })
      .drop('good', { command: 'true' })
      .drop('bad', { command: 'false' });
    for (const end of ['good', 'bad']) {
      for (const when of ['always', 'failure'])
        job.drop(`${when}-${end}`, { command: 'true', dependencies: [end], run_if: when });
    }
    await job.comesTo('succeeded', 'always-good');
    await job.comesTo('succeeded', 'always-bad');
    await job.comesTo('succeeded', 'failure-bad');
    await job.comesTo('skipped', 'failure-good');
  });

  it('a drop that closes a cycle is rejected with the cycle spelled out; mended, it brings back what it had cost', async () => {
    const job = place.job('cycle').drop('a', { command: 'true', dependencies: ['c'] });
    job.drop('b', { command: 'true', dependencies: ['a'] }).drop('other', { command: 'true' });
    await job.comesTo('succeeded', 'other');
    job.drop('c', { command: 'true', dependencies: ['b'] });
    assert.match(await job.rejects('c'), /c → b → a → c/);
    await job.comesTo('skipped', 'a');
    await job.comesTo('skipped', 'b');
    assert.match(readText(job.path('skipped/a.reason.txt')) ?? '', /rejected\/c\.json/);
    writeFileSync(job.file('rejected', 'c'), '{"command":"true"}');
    for (const id of ['c', 'a', 'b']) await job.comesTo('succeeded', id);
  });
});

describe('a family', { concurrency: true }, () => {
  const place = new Place({ config: 'max_parallel: 60\npoll_interval: 1h\n' });
  before(() => place.start());
  after(() => place.close());

  for (const program of ['sh', 'py', 'mjs']) {
    it(`grows by what a program drops into $SPOOLD_PENDING: drop-children.${program}`, {
      skip: program === 'py' && !hasPython ? 'there is no python3 here' : false,
    }, async () => {
      const job = place.job(`drop-${program}`).make({ max_parallel: 4 });
      job.drop('sum', { command: ['echo', 'all'], dependencies: ['p'] });
      job.drop('p', { command: [join(programs, `drop-children.${program}`), '5'] });
      await job.comesTo('succeeded', 'sum');
      const summed = Date.parse(job.result('sum').started_at);
      for (let n = 1; n <= 5; n++) {
        assert.equal(job.output(`p-${n}`), `${n}\n`);
        assert.equal(JSON.parse(readText(job.file('succeeded', `p-${n}`)) ?? '').parent, 'p');
        assert.ok(Date.parse(job.result(`p-${n}`).finished_at) <= summed);
      }
    });
  }

  it('is waited for to any depth: children of children too', async () => {
    const job = place.job('deep').make({ max_parallel: 4 });
    const leaf = `{"shell":"sleep 0.2; echo leaf >>${place.aside('deep')}"}`;
    const shell = `sleep 0.1; printf %s "$LEAF" >"$SPOOLD_PENDING/.l"; mv "$SPOOLD_PENDING/.l" "$SPOOLD_PENDING/leaf.json"`;
    writeFileSync(place.aside('child.json'), JSON.stringify({ shell, env: { LEAF: leaf } }));
    job.drop('after', { shell: `echo after >>'${place.aside('deep')}'`, dependencies: ['p'] });
    job.drop('p', {
      shell: `cp '${place.aside('child.json')}' "$SPOOLD_PENDING/.c"; mv "$SPOOLD_PENDING/.c" "$SPOOLD_PENDING/child.json"`,
    });
    await job.comesTo('succeeded', 'after');
    assert.deepEqual(place.lines('deep'), ['leaf', 'after']);
    assert.deepEqual(JSON.parse(readText(job.file('succeeded', 'leaf')) ?? '').ancestors, ['child', 'p']);
  });

  it('of which a child fails has failed: its dependents are skipped, and come back with the child', async () => {
    const job = place.job('child-fails').make({ max_parallel: 4 });
    const marker = place.aside('child-fails');
    job.drop('after', { command: 'true', dependencies: ['p'] });
    job.drop('p', { shell: dropping('c', JSON.stringify({ command: ['test', '-e', marker] })) });
    await job.comesTo('skipped', 'after');
    assert.match(readText(job.path('skipped/after.reason.txt')) ?? '', /failed\/c\.json/);
    assert.equal(job.folderOf('p'), 'succeeded');
    writeFileSync(marker, '');
    job.move('c', 'failed', 'pending');
    await job.comesTo('succeeded', 'after');
  });

  it('is the same after a retry: a child that is dropped again stands as it was, and runs once', async () => {
    const job = place.job('child-again').make({ max_parallel: 4 });
    job.drop('p', { shell: `${dropping('c', '{"shell":"echo one"}')}[ $SPOOLD_ATTEMPT = 2 ]`, retry: 1 });
    await job.comesTo('succeeded', 'p');
    await job.comesTo('succeeded', 'c');
    assert.equal(job.results('p').length, 2);
    assert.equal(job.results('c').length, 1);
    assert.equal(job.output('c'), 'one\n');
    await waitUntil(
      'the event that tells of it',
      () => readText(place.at('events.ndjson'))?.includes('"child_again"'),
      () => readText(place.at('events.ndjson')),
    );
  });

  it('is taken in while its parent still runs', async () => {
    const job = place.job('early').make({ max_parallel: 4 });
    job.drop('p', {
      shell: `${dropping('c', '{"shell":"echo early"}')}until [ -e '${place.aside('early')}' ]; do sleep 0.05; done`,
    });
    await job.comesTo('succeeded', 'c');
    assert.ok(job.isClaimed('p'));
    writeFileSync(place.aside('early'), '');
    await job.comesTo('succeeded', 'p');
  });

  const bad: [string, string, RegExp][] = [
    ['that is no valid task', dropping('c', '{"commando":1}'), /commando/],
    ['that is half a file', 'printf "{" >"$SPOOLD_PENDING/c.json"\n', /c\.json/],
    ['that is a link', 'ln -s /etc/passwd "$SPOOLD_PENDING/c.json"\n', /link/],
    ['whose id another task of the job has', dropping('taken', '{"command":"true"}'), /taken.*in use/],
  ];
  for (const [index, [what, shell, why]] of bad.entries()) {
    it(`with a child ${what}: the attempt fails with bad_child, and the child is kept with its reason`, async () => {
      const job = place.job(`bad-child-${index}`).drop('taken', { command: 'true' });
      await job.comesTo('succeeded', 'taken');
      job.drop('p', { shell });
      await job.comesTo('failed', 'p');
      const { reason, message, exit_code } = job.result('p');
      assert.equal(reason, 'bad_child');
      assert.equal(exit_code, 0);
      assert.match(message, why);
      const kept = readdirSync(job.runDir('p'), { recursive: true }).map(String);
      assert.ok(
        kept.some((name) => name.endsWith('.error.txt')),
        kept.join(' '),
      );
    });
  }

  it('has no child that is dropped after the end: there is no folder for it any more', async () => {
    const job = place.job('too-late').drop('p', { command: 'true' });
    await job.comesTo('succeeded', 'p');
    assert.throws(() => writeFileSync(join(job.runDir('p'), 'pending', 'c.json'), '{"command":"true"}'), {
      code: 'ENOENT',
    });
  });

  it('is whole after kills: of the daemon while the children are dropped', async () => {
    const own = new Place({ config: 'max_parallel: 4\n' });
    try {
      await own.start();
      const job = own.job('a').make({ max_parallel: 'none' });
      job.drop('after', { command: 'true', dependencies: ['p'] });
      job.drop('p', { shell: `'${join(programs, 'drop-children.sh')}' 60; echo dropped` });
      await waitUntil(
        'some are there',
        () =>
          job.names('').length > 0 &&
          ['pending', 'running', 'succeeded'].some((folder) => job.names(folder).some((name) => /^p-\d/.test(name))),
      );
      await own.kill9();
      await own.start();
      await job.comesTo('succeeded', 'after');
      assert.equal(job.ids('succeeded').filter((id) => /^p-\d+$/.test(id)).length, 60);
      assert.ok(Array.from({ length: 60 }, (_, n) => job.results(`p-${n + 1}`).length).every((count) => count === 1));
    } finally {
      await own.close();
    }
  });

  it('goes with a task that was cancelled while no daemon ran, however long it takes to be read', async () => {
    const own = new Place({ config: 'max_parallel: 4\n' });
    try {
      await own.start();
      const job = own.job('a').make({ max_parallel: 1 });
      const children = Array.from({ length: 2_000 }, (_, n) => ({ id: `c-${n}`, command: 'true' }));
      writeFileSync(own.aside('many.json'), JSON.stringify(children));
      const drop = `cp '${own.aside('many.json')}' "$SPOOLD_PENDING/.many"; mv "$SPOOLD_PENDING/.many" "$SPOOLD_PENDING/many.json"`;
      job.drop('p', { shell: `${drop}; echo dropped; exec sleep 1000` });
      await waitUntil('they wait', () => job.ids('pending').length === 2_000);
      await own.kill9();
      job.move('p', 'running', 'cancelled');
      await own.start();
      await job.comesTo('cancelled', 'p');
      await waitUntil('its claim is given up', () => !job.isClaimed('p'));
      assert.equal(job.ids('cancelled').length, 2_001);
      assert.equal(job.ids('succeeded').length, 0);
    } finally {
      await own.close();
    }
  });
});
