import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventsOf } from '../../src/client/history.ts';
import { formatEvent } from '../../src/protocol/event.ts';
import { Layout } from '../../src/protocol/layout.ts';

const line = (n: number, task: string) =>
  formatEvent({ t: new Date(n).toISOString(), job: 'j', task, event: 'moved', reason: `${n} ${'x'.repeat(700)}` });

test('events of a task are found newest first, over two files, over the edges of what is read at once, and no others', () => {
  const root = mkdtempSync(join(tmpdir(), 'spoold-test-'));
  try {
    const layout = new Layout(root);
    const all = Array.from({ length: 6_000 }, (_, i) => i + 1);
    const text = (some: number[]) => some.map((n) => line(n, n % 2 === 0 ? 'even' : 'odd')).join('');
    writeFileSync(`${layout.events}.1`, text(all.slice(0, 2_000)));
    writeFileSync(layout.events, `${text(all.slice(2_000))}{"t":"half a li`);
    const numbers = (task?: string) =>
      [...eventsOf(layout, 'j', task)].map(({ reason }) => Number(reason?.split(' ')[0]));
    assert.deepEqual(numbers('even'), all.filter((n) => n % 2 === 0).toReversed());
    assert.deepEqual(numbers('odd'), all.filter((n) => n % 2 === 1).toReversed());
    assert.deepEqual(numbers(), all.toReversed());
    assert.deepEqual(numbers('eve'), []);
    assert.deepEqual([...eventsOf(new Layout(join(root, 'nowhere')), 'j')], []);
  } finally {
    rmSync(root, { recursive: true });
  }
});
