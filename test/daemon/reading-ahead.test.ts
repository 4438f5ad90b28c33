// The thread that reads ahead, over real files.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { ReadingAhead } from '../../src/daemon/reading-ahead.ts';
import type { Drop } from '../../src/store/tasks.ts';
import { waitUntil } from '../helpers/wait-until.ts';

const folder = mkdtempSync(join(tmpdir(), 'spoold-ahead-'));
const owners = new Set([process.getuid?.() ?? 0]);
after(() => rmSync(folder, { recursive: true }));

function write(prefix: string, n: number): string[] {
  const ids = Array.from({ length: n }, (_, i) => `${prefix}-${i}`);
  for (const id of ids) writeFileSync(join(folder, `${id}.json`), JSON.stringify({ command: id }));
  return ids;
}

/** Everything that comes back, until nothing is under way. */
async function allOf(ahead: ReadingAhead): Promise<Map<string, Drop | undefined>> {
  const all = new Map<string, Drop | undefined>();
  await waitUntil('all has arrived', () => {
    for (let next = ahead.arrived(); next !== undefined; next = ahead.arrived()) {
      assert.ok(!all.has(next.id), `${next.id} came twice`);
      all.set(next.id, next.drop);
    }
    return ahead.isThrough();
  });
  return all;
}

describe('reading ahead', () => {
  it('gives each file that it took, as it was read; what is no task is left to be read again', async () => {
    const ahead = new ReadingAhead(folder, owners);
    try {
      const ids = write('a', 450);
      writeFileSync(join(folder, 'broken.json'), '{"command":');
      mkdirSync(join(folder, 'folder.json'));
      writeFileSync(join(folder, 'long.json'), JSON.stringify({ command: 'true', description: 'long '.repeat(4_000) }));
      const odd = ['broken', 'folder', 'missing', 'long'];
      for (const id of [...ids, ...odd]) assert.ok(ahead.takes(id));
      const all = await allOf(ahead);
      assert.equal(all.size, ids.length + odd.length);
      for (const id of odd) assert.equal(all.get(id), undefined);
      for (const id of ids) {
        const drop = all.get(id);
        assert.deepEqual(drop?.kind === 'json' && drop.value, { command: id });
      }
    } finally {
      ahead.close();
    }
  });

  it('takes no more than it can read in a turn', () => {
    const ahead = new ReadingAhead(folder, owners);
    try {
      const taken = Array.from({ length: 10_000 }, (_, i) => `x-${i}`).filter((id) => ahead.takes(id));
      assert.ok(taken.length > 0 && taken.length <= 2_000);
    } finally {
      ahead.close();
    }
  });

  it('gives back what it has not read when it dies', async () => {
    const ahead = new ReadingAhead(folder, owners);
    const ids = write('b', 700).filter((id) => ahead.takes(id));
    assert.equal(ids.length, 700);
    ahead.close(); // as it goes when it runs out of memory: without a word
    const all = await allOf(ahead);
    assert.deepEqual([...all.keys()].sort(), ids.sort());
    assert.equal(ahead.takes('more'), false);
  });
});
