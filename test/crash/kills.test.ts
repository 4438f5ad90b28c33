// Twenty kills at random moments, of the daemon, of its launcher and of runners, while 300 short tasks with dependencies
// run. Each task writes down, outside of the state directory, when each of its attempts begins and ends: an account that
// the daemon has no part in. SEED repeats a run.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { drawVictims } from '../../src/client/prove.ts';
import { type Killed, killOne, lostAttempts } from '../helpers/kill.ts';
import { type JobHands, Place } from '../helpers/place.ts';
import { generator } from '../helpers/random.ts';
import { waitUntil } from '../helpers/wait-until.ts';

const TASKS = 300;
const KILLS = 20;
const PATIENCE = 300_000;

describe('kills at random moments', () => {
  it('lose no task, run none twice but for attempts recorded as lost, and leave nothing behind', async (t) => {
    const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
    const random = generator(seed);
    t.diagnostic(`SEED=${seed}`);
    const place = new Place({ config: 'max_parallel: 6\n' });
    try {
      await place.start();
      const job = place.job('chaos').make({ max_parallel: 'none' });
      const dependencies = dropTasks(place, job, random);
      const killed: Killed = { daemon: 0, launcher: 0, runner: 0 };
      const victims = drawVictims(random);
      for (let kill = 0; kill < KILLS; kill++) {
        // Spread over the work, not over time: a busy machine does less in a second.
        await ended(place, job, (TASKS * kill) / (KILLS + 1));
        await pause(random() * 60);
        await killOne(place, job, { victim: victims.next().value, random, killed });
      }
      await ended(place, job, TASKS);
      await waitUntil(
        'no claim is left',
        () => job.names('running').length === 0,
        () => job.names('running'),
        PATIENCE,
      );
      t.diagnostic(`killed ${JSON.stringify(killed)}, lost ${lostAttempts(job).length} attempts`);
      assert.deepEqual(violations(place, job, dependencies), [], `SEED=${seed}`);
      assert.ok(lostAttempts(job).length <= killed.runner, `SEED=${seed}: ${lostAttempts(job).join(' ')}`);
      assert.ok(Object.values(killed).every((n) => n > 0));
      assert.equal(await place.end(), 0);
      await waitUntil(
        'nothing is left',
        () => place.processes().length === 0,
        () => place.processes(),
      );
    } finally {
      await place.close();
    }
  });
});

/** Drops the tasks, each waiting for at most two of the twenty before it. */
function dropTasks(place: Place, job: JobHands, random: () => number): Map<string, string[]> {
  const all = new Map<string, string[]>();
  const account = place.aside('account');
  for (let i = 0; i < TASKS; i++) {
    const wanted = Array.from({ length: Math.floor(random() * 3) }, () => i - 1 - Math.floor(random() * 20));
    const dependencies = [...new Set(wanted.filter((n) => n >= 0))].map((n) => `t${n}`);
    all.set(`t${i}`, dependencies);
    const seconds = (0.02 + random() * 0.1).toFixed(3);
    job.drop(`t${i}`, {
      shell: `echo "begin $SPOOLD_TASK $SPOOLD_ATTEMPT" >>'${account}'; sleep ${seconds}; echo "end $SPOOLD_TASK $SPOOLD_ATTEMPT" >>'${account}'`,
      dependencies,
    });
  }
  return all;
}

/** Waits until so many tasks have come to a final folder. */
async function ended(place: Place, job: JobHands, count: number): Promise<void> {
  const done = () => job.ids('succeeded').length + job.ids('failed').length + job.ids('skipped').length;
  await waitUntil(
    `${Math.ceil(count)} tasks have ended`,
    () => done() >= count,
    () => `${done()} have; running ${job.names('running').join(' ')}\n${place.log.slice(-3000)}`,
    PATIENCE,
  );
}

/** Everything that contradicts: each ran exactly once, but for attempts that are recorded as lost. */
function violations(place: Place, job: JobHands, dependencies: ReadonlyMap<string, string[]>): string[] {
  const wrong: string[] = [];
  const lines = readFileSync(place.aside('account'), 'utf8').trimEnd().split('\n');
  const order = new Map(lines.map((line, index) => [line, index]));
  if (order.size !== lines.length) wrong.push('an attempt ran twice');
  const lost = new Set(lostAttempts(job));
  for (const [id, needs] of dependencies) {
    if (!job.isIn('succeeded', id)) wrong.push(`${id} is in ${job.folderOf(id) ?? 'no folder'}: ${job.describe(id)}`);
    const begun = lines.filter((line) => line.startsWith(`begin ${id} `)).map((line) => line.split(' ')[2] as string);
    const good = begun.filter((attempt) => !lost.has(`${id}.${attempt}`));
    if (good.length !== 1)
      wrong.push(
        `${id} ran in attempts ${begun.join(', ')}, lost: ${[...lost].filter((name) => name.startsWith(`${id}.`)).join(' ')}`,
      );
    if (!lines.includes(`end ${id} ${good[0]}`)) wrong.push(`${id} succeeded and never came to its end`);
    for (const [index, attempt] of begun.entries()) {
      const end = order.get(`end ${id} ${attempt}`);
      const next = begun[index + 1];
      if (end !== undefined && next !== undefined && end > (order.get(`begin ${id} ${next}`) as number))
        wrong.push(`${id}: attempts ${attempt} and ${next} ran at one time`);
    }
    for (const need of needs) {
      const ends = lines.filter((line) => line.startsWith(`end ${need} `)).map((line) => order.get(line) as number);
      const begins = order.get(`begin ${id} ${begun[0]}`) as number;
      if (!ends.some((end) => end < begins)) wrong.push(`${id} began before ${need} had ended`);
    }
  }
  return wrong;
}
