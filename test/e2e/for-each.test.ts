// for_each, run: a family whose id nobody runs, and on which others wait.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { Place } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';

let place: Place;
beforeEach(async () => {
  place = new Place({ config: 'max_parallel: 4\n' });
  await place.start();
});
afterEach(() => place.close());

const submit = async (name: string, text: string, ...options: string[]) => {
  writeFileSync(place.aside(`${name}.yaml`), text);
  const said = await place.spoold('submit', ...options, `${name}.yaml`);
  assert.notEqual(said.status, 2, said.err);
  return said;
};

describe('for_each', () => {
  it('runs one task for each entry, and what depends on the id after all of them, once', async () => {
    writeFileSync(place.aside('names.txt'), 'one\ntwo\nthree\n');
    const { status } = await submit(
      'flow',
      `tasks:
  say: {for_each: {lines_of: names.txt}, shell: "echo \${item} \${index} >>said"}
  merge: {shell: "sort said >merged; echo merged >>said", dependencies: [say]}
`,
      '--wait',
    );
    assert.equal(status, 0);
    assert.deepEqual(place.lines('merged').sort(), ['one 0', 'three 2', 'two 1']);
    assert.equal(place.lines('said').at(-1), 'merged');
    assert.deepEqual(place.job('flow').ids('succeeded'), ['merge', 'say', 'say.one', 'say.three', 'say.two']);
    assert.deepEqual(place.job('flow').results('say'), []);
    assert.match((await place.spoold('why', 'flow/say')).out, /stands for the 3 tasks that for_each made/);
  });

  it('counts as failed while one of it is, names that one, and comes back with it', async () => {
    await submit(
      'flow',
      `tasks:
  part: {for_each: [a, b], shell: "[ \${item} = a ] || [ -e mended ]"}
  merge: {shell: "true", dependencies: [part]}
`,
      '--wait',
    );
    const job = place.job('flow');
    assert.deepEqual([job.ids('failed'), job.ids('skipped')], [['part.b'], ['merge']]);
    assert.match((await place.spoold('status', 'flow/merge')).out, /because part\.b is failed|part\.b failed/);
    writeFileSync(place.aside('mended'), '');
    await place.spoold('retry', 'flow/part.b');
    await job.comesTo('succeeded', 'merge');
  });

  it('of an empty list lets what depends on it run, after what it would have waited for', async () => {
    const { status } = await submit(
      'flow',
      `tasks:
  first: {shell: "sleep 0.3; echo first >>said"}
  none: {for_each: [], shell: "echo \${item}", dependencies: [first]}
  after: {shell: "echo after >>said", dependencies: [none]}
`,
      '--wait',
    );
    assert.equal(status, 0);
    assert.deepEqual(place.lines('said'), ['first', 'after']);
  });

  it('is cancelled whole by its id, running and waiting', async () => {
    await submit(
      'flow',
      `max_parallel: 1
tasks:
  nap: {for_each: [a, b], command: [sleep, "1000"]}
  after: {shell: "true", dependencies: [nap]}
`,
    );
    const job = place.job('flow');
    await waitUntil('one runs', () => job.ids('running').length === 1);
    const { status, out, err } = await place.spoold('cancel', 'flow/nap');
    assert.equal(status, 0, err);
    assert.match(out, /flow\/nap/);
    await job.comesTo('cancelled', 'nap.a');
    await job.comesTo('cancelled', 'nap.b');
    await job.comesTo('skipped', 'after');
    const again = await place.spoold('cancel', 'flow/nap.a');
    assert.notEqual(again.status, 2);
  });

  it('outlives a daemon killed half way: each of it runs once, the merge after all', async () => {
    await submit(
      'flow',
      `max_parallel: 2
tasks:
  t: {for_each: [1, 2, 3, 4, 5, 6], shell: "echo \${item} >>said; sleep 0.1"}
  merge: {shell: "echo merged >>said", dependencies: [t]}
`,
    );
    const job = place.job('flow');
    await job.comesTo('succeeded', 't.2');
    await place.kill9();
    await place.start();
    await job.comesTo('succeeded', 'merge');
    assert.deepEqual(place.lines('said').slice(0, 6).sort(), ['1', '2', '3', '4', '5', '6']);
    assert.deepEqual(place.lines('said').slice(6), ['merged']);
  });
});
