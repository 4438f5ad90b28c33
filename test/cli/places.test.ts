// pause, resume and parallel: two files, for everything or for one job.
import assert from 'node:assert/strict';
import { userInfo } from 'node:os';
import { describe, it } from 'node:test';
import { isThere, Place, readText } from '../helpers/place.ts';
import { waitUntil } from '../helpers/wait-until.ts';
import { quietPlace } from './quiet-place.ts';

describe('pause and resume', { concurrency: true }, () => {
  it('write and remove a file that says who and when', async () => {
    const place = quietPlace();
    try {
      assert.match((await place.spoold('pause')).out, /^everything is paused/);
      assert.match(
        readText(place.at('paused')) ?? '',
        new RegExp(`^paused by ${userInfo().username} at \\d{4}-.*Z\n$`),
      );
      assert.match((await place.spoold('pause')).out, /^everything is paused already, by /);
      assert.equal((await place.spoold('resume')).out, 'everything goes on\n');
      assert.ok(!isThere(place.at('paused')));
      assert.equal((await place.spoold('resume')).out, 'everything was not paused\n');
    } finally {
      await place.close();
    }
  });

  it('work on one job, and say what is paused besides', async () => {
    const place = quietPlace();
    try {
      const job = place.job('a').drop('x', { command: ['true'] });
      await place.spoold('pause', 'a');
      await place.spoold('pause');
      assert.ok(isThere(job.path('paused')));
      assert.match((await place.spoold('resume')).err, /still paused by themselves: a/);
      assert.equal((await place.spoold('pause', 'nobody')).status, 2);
      assert.equal((await place.spoold('pause', 'a/x')).status, 2);
    } finally {
      await place.close();
    }
  });

  it('a paused job starts nothing until it is resumed', async () => {
    const place = new Place();
    try {
      await place.start();
      const job = place.job('a').drop('first', { command: ['true'] });
      await job.comesTo('succeeded', 'first');
      await place.spoold('pause', 'a');
      place.job('b').drop('y', { command: ['true'], dependencies: [] });
      job.drop('x', { command: ['true'] });
      await place.job('b').comesTo('succeeded', 'y'); // the daemon has looked since
      assert.equal(job.folderOf('x'), 'pending');
      await place.spoold('resume', 'a');
      await job.comesTo('succeeded', 'x');
    } finally {
      await place.close();
    }
  });
});

describe('parallel', { concurrency: true }, () => {
  it('writes, shows and removes a number', async () => {
    const place = quietPlace();
    try {
      const job = place.job('a').drop('x', { command: ['true'] });
      assert.equal((await place.spoold('parallel', '4')).out, 'everything: at most 4 at a time\n');
      assert.equal((await place.spoold('parallel', '2', 'a')).out, 'a: at most 2 at a time\n');
      assert.equal(readText(place.at('parallel')), '4\n');
      assert.equal(readText(job.path('parallel')), '2\n');
      type Shown = { job: string | null; set: number; in_force?: number };
      const shown = JSON.parse((await place.spoold('parallel', '--json')).out) as Shown[];
      assert.deepEqual(
        shown.map((one) => [one.job, one.set, one.in_force]),
        [
          [null, 4, 4],
          ['a', 2, undefined],
        ],
      );
      await place.spoold('parallel', '--unset', 'a');
      await place.spoold('parallel', '--unset');
      assert.ok(!isThere(job.path('parallel')) && !isThere(place.at('parallel')));
    } finally {
      await place.close();
    }
  });

  it('refuses what is no whole number, and more words than it understands', async () => {
    const place = quietPlace();
    try {
      for (const words of [['-1'], ['1.5'], ['many', 'a'], ['1', 'a', 'b'], ['1', '--unset', 'x']]) {
        assert.equal((await place.spoold('parallel', ...words)).status, 2, words.join(' '));
      }
      assert.ok(!isThere(place.at('parallel')));
    } finally {
      await place.close();
    }
  });

  it('holds at once: more of a job run when it is raised', async () => {
    const place = new Place({ config: 'max_parallel: 4\n' });
    try {
      await place.start();
      const job = place.job('a');
      for (const id of ['x', 'y', 'z']) job.drop(id, { command: ['sleep', '1000'] });
      await waitUntil('one runs', () => job.ids('running').length === 1);
      await place.spoold('parallel', '2', 'a');
      await waitUntil(
        'two run',
        () => job.ids('running').length === 2,
        () => job.describe('y'),
      );
      await place.spoold('cancel', 'a');
    } finally {
      await place.close();
    }
  });
});
