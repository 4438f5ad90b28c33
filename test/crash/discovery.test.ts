// A job that finds its work at run time: FILES files, each processed by a task that fails once and is retried, each of
// these queueing a task, which queues one more; then all is merged. The daemon, its launcher and runners are killed at
// random moments. The account is what the tasks wrote outside of the state directory. SEED repeats a run; FILES and
// ROUNDS make it longer (500 and 20 are what was promised).
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { drawVictims } from '../../src/client/prove.ts';
import { type Killed, killOne, lostAttempts } from '../helpers/kill.ts';
import { type JobHands, Place } from '../helpers/place.ts';
import { generator } from '../helpers/random.ts';
import { waitUntil } from '../helpers/wait-until.ts';

const FILES = Number(process.env.FILES ?? 40);
const ROUNDS = Number(process.env.ROUNDS ?? 2);
const KILLS = 6;
const PATIENCE = 300_000;

/** What tasks run; in $HANDS. `drop NAME` makes a child of what it reads; `note` writes a line to the account. */
const HANDS = `
drop() { cat >"$SPOOLD_PENDING/.$1"; mv "$SPOOLD_PENDING/.$1" "$SPOOLD_PENDING/$1.json"; }
note() { echo "$1" >>"$ACCOUNT"; }
discover() {
  for file in "$FILES"/*; do
    echo '{"shell": ". \\"$HANDS\\"; process", "retry": 1}' | drop "f-\${file##*/}"
  done
}
process() {
  echo '{"shell": ". \\"$HANDS\\"; first"}' | drop "$SPOOLD_TASK-a"
  if mkdir "$FAILED/$SPOOLD_TASK" 2>/dev/null; then exit 1; fi
  note "$SPOOLD_TASK"
}
first() { echo '{"shell": ". \\"$HANDS\\"; second"}' | drop "$SPOOLD_TASK-b"; note "$SPOOLD_TASK"; }
second() { note "$SPOOLD_TASK"; }
merge() { note merge; }
`;

describe('a job that finds its work while it runs, under kills at random moments', () => {
  for (let round = 1; round <= ROUNDS; round++) {
    it(`merges once, after all: round ${round}`, async (t) => {
      const seed = Number(process.env.SEED ?? Date.now() % 1_000_000) + round;
      t.diagnostic(`SEED=${seed - round}, round ${round}`);
      const random = generator(seed);
      const place = new Place({ config: 'max_parallel: 6\n' });
      try {
        await place.start();
        const job = discovery(place);
        const total = 3 * FILES;
        const killed: Killed = { daemon: 0, launcher: 0, runner: 0 };
        const victims = drawVictims(random);
        for (let kill = 0; kill < KILLS; kill++) {
          const after = Math.floor((total * kill) / KILLS);
          await noted(place, job, after);
          await pause(random() * 60);
          await killOne(place, job, { victim: victims.next().value, random, killed, spared: 'merge' });
        }
        await job.comesTo('succeeded', 'merge', PATIENCE);
        const account = place.lines('account');
        t.diagnostic(`killed ${JSON.stringify(killed)}; ${account.length} lines`);
        assert.deepEqual(violations(job, account), [], `SEED=${seed - round}`);
        assert.ok(lostAttempts(job).length <= killed.runner, `SEED=${seed - round}: ${lostAttempts(job).join(' ')}`);
        assert.ok(Object.values(killed).every((n) => n > 0));
        assert.equal(await place.end(), 0);
      } finally {
        await place.close();
      }
    });
  }
});

function discovery(place: Place): JobHands {
  const env = { HANDS: place.aside('hands.sh'), ACCOUNT: place.aside('account'), FILES: place.aside('files') };
  const FAILED = place.aside('failed');
  writeFileSync(env.HANDS, HANDS);
  for (const folder of [env.FILES, FAILED]) mkdirSync(folder);
  for (let n = 1; n <= FILES; n++) writeFileSync(`${env.FILES}/${n}`, '');
  const job = place.job('find').make({ max_parallel: 'none', defaults: { env: { ...env, FAILED } } });
  job.drop('merge', { shell: '. "$HANDS"; merge', dependencies: ['discover'] });
  return job.drop('discover', { shell: '. "$HANDS"; discover' });
}

async function noted(place: Place, job: JobHands, lines: number): Promise<void> {
  await waitUntil(
    `${lines} tasks have written down that they are done`,
    () => place.lines('account').length >= lines,
    () => `${place.lines('account').length}; running ${job.names('running').join(' ')}\n${place.log.slice(-3000)}`,
    PATIENCE,
  );
}

/** All that contradicts: every task found, done and in its folder, each failed once; the merge once, and last. */
function violations(job: JobHands, account: readonly string[]): string[] {
  const wrong: string[] = [];
  if (account.filter((line) => line === 'merge').length !== 1) wrong.push('merge did not run exactly once');
  if (account.at(-1) !== 'merge') wrong.push(`something ran after the merge: ${account.at(-1)}`);
  if (job.results('merge').length !== 1) wrong.push('merge has not exactly one attempt');
  const done = new Set(account);
  const expected = new Set(['discover', 'merge']);
  for (let n = 1; n <= FILES; n++) {
    for (const id of [`f-${n}`, `f-${n}-a`, `f-${n}-a-b`]) {
      expected.add(id);
      if (!done.has(id)) wrong.push(`${id} was never done`);
      if (!job.isIn('succeeded', id)) wrong.push(`${id} is in ${job.folderOf(id) ?? 'no folder'}`);
    }
    // A runner may be killed when its command has failed or is done: such an attempt is recorded as lost, and repeated.
    const ends = job.results(`f-${n}`).map(({ reason }) => reason);
    const isFine = ends.length >= 2 && ends.filter((reason) => reason !== 'exit').every((reason) => reason === 'lost');
    if (!isFine) wrong.push(`f-${n} ended by ${ends.join(', ')}`);
  }
  const there = (['pending', 'running', 'succeeded', 'failed', 'cancelled', 'skipped', 'rejected'] as const).flatMap(
    (state) => job.ids(state),
  );
  if (there.length !== expected.size) wrong.push(`${there.length} tasks lie in the folders, not ${expected.size}`);
  return wrong;
}
