// Whatever lies in the place of a file that is read, nobody waits for it: a FIFO is no file.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { Place } from '../helpers/place.ts';

/** Puts a FIFO that nobody writes to in the place of a file. */
function fifo(path: string): void {
  rmSync(path, { force: true });
  execFileSync('mkfifo', ['-m', '600', path]);
}

describe('where a FIFO lies in the place of a file', () => {
  const place = new Place();
  before(async () => {
    await place.start();
    const job = place.job('a').drop('x', { shell: 'echo hi; exit 1' });
    await job.comesTo('failed', 'x');
    await place.spoold('stop');
  });
  after(() => place.close());

  it('the log of an attempt counts as none', async () => {
    fifo(place.job('a').path('runs', 'x.1', 'output.log'));
    for (const words of [
      ['logs', 'a/x'],
      ['logs', 'a'],
      ['logs', 'a/x', '-n', '3'],
      ['logs', '-f', 'a/x'],
    ]) {
      const { status, out } = await place.spoold(...words);
      assert.deepEqual({ status, out }, { status: 0, out: '' }, words.join(' '));
    }
    assert.match((await place.spoold('status')).out, /^a {2}failed/m);
    assert.match((await place.spoold('why', 'a/x')).out, /exit status 1/);
  });

  it('the events are not known', async () => {
    fifo(place.at('events.ndjson'));
    assert.match((await place.spoold('status', 'a/x')).out, /a\/x failed/);
    assert.match((await place.spoold('why', 'a/x')).out, /exit status 1/);
  });

  it('a format that cannot be read is told by every verb, and nothing is touched', async () => {
    fifo(place.at('VERSION'));
    for (const verb of ['status', 'start', 'stop', 'wait']) {
      const { status, err } = await place.spoold(verb);
      assert.equal(status, 2, verb);
      assert.match(err, /VERSION should say 1, and cannot be read: EINVAL: it is no file/);
    }
  });
});
