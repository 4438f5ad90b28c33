// The thread behind reading-ahead.ts: reads the task files that it is told of, in turn, and gives what it read in one
// message. What is no plain task is left for the daemon to read and to judge.
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { readDrop } from '../store/tasks.ts';
import type { ReadFiles, ReadOrder } from './reading-ahead.ts';

const { folder, owners } = workerData as ReadOrder;

parentPort?.on('message', (ids: string[]) => {
  const read: ReadFiles = { ids: [], texts: [], stamps: [], queuedAt: [], others: [] };
  for (const id of ids) {
    try {
      const drop = readDrop(join(folder, `${id}.json`), owners);
      if (drop.kind !== 'json') {
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
