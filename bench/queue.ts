// A job in which more or less lies about while some tasks are run: what does the rest cost them? The job is paused between
// rounds; a round drops its tasks ahead of all others, lets the job go on, and ends when its own tasks have finished.
import { seconds } from './clock.ts';
import { GATED, Place, TRUE } from './place.ts';
import { cpuMs } from './processes.ts';
import type { Scratch } from './scratch.ts';

export const JOB = 'bench';

export interface Others {
  /** Every second of them waits for a slot, the others for a dependency. */
  waiting?: number;
  finished?: number;
}

export interface Cost {
  /** Of one task, in seconds. */
  wall: number;
  /** Of one task, in ms: the daemon's time on a core. */
  daemonCpu: number;
}

export class Queue {
  /** The daemon's time on a core to start and to take in all that was there, in ms. */
  readonly startCpu: number;
  private readonly place: Place;

  private constructor(place: Place, startCpu: number) {
    this.place = place;
    this.startCpu = startCpu;
  }

  /** A served job with all that in it, known to the daemon. */
  static async make(scratch: Scratch, name: string, { waiting = 0, finished = 0 }: Others): Promise<Queue> {
    const place = new Place(scratch, name);
    const model = await place.makeModel();
    place.makeJob(JOB);
    place.pauseJob(JOB);
    await place.fillFinished(JOB, place.ids(finished, 'finished'), model);
    await place.fillPending(JOB, place.ids(waiting, 'waiting'), (i) => (i % 2 === 0 ? GATED : TRUE));
    const pid = place.start();
    await place.settled();
    return new Queue(place, cpuMs(pid));
  }

  /** Runs so many tasks through it. */
  async run(tasks: number): Promise<Cost> {
    const { place } = this;
    const ids = place.ids(tasks);
    const drop = place.draft(JOB, ids, () => ({ ...TRUE, priority: 'foreground' }));
    const before = cpuMs(place.pid);
    const time = await seconds(async () => {
      drop();
      place.resumeJob(JOB);
      await place.finished(JOB, ids);
    });
    const cpu = cpuMs(place.pid) - before;
    place.pauseJob(JOB);
    await place.settled();
    return { wall: time / tasks, daemonCpu: cpu / tasks };
  }
}
