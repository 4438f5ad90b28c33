import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { jobText } from '../../src/cli/status-text.ts';
import { jobWhyText } from '../../src/cli/why-job-text.ts';
import { taskWhyText } from '../../src/cli/why-text.ts';
import { rootOf } from '../../src/client/chain.ts';
import { jobReport } from '../../src/client/status.ts';
import { whyJob } from '../../src/client/why-job.ts';
import { whyTask } from '../../src/client/why.ts';
import { Layout } from '../../src/protocol/layout.ts';
import { quietPlace } from '../cli/quiet-place.ts';
import { Place } from '../helpers/place.ts';
import { projectRoot } from '../protocol/root.ts';

const MANY = 3_000;

/** A place with a job of many waiting tasks that have nothing to do with what is asked. */
function crowded(): Place {
  const place = quietPlace();
  const job = place.job('j').drop('first', { command: ['true'] });
  for (const folder of ['running', 'succeeded', 'failed', 'cancelled', 'skipped', 'rejected', 'runs'])
    fs.mkdirSync(job.path(folder));
  for (let i = 0; i < MANY; i++) fs.writeFileSync(job.file('pending', `other-${i}`), '{"command":["true"]}');
  return place;
}

/** How many files were opened, and folders listed, by `action`. */
function counting<T>(action: () => T): { result: T; opened: number; listed: number } {
  const { openSync, readdirSync, readFileSync } = fs;
  let opened = 0;
  let listed = 0;
  const counted = { openSync, readdirSync, readFileSync };
  Object.assign(fs, {
    openSync: (...args: Parameters<typeof openSync>) => (opened++, openSync(...args)),
    readFileSync: (...args: Parameters<typeof readFileSync>) => (opened++, readFileSync(...args)),
    readdirSync: (...args: Parameters<typeof readdirSync>) => (listed++, readdirSync(...args)),
  });
  syncBuiltinESMExports();
  try {
    return { result: action(), opened, listed };
  } finally {
    Object.assign(fs, counted);
    syncBuiltinESMExports();
  }
}

