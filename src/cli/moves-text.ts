// What the verbs that move tasks say about it.
import type { Ended, Move, Moves, Unmoved } from '../client/moves.ts';
import { count, list, oneLine } from './words.ts';

/** One line for one task, one for many of a job. `words` and `many`: what became of it, and of them. */
export function movesText({ moved, unmoved }: Moves, words: (move: Move) => string, many = ''): string[] {
  const rest = unmoved.map(unmovedText);
  if (moved.length <= 1) return [...moved.map((move) => `${addressOf(move)} ${words(move)}`), ...rest];
  const ids = list(
    moved.map(({ task }) => task),
    5,
  );
  return [`${count(moved.length, 'task')} of ${moved[0]?.job} ${many}: ${ids}`, ...rest];
}

export function addressOf({ job, task }: { job: string; task: string }): string {
  return oneLine(`${job}/${task}`);
}

function unmovedText(unmoved: Unmoved): string {
  const address = addressOf(unmoved);
  switch (unmoved.why) {
    case 'ended':
      return `${address} has ended already: it is ${unmoved.state}`;
    case 'there already':
      return `${address} is ${unmoved.state} already`;
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
