// submit and run of workflows with variables, the plan of --dry-run, and --wait.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { Place } from '../helpers/place.ts';

let place: Place;
beforeEach(() => {
  place = new Place({ config: 'max_parallel: 2\n' });
});
afterEach(() => place.close());

const taskIn = (job: string, id: string) => JSON.parse(readFileSync(place.job(job).file('pending', id), 'utf8'));

describe('variables', () => {
  const flow = 'vars: {WHO: world, DATE: }\ntasks:\n  a: {command: [echo, "hello ${WHO}", "${DATE}"]}\n';

  it('are filled in before anything is written; --var goes first, and what has no value must be given', async () => {
    writeFileSync(place.aside('flow.yaml'), flow);
    const missing = await place.spoold('submit', 'flow.yaml');
    assert.equal(missing.status, 2);
    assert.match(missing.err, /flow\.yaml:1:20: vars\.DATE: has no value, so it must be given: --var DATE=VALUE/);
    assert.equal(existsSync(place.at('jobs')), false);
    const said = await place.spoold('submit', '--var', 'DATE=2030-01-31=x', 'flow.yaml', '--var', 'WHO=you');
    assert.deepEqual([said.status, said.out], [0, 'flow\n']);
    assert.deepEqual(taskIn('flow', 'a').command, ['echo', 'hello you', '2030-01-31=x']);
  });

  it('refuses a --var that is none', async () => {
    writeFileSync(place.aside('flow.yaml'), flow);
    for (const [word, words] of [
      ['DATE', /--var NAME=VALUE/],
      ['a-b=1', /no name of a variable/],
      ['DAET=1', /--var DAET: nothing in this workflow refers to/],
    ] as const) {
      const { status, err } = await place.spoold('submit', '--var', word, '--var', 'DATE=1', 'flow.yaml');
      assert.equal(status, 2);
      assert.match(err, words);
    }
  });

  it('are taken by run, before the file and behind it, and by validate', async () => {
    writeFileSync(place.aside('flow.yaml'), flow);
    const { status, out, err } = await place.spoold('run', '--var', 'WHO=all', 'flow.yaml', '--var', 'DATE=today');
    assert.deepEqual({ status, out }, { status: 0, out: 'flow/a | hello all today\n' }, err);
    assert.equal((await place.spoold('run', '--var', 'A=1', '--', 'true')).status, 2);
    assert.equal((await place.spoold('validate', 'flow.yaml')).status, 2);
    assert.equal((await place.spoold('validate', '--var', 'DATE=1', 'flow.yaml')).status, 0);
  });
});

describe('the size of what is submitted', () => {
  it('is that of its file: quotes and lines count as they are written, and job.json is read whatever is in it', async () => {
    const stdin = 'say "hi"\n'.repeat(100_000);
    writeFileSync(place.aside('heavy.json'), JSON.stringify({ tasks: { a: { shell: 'cat', stdin } } }));
    const { status, err } = await place.spoold('submit', 'heavy.json');
    assert.equal(status, 2);
    assert.match(err, /tasks\.a: is larger than 1 MB/);
    await place.start();
    const args = Array.from({ length: 95_000 }, () => 'a');
    const tasks = { a: { command: ['true'] } };
    writeFileSync(place.aside('wide.json'), JSON.stringify({ defaults: { command: 'echo', args }, tasks }));
    assert.equal((await place.spoold('submit', '--wait', 'wide.json')).status, 0);
  });
});

