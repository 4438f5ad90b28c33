// Tasks that move on, or back, while somebody counts them: each is told of, and once.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { describe, it } from 'node:test';
import { graphOfJob } from '../../src/client/graph.ts';
import { jobLine, jobStatusJson } from '../../src/client/status.ts';
import { Layout } from '../../src/protocol/layout.ts';
import { type Folder } from '../helpers/place.ts';
import { quietPlace } from '../cli/quiet-place.ts';

/** Does `action`, with one of `moves` after each listing of a folder, the first after listing `at`. */
function whileMoving<T>(at: number, moves: readonly (() => void)[], action: () => T): T {
  const { readdirSync } = fs;
  let listed = 0;
  Object.assign(fs, {
    readdirSync: (...args: Parameters<typeof readdirSync>) => {
      const names = readdirSync(...args);
      moves[listed++ - at]?.();
      return names;
    },
  });
  syncBuiltinESMExports();
  try {
    return action();
  } finally {
    Object.assign(fs, { readdirSync });
    syncBuiltinESMExports();
  }
}

const WAYS: readonly Folder[][] = [
  ['pending', 'running'],
  ['running', 'succeeded'],
  ['pending', 'running', 'failed'],
  ['running', 'pending'],
  ['running', 'pending', 'running'],
  ['failed', 'pending'],
];

describe('a task that moves while its job is looked at', () => {
  for (const way of WAYS) {
    it(`from ${way.join(' to ')} is told of once by status and graph, and its job has not ended before it has`, async () => {
      const place = quietPlace();
      try {
        const job = place.job('j');
        for (const folder of ['pending', 'running', 'succeeded', 'failed'])
          fs.mkdirSync(job.path(folder), { recursive: true });
        const layout = new Layout(place.dir);
        const steps = way.slice(1).map((to, i) => () => job.move('x', way[i] as Folder, to));
        const look = <T>(at: number, action: () => T): T => {
          for (const folder of ['pending', 'running', 'succeeded', 'failed'])
            fs.rmSync(job.path(folder, 'x.json'), { force: true });
          job.write(`${way[0]}/x.json`, '{"command":["true"]}');
          return whileMoving(at, steps, action);
        };
        for (let at = 0; at < 12; at++) {
          const document = look(at, () => jobStatusJson(layout, 'j')) as {
            tasks: unknown[];
            counts: Record<string, number>;
          };
          assert.equal(document.tasks.length, 1, `status, from listing ${at}`);
          assert.equal(
            Object.values(document.counts).reduce((a, b) => a + b),
            1,
          );
          if (way[0] === 'failed') continue; // a move by hand, which a graph may miss
          assert.equal(look(at, () => graphOfJob(layout, 'j')).tasks.length, 1, `graph, from listing ${at}`);
          const { state } = look(at, () => jobLine('j', layout.job('j')));
          if (['pending', 'running'].includes(way.at(-1) ?? '')) assert.notEqual(state, 'completed');
        }
      } finally {
        await place.close();
      }
    });
  }
});
