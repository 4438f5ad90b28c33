// Group sync: what the last turns have moved is put on the disk by one syncfs, run by the launcher off the critical path.
// What must wait for it (unlinking a bundle, thinning an attempt, a hand-over with on_lost: fail) waits here.
import { monotonic } from '../host/clock.ts';
import { SLICE_MS, type World } from './world.ts';

/** Between the end of one sync and the begin of the next, in ms. */
const PAUSE_MS = 500;
/** One that is not answered by then is asked for again, in ms: whoever ran it may have been killed. */
const ASKED_AGAIN_AFTER_MS = 30_000;
/** How long the last one may take, in ms. */
const LAST_WITHIN_MS = 10_000;

export class GroupSync {
  private readonly world: World;
  private underWay: Promise<void> | undefined;
  private notBefore = 0;
  /** Why the last one failed: said once. */
  private failure: string | undefined;

  constructor(world: World) {
    this.world = world;
  }

  /** When a sync that is waited for may begin, in monotonic ms. */
  get due(): number {
    return this.world.unsynced && this.underWay === undefined ? this.notBefore : Number.POSITIVE_INFINITY;
  }

  /** Begins one if something was moved and the pause is over. */
  maybe(): void {
    if (monotonic() >= this.due) this.underWay = this.run();
  }

  /** Syncs what is left before the daemon goes, but does not wait for ever: a disk that hangs must not keep it. */
  async last(): Promise<void> {
    const all = async (): Promise<void> => {
      await this.underWay;
      if (this.world.unsynced) await this.run();
    };
    const patience = new Promise((resolve) => setTimeout(resolve, LAST_WITHIN_MS).unref());
    await Promise.race([all(), patience]);
  }

  private async run(): Promise<void> {
    const { world } = this;
    const actions = world.takeWhenSynced();
    world.unsynced = false;
    try {
      await this.synced();
      this.failure = undefined;
      let since = monotonic();
      for (const action of actions) {
        this.perform(action);
        if (monotonic() - since < SLICE_MS) continue;
        await new Promise((resolve) => setImmediate(resolve)); // the loop is to breathe
        since = monotonic();
      }
    } catch (error) {
      const { message } = error instanceof AggregateError ? (error.errors.at(-1) as Error) : (error as Error);
      if (message !== this.failure) world.log.warn('a sync failed; tried again', { error: message });
      this.failure = message;
      world.unsynced = true;
      for (const action of actions) world.afterSync(action);
    }
    this.notBefore = monotonic() + PAUSE_MS;
    this.underWay = undefined;
    world.wake.now();
  }

  /** Resolves at the first answer: on a slow disk that may be the one to the first question. */
  private async synced(): Promise<void> {
    const asked: Promise<boolean>[] = [];
    for (let isDone = false; !isDone; ) {
      asked.push(this.world.launcher.sync().then(() => true));
      let timer: NodeJS.Timeout | undefined;
      const patience = new Promise<boolean>((resolve) => {
        timer = setTimeout(() => resolve(false), ASKED_AGAIN_AFTER_MS);
      });
      isDone = await Promise.race([Promise.any(asked), patience]).finally(() => clearTimeout(timer));
      if (!isDone) this.world.log.warn('a sync has not ended yet; asked for once more');
    }
  }

  /** What cannot be cleared away stays, and keeps nothing else. */
  private perform(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.world.log.warn('something could not be done after a sync', { error: (error as Error).message });
    }
  }
}