describe('submit --dry-run', () => {
  const flow = `tasks:
  a: {command: [a]}
  b: {command: [b], priority: foreground}
  c: {command: [c]}
  d: {command: [d], dependencies: [a, b]}
  mend: {command: [m], dependencies: [d], run_if: failure}
`;

  it('tells what would run when, by the limits of now, and writes nothing', async () => {
    await place.spoold('init');
    writeFileSync(place.aside('flow.yaml'), flow);
    const { out } = await place.spoold('submit', '--dry-run', 'flow.yaml');
    assert.equal(
      out,
      `flow: 5 tasks in 3 levels, at most 2 at a time (${place.at('config.yaml')})

level   turn  task
    1      1  a
           1  b
           2  c
    2      2  d     after a, b
    3      -  mend  only if d fails

2 turns, if all tasks took equally long and succeeded; nothing was written.
`,
    );
    assert.equal(existsSync(place.at('jobs', 'flow')), false);
  });

  it('goes by the lower one of the limit of the file and that of the place, and by priority', async () => {
    await place.spoold('init');
    writeFileSync(place.aside('one.yaml'), `max_parallel: 1\n${flow}`);
    writeFileSync(place.aside('many.yaml'), `max_parallel: 50\n${flow}`);
    const turns = async (file: string) => {
      const { out } = await place.spoold('submit', '-n', '--json', file);
      const { tasks, limit, said_by } = JSON.parse(out);
      return [
        limit,
        said_by,
        Object.fromEntries(tasks.map((task: { id: string; turn: number }) => [task.id, task.turn])),
      ];
    };
    assert.deepEqual(await turns('one.yaml'), [1, 'one.yaml', { a: 2, b: 1, c: 3, d: 4, mend: null }]);
    await place.spoold('parallel', '3');
    assert.deepEqual(await turns('many.yaml'), [3, place.at('parallel'), { a: 1, b: 1, c: 1, d: 2, mend: null }]);
  });
});

describe('submit --dry-run of tasks that ask for resources', () => {
  it('hands them out as the daemon would, and names what could never be had', async () => {
    const alone = new Place({ config: 'max_parallel: 9\nresources: {gpu: 2}\n' });
    try {
      await alone.spoold('init');
      const tasks = Object.fromEntries(['a', 'b', 'c'].map((id) => [id, { shell: 'x', resources: { gpu: 1 } }]));
      const flow = { tasks: { ...tasks, free: { shell: 'x' }, far: { shell: 'x', resources: { gpu: 3 } } } };
      writeFileSync(alone.aside('flow.json'), JSON.stringify(flow));
      const { out, err } = await alone.spoold('submit', '-n', 'flow.json');
      assert.match(
        out,
        /1 {6}1 {2}a\n +1 {2}b\n +1 {2}free\n +2 {2}c\n +- {2}far {3}would be rejected: resources\.gpu: asks for 3 where there is 2/,
        err,
      );
    } finally {
      await alone.close();
    }
  });
});

describe('submit --wait', () => {
  it('returns when all has ended, with the status of wait and what failed in words', async () => {
    await place.start();
    writeFileSync(place.aside('good.yaml'), 'tasks: {a: {shell: "true"}, b: {shell: "true", dependencies: [a]}}');
    writeFileSync(place.aside('bad.yaml'), 'tasks: {a: {shell: exit 3}, b: {shell: "true", dependencies: [a]}}');
    const good = await place.spoold('submit', '--wait', 'good.yaml');
    assert.deepEqual([good.status, good.out, good.err], [0, 'good\n', '']);
    assert.deepEqual(place.job('good').ids('succeeded'), ['a', 'b']);
    const bad = await place.spoold('submit', '--wait', 'bad.yaml');
    assert.deepEqual([bad.status, bad.out, bad.err], [1, 'bad\n', 'spoold: bad is failed: 1 failed, 1 skipped\n']);
    const json = JSON.parse((await place.spoold('submit', '--wait', '--json', 'bad.yaml')).out);
    assert.deepEqual([json.job, json.tasks, json.ended, json.status], ['bad', 2, true, 1]);
    assert.match(json.archived, /archive\/bad\./);
  });

  it('ends with 0 where the only task that did not run was to run after a failure; run does too', async () => {
    await place.start();
    const flow = 'tasks:\n  a: {shell: "true"}\n  alarm: {shell: "true", dependencies: [a], run_if: failure}\n';
    writeFileSync(place.aside('calm.yaml'), flow);
    const { status, err } = await place.spoold('submit', '--wait', 'calm.yaml');
    assert.deepEqual([status, err], [0, '']);
    assert.deepEqual(place.job('calm').ids('skipped'), ['alarm']);
    assert.match((await place.spoold('status', 'calm')).out, /^calm is completed: /m);
    assert.equal((await place.spoold('run', 'calm.yaml')).status, 0);
    assert.equal((await place.spoold('wait', 'calm/alarm')).status, 1);
  });

  it('ends with 3 where nobody would ever run it, the job being queued', async () => {
    writeFileSync(place.aside('good.yaml'), 'tasks: {a: {shell: "true"}}');
    const { status, out, err } = await place.spoold('submit', '--wait', 'good.yaml');
    assert.deepEqual([status, out], [3, 'good\n']);
    assert.match(err, /This would wait for ever: no daemon serves/);
  });
});
