// The words in which `why` thinks: a task, where it lies, and the causes of that, each with the facts that belong to it and
// no others. `why --json` prints them as they are; cli/cause-words.ts has a sentence for each.
import type { State } from '../protocol/states.ts';
import type { RunIf } from '../scheduler/graph.ts';
import type { Found } from './find.ts';

/** One task, and why it is as it is: the most telling cause first. */
export interface Why {
  task: string;
  /** `unknown`: no folder has it. */
  state: Found | 'unknown';
  /** ISO 8601, UTC: when it came to its folder. */
  since: string | null;
  causes: Cause[];
  /** It is told elsewhere in the same answer, or too deep to be told. */
  cut?: 'told already' | 'too deep';
}

/** Who occupies a slot or a resource. */
export interface Holder {
  job: string;
  task: string;
  /** ISO 8601, UTC. */
  since: string;
}

/** `holds`: the indexes, as `0,1`, or the size. */
export interface ResourceHolder extends Holder {
  holds: string;
}

type Where = 'everything' | 'job';

/** What becomes of a task whose attempt is lost. */
export type OnLost = 'retry' | 'fail';

export type Cause =
  // What keeps a whole place from starting anything.
  | { cause: 'no_daemon' }
  | { cause: 'daemon_starting' }
  /** By Ctrl-Z or SIGSTOP. */
  | { cause: 'daemon_frozen'; pid: number }
  | { cause: 'daemon_stopping'; how: string }
  /** A disk that is nearly full, and the like. */
  | { cause: 'daemon_holding'; reason: string }
  | { cause: 'paused'; place: Where; by: string | null; since: string }
  /** The file `parallel` says 0. */
  | { cause: 'parallel_zero'; place: Where; path: string }
  | { cause: 'job_unreadable'; path: string; reason: string }
  /** For its folders, or its name. */
  | { cause: 'job_left_alone'; path: string; reason: string }
  // What keeps one task from being started.
  | { cause: 'file_unreadable'; path: string; reason: string }
  /** Its attempt before is not over. */
  | { cause: 'attempt_not_over'; attempt: number; ending: string | null }
  /** `attempt`: the number of the next one; `message`: how the last one ended. */
  | { cause: 'retry_delay'; until: string; attempt: number; message: string }
  | { cause: 'not_before'; until: string }
  /** It waits for this task with all that it queued. `left`: those it queued that have not ended; some of them by name. */
  | { cause: 'dependency'; run_if: RunIf; why: Why; left?: number; queued?: Why[] }
  /** `said_by`: where the limit comes from; `held_back`: why it is less now, with `max_parallel: auto`. */
  | { cause: 'slots'; place: Where; limit: number; said_by: string; held_back: string | null; holders: Holder[] }
  /** Of a resource less is free than it asks for; amounts as people write them. `total` 0: there is none. */
  | {
      cause: 'resource';
      name: string;
      asked: string;
      free: string;
      total: string;
      never: boolean;
      holders: ResourceHolder[];
    }
  /** What it asks for is free, and kept for this task (`job/task`), which has waited too long for more of it. */
  | { cause: 'room_kept'; for: string }
  /** Nothing keeps it: it starts with the next look. */
  | { cause: 'due' }
  /** Nothing keeps it but what keeps everything. */
  | { cause: 'ready' }
  // What became of it.
  | { cause: 'held'; path: string; to: string }
  /** Nobody has queued it. `similar`: an id that there is. */
  | { cause: 'not_queued'; similar: string | null }
  | { cause: 'being_started' }
  | { cause: 'running'; attempt: number; since: string; processes: number | null; host: string | null }
  | { cause: 'being_ended'; attempt: number; message: string }
  /**
   * Its command has ended with this exit status, or (null) its runner has died, and no daemon has taken note. `left`: how many of
   * its processes run on, null where that was not looked at. `copied`: the runner is that of the directory of which this is a copy.
   */
  | {
      cause: 'not_noted';
      attempt: number;
      status: number | null;
      left: number | null;
      copied: boolean;
      on_lost: OnLost;
    }
  | { cause: 'succeeded'; attempt: number; seconds: number | null }
  | {
      cause: 'failed';
      attempt: number;
      reason: string;
      message: string;
      exit_code: number | null;
      signal: string | null;
    }
  | {
      cause: 'cancelled';
      attempt: number | null;
      /** The last attempt that had ended by then. */
      after: number | null;
      by: string | null;
      message: string | null;
    }
  /** The task that caused it, and the folder that one lay in then. */
  | { cause: 'skipped'; folder: State; run_if: RunIf; why: Why }
  /** As `skipped`, of a job with `on_failure: stop`: this one's failure stopped it before it began. */
  | { cause: 'stopped'; folder: State; why: Why }
  /** `reason`: the first line of `text`. */
  | { cause: 'rejected'; reason: string; text: string; path: string }
  /** It stands for so many tasks that `for_each` made, and is not run itself. */
  | { cause: 'for_each'; tasks: number }
  /** A person put it there. */
  | { cause: 'moved_by_hand'; by: string | null; at: string | null }
  // What is worth knowing besides.
  /** It has waited so long that it goes before others, as if it were so many tiers of priority higher. */
  | { cause: 'lifted'; tiers: number; after_s: number }
  /** These ran instead, because they ask for an end or a failure (`run_if`). */
  | { cause: 'ran_instead'; tasks: string[] };
