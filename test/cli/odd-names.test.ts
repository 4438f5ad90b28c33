// Files whose names are no ids, or are meant to be obeyed: what is advised can be pasted, and a terminal is told nothing.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { Place } from '../helpers/place.ts';
import { quietPlace } from './quiet-place.ts';

const ESCAPE = '\u001b[31m';

/** What the last line of `spoold` advises, done. */
async function doAsAdvised(place: Place, before: string, ...args: string[]): Promise<void> {
  const { out } = await place.spoold(...args);
  assert.doesNotMatch(out, /[\u001b\u202e]/);
  const [, command = ''] = /\nNext: (.*)\n$/.exec(out) ?? [];
  assert.ok(command.startsWith(before), command);
  execFileSync('bash', ['-c', command.slice(before.length)], { cwd: place.root });
}

describe('a file with a strange name', { concurrency: true }, () => {
  it('in rejected/ is advised to be given a name that a task may have, and where it is sent it lies then', async () => {
    const place = quietPlace();
    try {
      const job = place.job('demo').write('job.json', '{}');
      mkdirSync(job.path('rejected'));
      for (const verb of ['status', 'why']) {
        const name = "my $(touch gone) 'task'";
        job.write(`rejected/${name}.error.txt`, 'a space is not allowed in it\n');
        job.write(`rejected/${name}.json`, '{"command":["true"]}');
        await doAsAdvised(place, 'give it a name that a task may have: ', verb, 'demo');
        assert.deepEqual(job.ids('pending'), ['my-touch-gone-task']);
        execFileSync('rm', ['-r', job.path('pending')]);
        mkdirSync(job.path('pending'));
      }
      assert.deepEqual(place.lines('gone'), []);
    } finally {
      await place.close();
    }
  });

  it('that holds a task back is let go by the command that is advised, whatever else its name would have done', async () => {
    const place = quietPlace();
    try {
      const job = place.job('demo').drop('after', { command: ['true'], dependencies: ['x'] });
      job.write(`pending/x.it's\n\u202e${ESCAPE};touch gone`, '{"command":["true"]}');
      const { out } = await place.spoold('why', 'demo/x');
      assert.doesNotMatch(out, /[\u001b\u202e]/);
      await doAsAdvised(place, 'to let it run: ', 'why', 'demo/x');
      assert.deepEqual(job.ids('pending'), ['after', 'x']);
      assert.deepEqual(place.lines('gone'), []);
    } finally {
      await place.close();
    }
  });

  it('is no less plain where it is a dependency or an ancestor in the text of another', async () => {
    const place = quietPlace();
    try {
      const bad = `a${ESCAPE}`;
      const text = JSON.stringify({ command: ['true'], dependencies: [bad, 'b'], ancestors: [bad, 'p'] });
      const job = place.job('demo').write('pending/x.json', text);
      mkdirSync(job.path('rejected'));
      job.write('rejected/y.json', text).write('rejected/y.error.txt', `no\nancestors: ${bad} p\n`);
      for (const args of ['status demo', 'status demo/x', 'status demo/y', 'why demo', 'why demo/x', 'graph demo']) {
        const { out, status } = await place.spoold(...args.split(' '));
        assert.equal(status, 0, args);
        assert.ok(!out.includes('\u001b'), `${args}: ${JSON.stringify(out)}`);
      }
      assert.match((await place.spoold('status', 'demo/y')).out, /queued by +p\n +depends on +b\n/);
    } finally {
      await place.close();
    }
  });
});
