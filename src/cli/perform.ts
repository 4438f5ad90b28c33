// One verb, from its words to its exit status. Usage errors go to standard error with status 2; a SpooldError with its own
// status; anything else is a bug of ours, with its stack.
import { Cli, type CommandClass } from 'clipanion';
import { knownError } from '../client/access.ts';
import { VERSION } from '../version.ts';
import { BaseCommand } from './base.ts';
import { flushed, hasColours, print, printError, usageError, whenUnprintable } from './print.ts';

/**
 * Does what `argv` (without node and the script) asks of a verb; gives the exit status. `takes` says in its usage what a
 * verb takes whose words are not told apart.
 */
export async function perform(
  verbClass: CommandClass,
  verb: string,
  argv: readonly string[],
  takes = '',
): Promise<number> {
  const cli = newCli();
  cli.register(verbClass);
  const readable = (usage: string) =>
    usage
      .replaceAll(/ #0( {2,})/g, ' … $1')
      .replaceAll(' #0', ' …')
      .replace('<arg> ...', takes.replace(/^\[.*?\] /, ''));
  const command = parse(cli, verb, argv, readable(cli.usage(verbClass)));
  if (command instanceof BaseCommand)
    return (await command.execute().catch((error: unknown) => Promise.reject(knownError(error) ?? error))) ?? 0;
  print(readable(cli.usage(verbClass, { detailed: true })));
  return 0;
}

/** A parser without verbs. */
export function newCli(): Cli {
  return new Cli({
    binaryLabel: 'spoold',
    binaryName: 'spoold',
    binaryVersion: VERSION,
    enableColors: hasColours(process.stdout),
  });
}

function parse(cli: Cli, verb: string, argv: readonly string[], usage: string) {
  try {
    return cli.process([...argv], {});
  } catch (error) {
    const { message } = error as Error;
    const first = message.split('\n').find((line) => line.trim() !== '') ?? '';
    const words = first.startsWith('Command not found')
      ? `These words do not fit ${verb}.`
      : first.replace('Not enough positional arguments', `Something is missing after ${verb}`);
    const hints = [...negativeHint(argv), `Usage: ${usage.trim().replace(/^\$ /, '')}`, `More: spoold ${verb} --help`];
    throw usageError(words, hints.join('\n'));
  }
}

/** What looks like an option is taken for one: a negative number is told from it only by a `=` before it. */
function negativeHint(argv: readonly string[]): string[] {
  const at = argv.findIndex((word, i) => /^-\d/.test(word) && /^-[^=]*$/.test(argv[i - 1] ?? ''));
  return at < 0 ? [] : [`A value that begins with "-" is joined to its option: ${argv[at - 1]}=${argv[at]}`];
}

/** Ends the process with the status that `work` comes to, once all that was printed has been taken. */
export async function endWith(work: Promise<number>): Promise<never> {
  // A reader that has seen enough is no error of ours. Nor does what is done hang on who hears of it.
  whenUnprintable((error) => process.exit(error === undefined ? 0 : printError(error)));
  process.stderr.on('error', () => undefined);
  const status = await work.catch(printError);
  await flushed();
  process.exit(status);
}
