// What the verbs that move tasks say about it.
import type { Ended, Move, Moves, Unmoved } from '../client/moves.ts';
import { count, list } from './words.ts';

/** One line for each task that was named, one for each job. `verb`: `cancelled`, `waits again`, … */
export function movesText({ moved, unmoved }: Moves, words: (move: Move) => string): string[] {
  if (moved.length <= 1) return [...moved.map((move) => `${addressOf(move)} ${words(move)}`), ...unmoved.map(unmovedText)];
  const job = moved[0]?.job ?? '';
  const tasks = list(
    moved.map(({ task }) => task),
    5,
  );
  return [`${count(moved.length, 'task')} of ${job}: ${tasks}`, ...unmoved.map(unmovedText)];
}

export function addressOf({ job, task }: { job: string; task: string }): string {
  return `${job}/${task}`;
}

export function unmovedText(unmoved: Unmoved): string {
  const address = addressOf(unmoved);
  switch (unmoved.why) {
    case 'ended':
      return `${address} has ended already: it is ${unmoved.state}`;
    case 'there already':
      return `${address} is ${unmoved.state} already`;
    case 'running':
      return `${address} runs now; to start it afresh, cancel it first`;
    case 'held':
      return `${address} is held back in pending/ under a name that is no task's; it stays there`;
  }
}

/** What became of the attempts that were running. */
export function endsText(ended: readonly Ended[]): string[] {
  return ended.map((end) =>
    end.kind === 'ended'
      ? `${addressOf(end.move)} is cancelled; attempt ${end.move.attempt} has ended`
      : `${addressOf(end.move)} is cancelled; attempt ${end.move.attempt} is being ended (it has until its kill_after)`,
  );
}
