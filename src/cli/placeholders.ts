// `COMMAND {} ::: A B ::: 1 2`: the words of a command line → a command for each combination of arguments, as GNU parallel
// has them. A command is words, not a line for a shell: an argument with spaces in it stays one word.
import { dirname } from 'node:path/posix';
import { usageError } from './print.ts';

export interface Template {
  /** The command as it was typed. */
  typed: string[];
  /** The command, with its placeholders; where it had none, one for all arguments is at the end. */
  words: string[];
  lists: { kind: 'words' | 'file'; values: string[] }[];
}

/** Of one list with the others, at most. */
const MOST_COMBINATIONS = 100_000;

const isMark = (word: string) => /^::::?\+?$/.test(word);

/** Undefined: no list follows the command. `::::` gives the paths of files, whose lines are the arguments. Errors: USAGE. */
export function templateOf(words: readonly string[]): Template | undefined {
  const at = words.findIndex(isMark);
  if (at < 0) return undefined;
  const command = words.slice(0, at);
  if (command.length === 0) throw usageError(`There is no command before ${words[at]}.`);
  const lists: Template['lists'] = [];
  for (const word of words.slice(at)) {
    if (word.endsWith('+') && isMark(word))
      throw usageError(`${word} is not known here: lists are crossed, not paired.`, 'Write ::: or :::: instead.');
    if (word === ':::') lists.push({ kind: 'words', values: [] });
    else if (word === '::::') lists.push({ kind: 'file', values: [] });
    else lists.at(-1)?.values.push(word);
  }
  const empty = lists.find(({ kind, values }) => kind === 'file' && values.length === 0);
  if (empty !== undefined) throw usageError('There is no file after ::::.', 'Standard input is written as -.');
  return {
    typed: command,
    words: command.some((word) => PLACEHOLDER.test(word)) ? command : [...command, '{}'],
    lists,
  };
}

const PLACEHOLDER = /\{(?:#|(\d*)(\/\/|\/\.|\/|\.)?)\}/;

/** Every combination of one value of each list, the last list changing first. Errors: USAGE. */
export function combinations(lists: readonly (readonly string[])[]): string[][] {
  const count = lists.reduce((product, { length }) => product * length, 1);
  if (count > MOST_COMBINATIONS)
    throw usageError(`These lists have ${count} combinations; at most ${MOST_COMBINATIONS}.`);
  return lists.reduce<string[][]>((all, list) => all.flatMap((some) => list.map((one) => [...some, one])), [[]]);
}

/** The words of the command for one combination; `number` counts them, from 1. Errors: USAGE. */
export function fillWords(words: readonly string[], args: readonly string[], number: number): string[] {
  return words.flatMap((word) => (word === '{}' ? args : fillText(word, args, number, (text) => text)));
}

/** As `fillWords`, for a script: what is filled in is quoted for the shell. */
export function fillScript(words: readonly string[], args: readonly string[], number: number): string {
  return fillText(words.join(' '), args, number, quoted);
}

function fillText(text: string, args: readonly string[], number: number, write: (text: string) => string): string {
  return text.replaceAll(
    new RegExp(PLACEHOLDER, 'g'),
    (whole, position: string | undefined, part: string | undefined) => {
      if (position === undefined) return String(number);
      const chosen = position === '' ? args : [args[Number(position) - 1]];
      return chosen.map((arg) => write(partOf(arg ?? noSuchList(whole, args.length), part))).join(' ');
    },
  );
}

function noSuchList(placeholder: string, lists: number): never {
  const there = lists === 1 ? 'there is one list' : `there are ${lists} lists`;
  throw usageError(`${placeholder}: ${there}, counted from 1.`);
}

const withoutEnding = (path: string) => path.replace(/\.[^/.]*$/, '');

function partOf(arg: string, part: string | undefined): string {
  if (part === '.') return withoutEnding(arg);
  if (part === '//') return dirname(arg);
  const name = arg.slice(arg.lastIndexOf('/') + 1);
  return part === '/' ? name : part === '/.' ? withoutEnding(name) : arg;
}

function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
