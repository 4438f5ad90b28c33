// A random graph of 10,000 tasks in 50 layers, run by a daemon. What says in which order they ran is their own account: each
// appends a line when it begins and one when it ends, to a file outside of the state directory. O_APPEND puts the lines
// in one order, so that no clock is asked.
import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { Place } from '../helpers/place.ts';
import { generator } from '../helpers/random.ts';
import { waitUntil } from '../helpers/wait-until.ts';

const TASKS = Number(process.env.TASKS ?? 10_000);
const LAYERS = 50;
const PATIENCE = 900_000; // a busy machine runs some fifty a second

describe('a random graph of 10,000 tasks in 50 layers', () => {
  it('runs each task once, after all that it depends on', async (t) => {
    const seed = Number(process.env.SEED ?? 20);
    const place = new Place({ config: 'max_parallel: 8\n' });
    try {
      const graph = layered(generator(seed));
      const account = place.aside('account');
      const shell = `echo "begin $SPOOLD_TASK" >>'${account}'; echo "end $SPOOLD_TASK" >>'${account}'`;
      await place.start();
      const job = place.job('layers').make({ max_parallel: 'none', defaults: { shell } });
      const tasks = [...graph].map(([id, dependencies]) => ({ id, dependencies }));
      writeFileSync(job.path('pending', '.all'), JSON.stringify(tasks));
      renameSync(job.path('pending', '.all'), job.file('pending', 'all'));
      await waitUntil(
        'all have ended',
        () => job.names('succeeded').length >= TASKS,
        () => `${job.names('succeeded').length} have; failed ${job.ids('failed').join()}\n${place.log.slice(-3000)}`,
        PATIENCE,
      );
      const lines = place.lines('account');
      const at = new Map(lines.map((line, index) => [line, index]));
      assert.equal(lines.length, 2 * TASKS);
      assert.equal(at.size, 2 * TASKS, 'none ran twice');
      let edges = 0;
      const early: string[] = [];
      for (const [id, dependencies] of graph) {
        edges += dependencies.length;
        for (const dependency of dependencies) {
          if (!((at.get(`end ${dependency}`) as number) < (at.get(`begin ${id}`) as number)))
            early.push(`${id} began before ${dependency} had ended`);
        }
      }
      t.diagnostic(`${TASKS} tasks, ${edges} dependencies`);
      assert.deepEqual(early, []);
      assert.ok(edges > 1.5 * TASKS);
    } finally {
      await place.close();
    }
  });
});

/** Each task depends on up to three of any layer below, one of them of the layer next to it. */
function layered(random: () => number): Map<string, string[]> {
  const width = Math.ceil(TASKS / LAYERS);
  const graph = new Map<string, string[]>();
  for (let n = 0; n < TASKS; n++) {
    const first = Math.floor(n / width) * width;
    const wanted =
      first === 0
        ? []
        : [first - 1 - Math.floor(random() * width), Math.floor(random() * first), Math.floor(random() * first)];
    graph.set(`t${n}`, [...new Set(wanted.map((number) => `t${number}`))]);
  }
  return graph;
}
