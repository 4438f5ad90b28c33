// `spoold reset`: retry, in the word of this program's ancestor.
import { RetryCommand } from './retry.ts';

export class ResetCommand extends RetryCommand {
  static override paths = [['reset']];
  static override usage = RetryCommand.Usage({ description: 'Another word for retry.' });
}
