// The states of a task are the folders it can lie in; this is the one table of them and of who may move what where.

export const STATES = ['pending', 'running', 'succeeded', 'failed', 'cancelled', 'skipped', 'rejected'] as const;
/** A state of a task: the name of the folder its file lies in. */
export type State = (typeof STATES)[number];

/** The states a task stays in until somebody moves it. `rejected` holds what never became a task. */
export const FINAL_STATES = ['succeeded', 'failed', 'cancelled', 'skipped'] as const;

/** The same id in two folders: the first of this list keeps it, the others are rejected with the place. */
export const PRECEDENCE: readonly State[] = ['running', 'succeeded', 'failed', 'cancelled', 'skipped', 'pending'];

/** What counts against a family: it has ended, and not well. */
export const UNSUCCESSFUL: readonly State[] = ['failed', 'cancelled', 'skipped', 'rejected'];

export type Mover = 'daemon' | 'person';

/** from → to → who moves a task that way. A person may make every move that means something; the daemon only its own. */
export const MOVES: Record<State, Partial<Record<State, readonly Mover[]>>> = {
  pending: {
    running: ['daemon'],
    succeeded: ['person'], // mark as done
    cancelled: ['person', 'daemon'], // by the daemon: a cancelled task's family
    failed: ['person'],
    skipped: ['person', 'daemon'], // by the daemon: a dependency ended without what was asked for
    rejected: ['daemon'],
  },
  running: {
    succeeded: ['daemon', 'person'],
    failed: ['daemon', 'person'],
    cancelled: ['daemon', 'person'],
    skipped: ['person'],
    pending: ['daemon', 'person'], // a retry; by a person: end it and start again
  },
  succeeded: { pending: ['person'], failed: ['person'], cancelled: ['person'], skipped: ['person'] },
  failed: { pending: ['person'], succeeded: ['person'], cancelled: ['person'], skipped: ['person'] },
  cancelled: { pending: ['person'], succeeded: ['person'], failed: ['person'], skipped: ['person'] },
  skipped: { pending: ['daemon', 'person'], succeeded: ['person'], failed: ['person'], cancelled: ['person'] },
  rejected: { pending: ['person', 'daemon'] }, // by the daemon: the file changed and reads now
};

/** True if `mover` may move a task from `from` to `to`. */
export function mayMove(mover: Mover, from: State, to: State): boolean {
  return MOVES[from][to]?.includes(mover) ?? false;
}
