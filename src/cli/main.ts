// The command line: finds the verb, imports its file alone, and ends with its status. `status` and `why` come by look.ts
// where they are the first word.
import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { closest } from '../protocol/suggest.ts';
import { VERSION } from '../version.ts';
import { type SpooldError, unless } from '../errors.ts';
import { endWith, perform } from './perform.ts';
import { print, styled, usageError } from './print.ts';
import { GROUPS, VERBS, type Verb, verbIn } from './verbs.ts';

function overview(): string {
  const width = Math.max(...Object.entries(VERBS).map(([name, { usage }]) => name.length + usage.length + 5));
  const groups = GROUPS.map(([title, names]) => {
    const lines = names.map((name) => {
      const verb = VERBS[name] as Verb;
      return (
        `  ${styled('bold', name)} ${verb.usage}`.padEnd(width + styled('bold', name).length - name.length) + verb.about
      );
    });
    return `${title}\n${lines.join('\n')}`;
  });
  const closing = 'An address is JOB or JOB/TASK. All verbs take --dir; spoold VERB --help tells more.';
  return [`spoold ${VERSION}: drop a file, it runs; ls shows the state, mv changes it.`, ...groups, closing].join(
    '\n\n',
  );
}

/** Does what `argv` says (without node and the script); gives the exit status. */
export async function main(argv: readonly string[]): Promise<number> {
  refuseAltered(argv);
  const verb = verbIn(argv);
  if (verb === undefined || verb === 'help') return withoutVerb(argv);
  const known = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined;
  if (known === undefined) {
    const names = Object.keys(VERBS);
    const near = names.find((name) => name.startsWith(verb) && verb.length > 2) ?? closest(verb, names);
    const stray = strayOption(argv.slice(0, argv.indexOf(verb)));
    if (stray !== undefined) throw noSuchOption(stray);
    const habit = Object.hasOwn(HABITS, verb) ? HABITS[verb] : undefined;
    const meant = near ?? habit;
    const hints = [
      ...(meant === undefined ? [] : [`Did you mean: spoold ${meant}?`]),
      ...(near === undefined ? [`To run a command: spoold run -- ${argv.join(' ')}`] : []),
    ];
    throw usageError(
      `There is no verb ${JSON.stringify(verb)}.`,
      [...hints, 'spoold --help lists all verbs.'].join('\n'),
    );
  }
  return perform(await known.load(), verb, argv, known.usage);
}

/** Node replaces what is not UTF-8 in an argument: it would name another file, or run another command, than was meant. */
function refuseAltered(argv: readonly string[]): void {
  const word = argv.find((one) => one.includes('\uFFFD'));
  if (word === undefined) return;
  const given = unless(['ENOENT', 'EACCES'], () => readFileSync('/proc/self/cmdline'));
  if (given === undefined || isUtf8(given)) return;
  throw usageError(
    `The argument ${JSON.stringify(word)} is not valid UTF-8, as a task's text must be.`,
    'Let the command find such a name itself: --shell with a pattern, as caf*.',
  );
}

/** What other tools call it. */
const HABITS: Readonly<Record<string, string>> = {
  ls: 'status',
  list: 'status',
  ps: 'status',
  show: 'status',
  tail: 'logs -f',
  cat: 'logs',
  queue: 'add',
  enqueue: 'add',
  push: 'add',
  kill: 'cancel',
  rm: 'cancel',
  remove: 'cancel',
  delete: 'cancel',
  rerun: 'retry',
};

/** An option that no verb stands before, and that is not of all verbs. */
function strayOption(words: readonly string[]): string | undefined {
  return words.find((word) => word.startsWith('-') && word !== '--dir' && !word.startsWith('--dir='));
}

function noSuchOption(option: string): SpooldError {
  return usageError(
    `There is no option ${option} before a verb.`,
    'Options come after the verb: spoold VERB OPTIONS…\nspoold --help lists all verbs.',
  );
}

function withoutVerb(argv: readonly string[]): number | Promise<number> {
  const topic = argv.includes('help') ? argv[argv.indexOf('help') + 1] : undefined;
  if (topic !== undefined && Object.hasOwn(VERBS, topic)) return main([topic, '--help']);
  if (argv.includes('--version') || argv.includes('-v') || argv.includes('-V')) print(VERSION);
  else if (argv.every((word) => ['--help', '-h', 'help'].includes(word) || topic !== undefined)) print(overview());
  else if (strayOption(argv) !== undefined) throw noSuchOption(strayOption(argv) as string);
  else throw usageError(`A verb is missing after ${argv.join(' ')}.`, 'spoold --help lists all verbs.');
  return 0;
}

await endWith(main(process.argv.slice(2)));
