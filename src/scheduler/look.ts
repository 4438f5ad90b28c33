// The table by which every claim is judged, at start and at every poll (docs/protocol.md, section 7). Facts in, one word
// out; the first row that holds decides. A crash anywhere leaves facts that some row fits.

export interface AttemptFacts {
  /** A whole result.json. */
  hasResult: boolean;
  /** output.log is the file `run`: it may never run. */
  isVoid: boolean;
  /** `run` is there: it may have been handed to the launcher. */
  hasScript: boolean;
  /** It was handed over so long ago that it should have begun, or by an earlier daemon, or to a launcher that is gone. */
  isOverdue: boolean;
  /** A whole file `ending`. */
  isEnding: boolean;
  /** Line 1 of `pid` is complete, or was when last seen: the runner has begun. */
  hasBegun: boolean;
  /** What it did is not on the disk: handed over on another boot, or a log of its own was made and line 1 of `pid` is not whole. Before a power cut it may have had a `run`. */
  isCutOff: boolean;
  /** Line 2 of `pid` is complete. */
  hasLastWord: boolean;
  /** The runner lives, by its identity, or is not known to be dead. */
  runnerLives: boolean;
  /** Processes of the attempt besides the runner. Counted only where a row asks. */
  processesLeft: () => number;
  /** running/<task>.json is there. */
  taskIsThere: boolean;
}

export type Verdict =
  /** Do the move that the result names, and unlink the claim. */
  | 'finish'
  /** It never ran and never will: back to pending, the claim unlinked, no attempt counted. */
  | 'give back'
  /** Signal what is left of it. */
  | 'go on ending'
  /** It was being ended, and nothing is left of it. */
  | 'settle as ended'
  | 'settle by last word'
  /** Its task was moved or deleted under it. */
  | 'begin ending'
  /** It runs: watch it and hold it to its timeout. */
  | 'watch'
  /** Handed over, and may yet begin. */
  | 'wait'
  /** Keep it from ever beginning, then look again. */
  | 'void'
  /** It ended without a word. */
  | 'lost';

/** One attempt's facts → what to do. */
export function look(facts: AttemptFacts): Verdict {
  if (facts.hasResult) return 'finish';
  const isCutOff = !facts.hasBegun && facts.isCutOff;
  // What is lost is voided too, before it is settled: a daemon that comes in between must not take it for one that never ran.
  if ((facts.isVoid || (!facts.hasScript && !facts.hasBegun)) && !isCutOff) return 'give back';
  const silent = facts.hasBegun && !facts.runnerLives && !facts.hasLastWord;
  if (facts.isEnding)
    return isOver(facts) ? 'settle as ended' : facts.hasBegun || facts.isCutOff ? 'go on ending' : 'void';
  if (facts.hasLastWord) return 'settle by last word';
  if (!facts.hasBegun && !isCutOff) return facts.isOverdue || !facts.taskIsThere ? 'void' : 'wait';
  if ((silent || isCutOff) && facts.processesLeft() === 0) return 'lost';
  return facts.taskIsThere ? 'watch' : 'begin ending';
}

/** Nothing of it is left: its runner is dead, or has said its last word, and none of its processes lives. */
function isOver(facts: AttemptFacts): boolean {
  if (!facts.hasBegun) return facts.isCutOff && facts.processesLeft() === 0;
  return (!facts.runnerLives || facts.hasLastWord) && facts.processesLeft() === 0;
}
