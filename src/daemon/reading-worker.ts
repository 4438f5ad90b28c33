// The thread behind reading-ahead.ts: reads the task files that it is told of, in turn, and gives what it read in one
// message. What is no plain task, or a long one, is left for the daemon to read and to judge.
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { readDrop } from '../store/tasks.ts';
import type { ReadFiles, ReadOrder } from './reading-ahead.ts';

/** To take a message apart keeps the daemon's loop busy: 200 files of so many characters, for a few ms. */
const MOST = 16_000;

const { folder, owners } = workerData as ReadOrder;

parentPort?.on('message', (ids: string[]) => {
  const read: ReadFiles = { ids: [], texts: [], stamps: [], queuedAt: [], others: [] };
  for (const id of ids) {
    try {
      const drop = readDrop(join(folder, `${id}.json`), owners);
      if (drop.kind !== 'json' || drop.text.length > MOST) {
        read.others.push(id);
        continue;
      }
      read.ids.push(id);
      read.texts.push(drop.text);
      read.stamps.push(drop.stamp);
      read.queuedAt.push(drop.queuedAt);
    } catch {
      read.others.push(id); // trouble is met again there, and told
    }
  }
  parentPort?.postMessage(read);
});
