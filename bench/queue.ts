// A job in which more or less lies about while some tasks are run: what does the rest cost them? The job is paused between
// rounds; a round drops its tasks ahead of all others, lets the job go on, and ends when its own tasks have finished.
import { rmSync } from 'node:fs';
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
  private readonly place: Place;

  private constructor(place: Place) {
    this.place = place;
  }

  /** A served job with all that in it, known to the daemon. */
  static async make(scratch: Scratch, name: string, { waiting = 0, finished = 0 }: Others): Promise<Queue> {
    const place = new Place(scratch, name);
    const model = await place.makeModel();
    place.makeJob(JOB);
    place.pauseJob(JOB);
    place.fillFinished(JOB, place.ids(finished, 'finished'), model);
    place.fillPending(JOB, place.ids(waiting, 'waiting'), (i) =>
      i % 2 === 0 ? GATED : { ...TRUE, priority: 'best_effort' },
    );
    place.start();
    await place.settled();
    return new Queue(place);
  }

  get pid(): number {
    return this.place.pid;
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

  /** Stops it and gives its disk back, for who makes many. */
  end(): void {
    this.place.stop();
    rmSync(this.place.root, { recursive: true, force: true });
  }
}
