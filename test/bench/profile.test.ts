import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ownCosts } from '../../bench/profile.ts';

const node = (id: number, functionName: string, url: string, children: number[] = []) => ({
  id,
  callFrame: { functionName, url },
  children,
});

test('time in the system counts for the function of ours that called it, and idling for none', () => {
  const profile = {
    nodes: [
      node(1, '(root)', '', [2, 6]),
      node(2, 'tick', 'file:///daemon.js', [3, 5]),
      node(3, 'openSync', 'node:fs', [4]),
      node(4, 'open', ''),
      node(5, 'plan', 'file:///daemon.js'),
      node(6, '(idle)', ''),
    ],
    samples: [4, 4, 5, 6, 3],
    timeDeltas: [10, 5, 7, 1000, 1],
  };
  assert.deepEqual(ownCosts(profile), [
    ['tick: open', 15],
    ['plan', 7],
    ['tick: openSync', 1],
  ]);
});
