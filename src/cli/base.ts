// What the verbs have in common: --dir, --json, and addresses. A verb's class only names its options; its work is
// imported when it is executed, so that no verb pays for another's libraries. Errors are printed by main.ts.
import { Command, Option } from 'clipanion';
import { type Address, nameProblem, parseAddress } from '../protocol/names.ts';
import { usageError } from './print.ts';

/** A verb. `execute` gives the exit status (none: 0) or throws a SpooldError. */
export abstract class BaseCommand extends Command {
  dir = Option.String('--dir', {
    description: 'The state directory; else $SPOOLD_DIR, the nearest .spoold/, or $XDG_STATE_HOME/spoold',
  });

  abstract override execute(): Promise<number | void>;
}

/** A verb that reports: `--json` gives one JSON document on standard output instead. */
export abstract class ReportingCommand extends BaseCommand {
  json = Option.Boolean('--json', false, { description: 'One JSON document on standard output' });
}

/** A verb whose positionals are addresses: `JOB`, `JOB/TASK`, or `TASK` beside `--job JOB`. */
export abstract class AddressCommand extends ReportingCommand {
  job = Option.String('-J,--job', { description: 'The job; an address is then the name of a task in it' });

  /** What a positional means beside --job. Nothing given and no --job: undefined. */
  protected address(text: string | undefined): Address | undefined {
    return resolveAddress(this.job, text);
  }

  /** As `address`, for verbs that need one. */
  protected needAddress(text: string | undefined): Address {
    const address = this.address(text);
    if (address === undefined)
      throw usageError('Which one? Give an address: JOB or JOB/TASK.', 'spoold status lists them.');
    return address;
  }

  /** As `needAddress`, for verbs that work on one task. */
  protected needTask(text: string | undefined): Required<Address> {
    const { job, task } = this.needAddress(text);
    if (task === undefined)
      throw usageError(
        `${job} is a job; this verb needs a task: ${job}/TASK.`,
        `spoold status ${job} lists its tasks.`,
      );
    return { job, task };
  }
}

/** `--job J` and a positional → an address. Errors: USAGE. */
export function resolveAddress(job: string | undefined, text: string | undefined): Address | undefined {
  if (job === undefined) return text === undefined ? undefined : addressOf(text);
  const problem = nameProblem(job);
  if (problem !== undefined) throw usageError(`${JSON.stringify(job)} cannot be a job: ${problem}.`);
  if (text === undefined) return { job };
  const address = addressOf(text.includes('/') ? text : `${job}/${text}`);
  if (address.job !== job)
    throw usageError(`--job says ${job}, and ${text} names the job ${address.job}.`, 'Leave one of them out.');
  return address;
}

function addressOf(text: string): Address {
  const address = parseAddress(text);
  if (address !== undefined) return address;
  const [job = '', task, ...rest] = text.split('/');
  const empty = job === '' ? 'the name of the job is missing' : 'the name of the task is missing';
  const why = rest.length > 0 ? 'it has more than one slash' : job === '' || task === '' ? empty : undefined;
  throw usageError(
    `${JSON.stringify(text)} is no address: ${why ?? nameProblem(job) ?? nameProblem(task ?? '') ?? 'it is none'}.`,
    'An address is JOB or JOB/TASK, as spoold status shows them.',
  );
}
