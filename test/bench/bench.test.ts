import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../helpers/scratch.ts';

const BENCH = join(import.meta.dirname, '..', '..', 'bench', 'bench.js');

interface Line {
  what: string;
  must: object | null;
  values: number[];
  median: number;
  verdict: string;
}

function bench(...args: string[]) {
  return spawnSync(process.execPath, [BENCH, ...args], { encoding: 'utf8' });
}

test('a row runs through, says on what machine, and leaves nothing behind', (t) => {
  const on = scratch(t);
  const { status, stdout, stderr } = bench('--only', 'chain,latency', '--quick', '--rounds', '1', '--json', '--on', on);
  assert.equal(status, 0, stderr);
  const { machine, quick, lines } = JSON.parse(stdout) as {
    machine: Record<string, unknown>;
    quick: boolean;
    lines: Line[];
  };
  assert.ok(['cpu', 'cores', 'kernel', 'fileSystem', 'node', 'load', 'peers'].every((key) => key in machine));
  assert.equal(quick, true);
  assert.deepEqual(
    lines.map(({ what }) => what),
    [
      'chain of 20, to as many `sh -c true`',
      'drop to start, half of the drops within',
      'drop to start, 99 of 100 within',
    ],
  );
  for (const { must, values, median, verdict } of lines.filter((line) => !/no C compiler/.test(line.verdict))) {
    assert.ok(must !== null && values.length === 1 && Number.isFinite(median) && median > 0);
    assert.equal(verdict, 'sizes too small to judge');
  }
  assert.deepEqual(readdirSync(on), []);
});

test('a wrong option is a mistake, said with the help', () => {
  const { status, stdout, stderr } = bench('--only', 'speed');
  assert.deepEqual([status, stdout], [2, '']);
  assert.match(stderr, /there is no row "speed"[\s\S]*--only ROW/);
});
