import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { JobLayout } from '../../src/protocol/layout.ts';
import { STATES, type State } from '../../src/protocol/states.ts';
import { type Counts, jobNames, jobStateOf, readParallel, stateOf, summarise } from '../../src/store/snapshot.ts';
import { scratch, scratchStateDir } from '../helpers/scratch.ts';

/** Counted from the names alone. */
function countByHand(job: JobLayout): Counts {
  const names = (state: State): string[] => {
    try {
      return readdirSync(job.folder(state)).filter((name) => !name.startsWith('.'));
    } catch {
      return [];
    }
  };
  const counts = Object.fromEntries(
    STATES.map((state) => [state, names(state).filter((name) => name.endsWith('.json')).length]),
  );
  return { ...counts, held: names('pending').filter((name) => !name.endsWith('.json')).length } as Counts;
}

type Step =
  | { do: 'drop' | 'hold' | 'delete'; id: string }
  | { do: 'move'; id: string; from: State; to: State }
  | { do: 'remove folder' | 'make folder'; state: State }
  | { do: 'grow old' }
  | { do: 'write summary' }
  | { do: 'damage summary'; text: string };

const id = fc.constantFrom('a', 'b', 'c', 'd');
const state = fc.constantFrom(...STATES);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('drop' as const, 'hold' as const, 'delete' as const), id }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('move' as const), id, from: state, to: state }) },
  fc.record({ do: fc.constantFrom('remove folder' as const, 'make folder' as const), state }),
  { weight: 3, arbitrary: fc.constant({ do: 'grow old' as const }) },
  { weight: 4, arbitrary: fc.constant({ do: 'write summary' as const }) },
  fc.record({
    do: fc.constant('damage summary' as const),
    text: fc.constantFrom('', '{', 'null', '{}', '{"counts":{}}', '{"counts":1,"counted":{}}'),
  }),
);

test('counts agree with the folders after whatever was done to them, with whatever summary was written before', (t) => {
  const layout = scratchStateDir(t);
  let made = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40, size: 'max' }), (steps) => {
      const job = layout.job(`job${(made += 1)}`);
      for (const folder of STATES) mkdirSync(job.folder(folder), { recursive: true });
      let now = Date.now();
      for (const what of steps) {
        now = take(job, what, now);
        assert.deepEqual(summarise(job, now).counts, countByHand(job), JSON.stringify(what));
      }
      rmSync(job.root, { recursive: true });
    }),
    { numRuns: 60 },
  );
});

function quietly(action: () => void): void {
  try {
    action();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** Does it as a person or the daemon would; gives the time after it. */
function take(job: JobLayout, what: Step, now: number): number {
  switch (what.do) {
    case 'drop':
      quietly(() => writeFileSync(job.task('pending', what.id), '{}'));
      break;
    case 'hold':
      quietly(() => renameSync(job.task('pending', what.id), join(job.folder('pending'), `${what.id}.held`)));
      break;
    case 'delete':
      quietly(() => rmSync(job.task('pending', what.id)));
      break;
    case 'move':
      quietly(() => renameSync(job.task(what.from, what.id), job.task(what.to, what.id)));
      break;
    case 'remove folder':
      rmSync(job.folder(what.state), { recursive: true, force: true });
      break;
    case 'make folder':
      mkdirSync(job.folder(what.state), { recursive: true });
      break;
    case 'grow old': // as if nothing had been touched for a while
      for (const folder of STATES) quietly(() => age(job.folder(folder), (aged += 1)));
      return now + 10_000;
    case 'write summary':
      writeFileSync(job.summary, JSON.stringify(summarise(job, now)));
      break;
    case 'damage summary':
      writeFileSync(job.summary, what.text);
  }
  return now;
}
let aged = 0;

function age(folder: string, by: number): void {
  utimesSync(folder, 1_600_000_000 + by, 1_600_000_000 + by);
}

test('a folder that changed just now is counted again at the next look, even if its time stamp stayed', (t) => {
  const job = scratchStateDir(t).job('demo');
  mkdirSync(job.folder('pending'), { recursive: true });
  writeFileSync(job.task('pending', 'a'), '{}');
  const at = Date.now() / 1000;
  utimesSync(job.folder('pending'), at, at);
  writeFileSync(job.summary, JSON.stringify(summarise(job, at * 1000 + 100)));
  writeFileSync(job.task('pending', 'b'), '{}');
  utimesSync(job.folder('pending'), at, at);
  assert.equal(summarise(job, at * 1000 + 5000).counts.pending, 2);
});

test('a folder that has not changed is not listed again', (t) => {
  const job = scratchStateDir(t).job('demo');
  mkdirSync(job.folder('succeeded'), { recursive: true });
  age(job.folder('succeeded'), 0);
  const summary = summarise(job, Date.now());
  writeFileSync(job.summary, JSON.stringify({ ...summary, counts: { ...summary.counts, succeeded: 400_000 } }));
  assert.equal(summarise(job, Date.now()).counts.succeeded, 400_000);
});

test('where a task lies is told; a copy that is being moved is seen where it runs', (t) => {
  const job = scratchStateDir(t).job('demo');
  assert.equal(stateOf(job, 'x'), undefined);
  for (const folder of ['rejected', 'failed', 'pending', 'running'] as const) {
    mkdirSync(job.folder(folder), { recursive: true });
    writeFileSync(job.task(folder, 'x'), '{}');
    assert.equal(stateOf(job, 'x'), folder);
  }
});

test("a job's state in a word: working, waiting, failed or completed", () => {
  const none = Object.fromEntries([...STATES, 'held'].map((word) => [word, 0])) as Counts;
  assert.equal(jobStateOf(none), 'completed');
  assert.equal(jobStateOf({ ...none, succeeded: 3 }), 'completed');
  assert.equal(jobStateOf({ ...none, succeeded: 1, skipped: 1 }), 'completed'); // run_if: failure, and nothing failed
  for (const bad of ['failed', 'rejected', 'cancelled'] as const) {
    assert.equal(jobStateOf({ ...none, [bad]: 1 }), 'failed');
    for (const open of ['pending', 'held'] as const) {
      assert.equal(jobStateOf({ ...none, [bad]: 1, [open]: 1 }), 'waiting');
      assert.equal(jobStateOf({ ...none, [bad]: 1, [open]: 1, running: 1 }), 'working');
    }
  }
});

test('jobs are listed by name; folders that cannot be jobs are not', (t) => {
  const layout = scratchStateDir(t);
  for (const name of ['b', 'a', '.draft', 'a b']) mkdirSync(join(layout.jobs, name));
  assert.deepEqual(jobNames(layout), ['a', 'b']);
});

test('a file `parallel` holds a whole number, or is damaged', (t) => {
  const path = join(scratch(t), 'parallel');
  assert.equal(readParallel(path), undefined);
  for (const [text, expected] of [
    ['3\n', 3],
    ['0', 0],
    [' 12 ', 12],
    ['', 'damaged'],
    ['-1', 'damaged'],
    ['two', 'damaged'],
    ['1.5', 'damaged'],
    ['1e3', 'damaged'],
  ] as const) {
    writeFileSync(path, text);
    assert.equal(readParallel(path), expected, text);
  }
});