describe('what why reads', () => {
  it('is the files that the answer is about, however many there are beside them', async () => {
    const place = crowded();
    try {
      const job = place.job('j');
      job.drop('b', { command: ['true'], dependencies: ['first'] });
      job.drop('c', { command: ['true'], dependencies: ['b'] });
      const { result, opened, listed } = counting(() => whyTask(new Layout(place.dir), 'j', 'c', 10));
      assert.equal(rootOf(result.why).task, 'first');
      assert.ok(opened >= 3 && opened < 30, `${opened} files opened`);
      assert.equal(listed, 0, 'no folder was listed');
    } finally {
      await place.close();
    }
  });

  it('is a part of the others where a family has to be looked for, and the likely ones first', async () => {
    const place = crowded();
    try {
      const job = place.job('j');
      fs.writeFileSync(job.file('succeeded', 'find'), '{"command":["true"]}');
      job.drop('zz', { command: ['true'], dependencies: ['find'] });
      job.drop('find.1', { command: ['true'], parent: 'find', ancestors: ['find'] });
      const { result, opened, listed } = counting(() => whyTask(new Layout(place.dir), 'j', 'zz', 10));
      assert.equal(rootOf(result.why).task, 'find.1');
      assert.ok(opened < 2_100, `${opened} files opened`);
      assert.ok(listed > 0 && listed < 12, `${listed} folders listed`);
    } finally {
      await place.close();
    }
  });

  it('is no more where families of many tasks have to be looked for, each with likely names', async () => {
    const place = quietPlace();
    try {
      const job = place.job('j');
      fs.mkdirSync(job.path('succeeded'), { recursive: true });
      const parents = Array.from({ length: 100 }, (_, i) => `p${i}`);
      job.drop('merge', { command: ['true'], dependencies: parents });
      for (const parent of parents) {
        fs.writeFileSync(job.file('succeeded', parent), '{"command":["true"]}');
        const child = JSON.stringify({ command: ['true'], parent, ancestors: [parent] });
        for (let i = 0; i < 60; i++) fs.writeFileSync(job.file('pending', `${parent}-${i}`), child);
      }
      const { result, opened, listed } = counting(() => whyTask(new Layout(place.dir), 'j', 'merge', 10));
      const first = result.why.causes.find(({ cause }) => cause === 'dependency');
      assert.deepEqual(first?.cause === 'dependency' && [first.why.task, first.left], ['p0', 60]);
      assert.ok(opened < 6_200, `${opened} files opened`);
      assert.ok(listed < 12, `${listed} folders listed`);
    } finally {
      await place.close();
    }
  });

  it('is each folder once, whatever is not queued; and what a wrong id is a slip of is asked for a few of many', async () => {
    const place = crowded();
    try {
      const job = place.job('j');
      for (let at = 0; at < 10; at++) {
        const dependencies = Array.from({ length: 20 }, (_, i) => `oher-${100 * at + i}`);
        job.drop(`a${at}`, { command: ['true'], dependencies });
      }
      const layout = new Layout(place.dir);
      const report = counting(() => jobReport(layout, 'j', 10));
      assert.match(
        jobText(report.result, { now: 0, width: 200, dir: '' }).join('\n'),
        /a9 +waits for oher-900 \(not queued yet\), oher-901 \(.*\), oher-902 \(.*\) and 17 more\n/,
      );
      assert.ok(report.listed < 25, `${report.listed} folders listed`);
      const { waiting } = whyJob(layout, 'j');
      const similar = waiting.flatMap(({ example }) =>
        example.causes.flatMap((cause) => (cause.cause === 'dependency' ? cause.why.causes : [])),
      );
      const found = similar.filter((cause) => cause.cause === 'not_queued' && cause.similar !== null);
      assert.ok(found.length > 0 && found.length <= 10, `${found.length} of ${similar.length}`);
    } finally {
      await place.close();
    }
  });

  it('goes down a chain of any length without a deep stack, and says where it stopped', async () => {
    const place = quietPlace();
    try {
      const job = place.job('j').drop('t0', { command: ['true'] });
      for (let i = 1; i < MANY; i++)
        fs.writeFileSync(
          job.file('pending', `t${i}`),
          JSON.stringify({ command: ['true'], dependencies: [`t${i - 1}`] }),
        );
      const { why } = whyTask(new Layout(place.dir), 'j', `t${MANY - 1}`, 10);
      assert.equal(rootOf(why).cut, 'too deep');
      assert.ok(JSON.stringify(why).length > 10_000);
      assert.equal(rootOf(whyTask(new Layout(place.dir), 'j', 't900', 10).why).task, 't0');
    } finally {
      await place.close();
    }
  });
});

describe('why, of what each crash leaves', { concurrency: 4 }, () => {
  const states = join(projectRoot(), 'fixtures', 'states');
  for (const script of fs.readdirSync(states).filter((name) => name !== 'lib.sh')) {
    it(`${script}: has a sentence for each task`, async () => {
      const place = new Place();
      try {
        assert.equal(spawnSync('sh', [join(states, script), place.dir]).status, 0);
        const layout = new Layout(place.dir);
        const ids = fs.readdirSync(place.at('jobs', 'demo'), { recursive: true, encoding: 'utf8' }).flatMap((name) => {
          const id = /^(pending|running|succeeded|failed|cancelled|skipped|rejected)\/([^./][^/]*)\.json$/.exec(
            name,
          )?.[2];
          return id === undefined ? [] : [id];
        });
        const show = { now: Date.now(), width: 80, dir: '' };
        for (const id of new Set(ids)) {
          const [first = ''] = taskWhyText(whyTask(layout, 'demo', id, 5), show);
          assert.match(first, new RegExp(`^demo/${id} (?!is on its way)[a-z].{5,}\\.$`, 's'));
        }
        assert.match(jobWhyText(whyJob(layout, 'demo'), show)[0] ?? '', /^demo is /);
      } finally {
        fs.writeFileSync(place.aside('go'), ''); // what the state says is running ends
        await place.close();
      }
    });
  }
});
