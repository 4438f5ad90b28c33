// Parts that several schemas are made of: durations, sizes, closed objects. Apart from values.ts and validation.ts, which
// verbs that only look need as well, and need fast: they would pay 25 ms for the library of schemas.
import * as z from 'zod';
import { type Meanings, unknownKey } from './suggest.ts';
import { type Amount, AMOUNT_WORDS, amountProblem, parseAmount } from './resources.ts';
import { expected, isObject } from './validation.ts';
import {
  DURATION_WORDS,
  durationProblem,
  OR_NONE_WORDS,
  parseDuration,
  parseSize,
  SIZE_WORDS,
  sizeProblem,
} from './values.ts';

/** A schema of an object inside another: its unknown keys are refused one by one, each with what was meant. */
export function closedObject<Shape extends z.core.$ZodShape>(shape: Shape, words: string, meanings: Meanings = {}) {
  const vocabulary = { known: Object.keys(shape), meanings, later: [] };
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code !== 'unrecognized_keys') return expected(words)(issue);
      const input = isObject(issue.input) ? issue.input : {};
      // One line for each key: `problemsOf` takes them apart again.
      return issue.keys
        .slice(0, 20)
        .map((key) => unknownKey(key, input[key], vocabulary))
        .join('\n');
    },
  });
}

const numberOrText = (words: string) => z.union([z.number(), z.string()], { error: expected(words) });

/** Of a schema: a duration, in seconds once parsed. `least` 0 allows 0. */
export const duration = ({ positive = false } = {}) =>
  numberOrText(DURATION_WORDS).transform((input, context): number => {
    const seconds = parseDuration(input);
    const problem =
      seconds === 'none'
        ? expected(DURATION_WORDS)({ input })
        : positive && seconds === 0
          ? 'must be longer than 0'
          : durationProblem(input);
    if (problem === undefined && typeof seconds === 'number') return seconds;
    context.issues.push({ code: 'custom', message: problem ?? '', input });
    return z.NEVER;
  });

/** Of a schema: a duration longer than 0, or `none`. */
export const durationOrNone = () =>
  numberOrText(OR_NONE_WORDS).transform((input, context): number | 'none' => {
    const seconds = parseDuration(input);
    if (seconds !== undefined && seconds !== 0) return seconds;
    const message =
      seconds === 0
        ? 'must be longer than 0; for no limit write "none"'
        : (durationProblem(input, OR_NONE_WORDS) ?? '');
    context.issues.push({ code: 'custom', message, input });
    return z.NEVER;
  });

/** Of a schema: a size, in bytes once parsed. */
export const size = () =>
  numberOrText(SIZE_WORDS).transform((input, context): number => {
    const bytes = parseSize(input);
    if (bytes !== undefined) return bytes;
    context.issues.push({ code: 'custom', message: sizeProblem(input) ?? '', input });
    return z.NEVER;
  });

/** Of a schema: named amounts. What is wrong with a name is `resourceNameProblems`'. */
export const resources = (words: string) =>
  z.record(
    z.string(),
    numberOrText(AMOUNT_WORDS).transform((input, context): Amount => {
      const amount = parseAmount(input);
      if (amount !== undefined) return amount;
      context.issues.push({ code: 'custom', message: amountProblem(input) ?? '', input });
      return z.NEVER;
    }),
    { error: expected(words) },
  );
