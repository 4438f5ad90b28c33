// Folders that may not be looked into, as they are for a user who is not root: each verb names the folder and what opens it,
// and says what it knows all the same.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync } from 'node:fs';
import { describe, it } from 'node:test';
import { type Place, type Spoken, speak, withPlace } from '../helpers/place.ts';
import { isRoot } from '../helpers/scratch.ts';
import { quietPlace } from './quiet-place.ts';

/** Takes from root what opens every folder to it. */
const under = isRoot ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search'] : [];
const mayDrop = !isRoot || spawnSync('setpriv', [...under.slice(1), 'true']).status === 0;
const asUser = {
  concurrency: true,
  skip: mayDrop ? false : 'root may look everywhere, and setpriv cannot change that',
};

const say = (place: Place, verb: string, ...args: string[]): Promise<Spoken> =>
  speak([verb, '--dir', place.dir, ...args], { cwd: place.root, env: { TEST_PLACE: place.root }, under });

describe('a folder that may not be looked into', asUser, () => {
  it('is named by each verb that has to, with what opens it; status of everything shows the rest', async () => {
    const place = quietPlace();
    const job = place.job('n').drop('x', { command: ['true'] });
    const closed = job.path('succeeded');
    try {
      for (const folder of ['running', 'failed', 'succeeded']) mkdirSync(job.path(folder), { mode: 0o700 });
      place.job('other').drop('y', { command: ['true'] });
      chmodSync(closed, 0);
      const verbs = [
        ['status', 'n'],
        ['why', 'n'],
        ['add', '-J', 'n', 'true'],
        ['retry', 'n/nobody'],
        ['wait', 'n/nobody'],
      ] as const;
      for (const [verb, ...args] of verbs) {
        const { status, out, err } = await say(place, verb, ...args);
        assert.deepEqual({ verb, status, out }, { verb, status: 1, out: '' });
        assert.ok(err.startsWith(`spoold: ${closed} may not be read or changed by you (permission denied).\n`), err);
        assert.ok(err.endsWith(`Open it: chmod u+rwx ${closed}\n`), err);
      }
      const { status, out } = await say(place, 'status');
      assert.equal(status, 0);
      assert.match(out, /^n +unreadable +see below\nother +waiting +1 waiting$/m);
      assert.ok(out.includes(`${job.path()} cannot be looked into, `) && out.includes(`chmod u+rwx ${closed}`), out);
      const { jobs } = JSON.parse((await say(place, 'status', '--json')).out) as {
        jobs: { name: string; state: string; counts: object | null; trouble: { cause: string; path: string } | null }[];
      };
      const seen = jobs.map(({ name, state, counts, trouble }) => [name, state, counts !== null, trouble?.cause]);
      assert.deepEqual(seen, [
        ['n', 'unreadable', false, 'job_left_alone'],
        ['other', 'waiting', true, undefined],
      ]);
      chmodSync(closed, 0o700);
      chmodSync(job.path(), 0);
      assert.match((await say(place, 'status')).out, /^other +waiting +1 waiting$/m);
    } finally {
      chmodSync(job.path(), 0o700);
      chmodSync(closed, 0o700);
      await place.close();
    }
  });

  it('does not keep stop from saying that the daemon has stopped', async () => {
    await withPlace({}, async (place) => {
      await place.start(under);
      const job = place.job('n');
      await job.drop('x', { command: ['true'] }).comesTo('succeeded', 'x');
      chmodSync(job.path(), 0);
      try {
        const { status, out, err } = await say(place, 'stop');
        assert.match(out, /^spoold \d+ has stopped\.\n$/);
        assert.deepEqual([status, err], [0, '']);
      } finally {
        chmodSync(job.path(), 0o700);
      }
    });
  });
});
