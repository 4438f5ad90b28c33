// A job whose job.json says what its tasks are, over restarts, edits and damage: nothing is judged by less than all of it.
import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { looksAgain, type Place, withPlace } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';

const inPlace = (run: (place: Place) => Promise<void>): Promise<void> =>
  withPlace({ config: 'max_parallel: 100\npoll_interval: 0.2\n' }, run);

/** Tells the account when it begins and ends, and waits in between until `go` is there. */
function untilGo(place: Place): string {
  const account = `>>'${place.aside('account')}'`;
  const wait = `until [ -e '${place.aside('go')}' ]; do sleep 0.02; done`;
  return `echo "begin $SPOOLD_TASK" ${account}; ${wait}; echo "end $SPOOLD_TASK" ${account}`;
}

const letGo = (place: Place): void => writeFileSync(place.aside('go'), '');

const has = (place: Place, line: string): Promise<unknown> =>
  waitUntil(line, () => place.lines('account').includes(line));

describe('what an adopted attempt is', () => {
  test('its family knows, though its command comes from the defaults: nobody who waits for the family starts before it ends', () =>
    inPlace(async (place) => {
      await place.start();
      const job = place.job('a').make({ max_parallel: 9, defaults: { shell: untilGo(place) } });
      const child = `printf '{}' >"$SPOOLD_PENDING/.c" && mv "$SPOOLD_PENDING/.c" "$SPOOLD_PENDING/c.json"`;
      job.drop('merge', { dependencies: ['p'] }).drop('p', { shell: child });
      await has(place, 'begin c');
      await job.comesTo('succeeded', 'p');
      await place.kill9();
      await place.start();
      await looksAgain(place);
      letGo(place);
      await job.comesTo('succeeded', 'merge');
      assert.deepEqual(place.lines('account'), ['begin c', 'end c', 'begin merge', 'end merge']);
    }));
});

describe('a job.json', () => {
  test('that does not read when the daemon starts keeps its tasks from being judged, until it does', () =>
    inPlace(async (place) => {
      await place.start();
      const settings = { max_parallel: 9, defaults: { shell: untilGo(place) } };
      const job = place.job('a').make(settings);
      const child = `printf '{}' >"$SPOOLD_PENDING/.c" && mv "$SPOOLD_PENDING/.c" "$SPOOLD_PENDING/c.json"`;
      job.drop('merge', { dependencies: ['p'] }).drop('p', { shell: child });
      await has(place, 'begin c');
      await job.comesTo('succeeded', 'p');
      await place.kill9();
      writeFileSync(job.path('job.json'), '{"max_parallel": 9,');
      await place.start();
      await looksAgain(place);
      letGo(place);
      await has(place, 'end c');
      await looksAgain(place);
      assert.deepEqual([job.folderOf('merge'), job.folderOf('c')], ['pending', 'running']);
      assert.match(place.log, /a\/job\.json/);
      writeFileSync(job.path('job.json'), JSON.stringify(settings));
      await job.comesTo('succeeded', 'merge');
      assert.deepEqual(place.lines('account'), ['begin c', 'end c', 'begin merge', 'end merge']);
    }));

  test('that is moved away and written anew, as some editors do, is no job.json that is gone', () =>
    inPlace(async (place) => {
      await place.start();
      const settings = { max_parallel: 1, defaults: { shell: untilGo(place) } };
      const job = place.job('a').make(settings).drop('first', {}).drop('second', {});
      await has(place, 'begin first');
      for (let times = 0; times < 100; times++) {
        renameSync(job.path('job.json'), job.path('job.json~'));
        await new Promise(setImmediate);
        writeFileSync(job.path('job.json'), JSON.stringify(settings));
      }
      letGo(place);
      for (const id of ['first', 'second']) await job.comesTo('succeeded', id);
    }));

  test('that is gone for good is one without defaults, and what needs them is rejected', () =>
    inPlace(async (place) => {
      await place.start();
      const job = place
        .job('a')
        .make({ max_parallel: 0, defaults: { shell: 'true' } })
        .drop('x', {});
      await looksAgain(place);
      rmSync(job.path('job.json'));
      assert.match(await job.rejects('x'), /nothing to run/);
    }));
});

test('an array of children that a killed daemon had half counted is not too many for it', () =>
  withPlace({ config: 'max_children: 10\nmax_parallel: 4\n' }, async (place) => {
    await place.start();
    const job = place.job('a').drop('p', { shell: untilGo(place) });
    await has(place, 'begin p');
    await place.kill9();
    const children = Array.from({ length: 8 }, (_, n) => ({ id: `c${n}`, command: ['true'] }));
    const counted = children.slice(0, 5);
    writeFileSync(join(job.runDir('p'), 'pending', 'many.json'), JSON.stringify(children));
    writeFileSync(join(job.runDir('p'), 'queued'), counted.map(({ id }) => `${id}\n`).join(''));
    mkdirSync(job.path('pending'), { recursive: true });
    for (const { id, command } of counted) job.drop(id, { command, parent: 'p', ancestors: ['p'] });
    letGo(place);
    await place.start();
    for (const id of ['p', ...children.map((child) => child.id)]) await job.comesTo('succeeded', id);
  }));
