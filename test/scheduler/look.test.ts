import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AttemptFacts, look, type Verdict } from '../../src/scheduler/look.ts';

interface Facts extends Omit<AttemptFacts, 'processesLeft'> {
  hasProcesses: boolean;
}

/** It began and nothing of it is left, or another boot began it. */
const isOver = (it: Facts): boolean =>
  !it.hasProcesses && (it.hasBegun ? it.hasLastWord || !it.runnerLives : it.isCutOff);
const isAlive = (it: Facts): boolean =>
  it.hasBegun ? it.runnerLives || it.hasProcesses : it.isCutOff && it.hasProcesses;

/** The table of docs/protocol.md, "A look": the first row that holds. */
const TABLE: [row: string, holds: (it: Facts) => boolean, then: Verdict][] = [
  ['has a result.json', (it) => it.hasResult, 'finish'],
  [
    'is void, or was never handed over, and no power cut has taken what it did',
    (it) => (it.isVoid || (!it.hasScript && !it.hasBegun)) && (it.hasBegun || !it.isCutOff),
    'give back',
  ],
  [
    'has ending and never began: it is over once it is void',
    (it) => it.isEnding && !it.hasBegun && !it.isCutOff,
    'void',
  ],
  ['has ending, is not over', (it) => it.isEnding && !isOver(it), 'go on ending'],
  ['has ending, is over', (it) => it.isEnding, 'settle as ended'],
  ['has its last word', (it) => it.hasLastWord, 'settle by last word'],
  ['is alive, and its task is gone', (it) => isAlive(it) && !it.taskIsThere, 'begin ending'],
  ['is alive', (it) => isAlive(it), 'watch'],
  ['was begun by another boot, and says nothing of it', (it) => !it.hasBegun && it.isCutOff, 'lost'],
  ['has no complete line 1, and is overdue', (it) => !it.hasBegun && it.isOverdue, 'void'],
  ['has no complete line 1, and its task is gone', (it) => !it.hasBegun && !it.taskIsThere, 'void'],
  ['has no complete line 1, and may yet begin', (it) => !it.hasBegun, 'wait'],
  ['none of these', () => true, 'lost'],
];

const KEYS = [
  'hasResult',
  'isVoid',
  'hasScript',
  'isOverdue',
  'isEnding',
  'hasBegun',
  'isCutOff',
  'hasLastWord',
  'runnerLives',
  'taskIsThere',
  'hasProcesses',
] as const;

/** Every combination of the facts but those that no pid file can show: a last word, or a living runner, without line 1. */
const ALL = Array.from({ length: 2 ** KEYS.length }, (_, bits) => {
  return Object.fromEntries(KEYS.map((key, n) => [key, (bits & (1 << n)) !== 0])) as unknown as Facts;
}).filter((it) => it.hasBegun || (!it.hasLastWord && !it.runnerLives));

const judge = (it: Facts): Verdict => look({ ...it, processesLeft: () => (it.hasProcesses ? 1 : 0) });

test('every combination of facts is judged by the first row of the table that holds', () => {
  const used = new Set<string>();
  for (const it of ALL) {
    const [row, , then] = TABLE.find(([, holds]) => holds(it)) as (typeof TABLE)[number];
    used.add(row);
    assert.equal(judge(it), then, `${row}: ${JSON.stringify(it)}`);
  }
  assert.deepEqual(
    TABLE.filter(([row]) => !used.has(row)),
    [],
    'rows that no facts fit',
  );
});

test('an attempt of which a process may still live is never settled without a last word, nor given back, nor lost', () => {
  for (const it of ALL.filter((each) => !each.hasResult && !each.isVoid)) {
    if (!isAlive(it) || it.hasLastWord) continue;
    assert.ok(['go on ending', 'begin ending', 'watch'].includes(judge(it)), JSON.stringify(it));
  }
});

test('an attempt that has begun is never voided', () => {
  for (const it of ALL) if (it.hasBegun) assert.notEqual(judge(it), 'void', JSON.stringify(it));
});

test('/proc is not looked through for an attempt that runs, or that has said its last word', () => {
  const runs: AttemptFacts = {
    hasResult: false,
    isVoid: false,
    hasScript: true,
    isOverdue: false,
    isEnding: false,
    hasBegun: true,
    isCutOff: false,
    hasLastWord: false,
    runnerLives: true,
    taskIsThere: true,
    processesLeft: () => assert.fail('looked through /proc'),
  };
  assert.equal(look(runs), 'watch');
  assert.equal(look({ ...runs, hasLastWord: true }), 'settle by last word');
});
