// Time as the benches measure it: how long something took, and waiting by looking every few milliseconds. No watcher on
// the folders of a daemon: its wake-ups would be paid by the daemon, on the same cores.
import { setTimeout as pause } from 'node:timers/promises';

export { pause };

/** How long, in seconds. */
export async function seconds(work: () => Promise<void> | void): Promise<number> {
  const begin = performance.now();
  await work();
  return (performance.now() - begin) / 1000;
}

/** Looks every `every` ms until it holds. */
export async function until(holds: () => boolean, every = 5): Promise<void> {
  while (!holds()) await pause(every);
}
