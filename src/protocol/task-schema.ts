// The keys of a task file as one zod schema, in the order of the documentation. It says what a value may be; what keys
// mean together is task.ts's, and what an unknown key was meant to be is task-words.ts's.
import * as z from 'zod';
import { nameProblem } from './names.ts';
import type { Meanings } from './suggest.ts';
import { more } from './task-words.ts';
import { closedObject, duration, durationOrNone, resources } from './schema-parts.ts';
import { expected, isArgument, isText, quote, show } from './validation.ts';
import { parseDuration } from './values.ts';

const MAX_NUMBER = 1_000_000_000;

const text = (words: string) => z.string({ error: expected(words) }).check(isText);
const nonEmpty = (words: string) => text(words).min(1, { error: 'is empty' });
const whole = (words: string, least: number) =>
  z
    .int({ error: expected(words) })
    .min(least, { error: expected(words) })
    .max(MAX_NUMBER, { error: `is too large: at most ${MAX_NUMBER}` });

const between = (least: number, most: number, words: string) =>
  z
    .number({ error: expected(words) })
    .min(least, { error: expected(words) })
    .max(most, { error: expected(words) });

const name = (words: string) =>
  z.string({ error: expected(words) }).check((payload) => {
    const why = nameProblem(payload.value);
    if (why === undefined) return;
    payload.issues.push({
      code: 'custom',
      message: `${quote(payload.value)} is no task id: ${why}`,
      input: payload.value,
    });
  });

const NAME_LIST = 'a list of task ids, as ["a", "b"]';
const names = () => z.array(name('a task id'), { error: expected(NAME_LIST) });

const RETRY_ON = 'failed, timeout, checks, an exit status from 1 to 255, or a range of them as "64-78"';
const retryOn = z.union([z.int(), z.string()], { error: expected(RETRY_ON) }).check((payload) => {
  if (statusesOf(payload.value) !== undefined || isKind(payload.value)) return;
  payload.issues.push({ code: 'custom', message: expected(RETRY_ON)({ input: payload.value }), input: payload.value });
});

export const KINDS = ['failed', 'timeout', 'checks'] as const;
const isKind = (value: unknown): value is (typeof KINDS)[number] => (KINDS as readonly unknown[]).includes(value);

/** `75` and `"64-78"` as a range, both ends included; undefined if it is none. */
export function statusesOf(value: number | string): [number, number] | undefined {
  const [, first, last = first] = /^(\d{1,3})(?:-(\d{1,3}))?$/.exec(String(value)) ?? [];
  const [from, to] = [Number(first), Number(last)];
  return from >= 1 && from <= to && to <= 255 ? [from, to] : undefined;
}

const RETRY_MAX = 'a whole number ≥ 0';
const RETRY_WORDS = `${RETRY_MAX}, or an object as {"max": 3, "delay": "10s", "backoff": 2}`;
const BACKOFF_WORDS = 'a factor from 1 to 100, or "exponential" (2), or "none" (1)';
const JITTER_WORDS = 'a share from 0 to 1, or true (0.5), or false (0)';
const retryShape = {
  max: whole(RETRY_MAX, 0).describe('How many more attempts after the first.'),
  delay: duration().optional().describe('Wait before the second attempt. Default: 0.'),
  backoff: z
    .union([between(1, 100, BACKOFF_WORDS), z.enum(['exponential', 'none'])], { error: expected(BACKOFF_WORDS) })
    .optional()
    .describe('What each further delay is multiplied by: a factor, `exponential` (2) or `none` (1). Default: none.'),
  max_delay: duration().optional().describe('No delay is longer than this. Default: no bound.'),
  jitter: z
    .union([z.boolean(), between(0, 1, JITTER_WORDS)], { error: expected(JITTER_WORDS) })
    .optional()
    .describe('Each delay grows by a random share of itself, at most this: 0 to 1, or `true` (0.5). Default: 0.'),
  max_time: duration({ positive: true })
    .optional()
    .describe('No further attempt once this much time has gone by since the first began. Default: no bound.'),
  on: z
    .array(retryOn, { error: expected(`a list of ${RETRY_ON}`) })
    .min(1, { error: 'is an empty list: nothing would be tried again' })
    .optional()
    .describe(
      'Try again only after these: `failed`, `timeout`, `checks`, exit statuses as 75 or "64-78". Default: all.',
    ),
};
// biome-ignore format: a table
const RETRY_MEANINGS: Meanings = {
  limit: 'max', times: 'max', count: 'max', retries: 'max', attempts: (value) => `write "max": ${more(value)}, which counts the attempts after the first`,
  max_attempts: (value) => `write "max": ${more(value)}, which counts the attempts after the first`,
  wait: 'delay', initial_delay: 'delay', interval: 'delay', min_delay: 'delay', seconds: 'delay',
  factor: 'backoff', multiplier: 'backoff', max_interval: 'max_delay', max_elapsed: 'max_time', when: 'on', exit_codes: 'on', if: 'on',
};
const retryObject = closedObject(retryShape, RETRY_WORDS, RETRY_MEANINGS);

const RESOURCES_WORDS = 'an object as {"gpu": 1, "mem": "4GB"}';
const STDIN_WORDS = 'text, or an object as {"file": "input.txt"}';
const argument = () => z.string({ error: expected('text') }).check(isArgument);

/** The schema of a task file. Unknown keys are looked for apart from it, to say what was meant. */
export const taskSchema = z.object({
  $schema: z.string().optional().describe('The address of this schema, for editors.'),
  id: name('a task id').optional().describe('Must agree with the file name; needed only in a bundle.'),
  command: z
    .union(
      [
        argument().min(1, { error: 'is empty' }),
        z.array(argument()).min(1, { error: 'is empty: it needs at least a program' }),
      ],
      {
        error: expected('a program, or a list as ["echo", "hi"]'),
      },
    )
    .optional()
    .describe('The program to run, without a shell; or the program and all its arguments, as a list.'),
  args: z
    .array(argument(), { error: expected('a list of arguments, as ["-n", "hi"]') })
    .optional()
    .describe('Arguments of `command`, where that is a single program.'),
  shell: z
    .string({ error: expected('a shell script as text') })
    .check(isArgument)
    .regex(/\S/, { error: 'is empty' })
    .optional()
    .describe('A script for `/bin/sh -e`, instead of `command`.'),
  dependencies: names()
    .optional()
    .describe('Ids of tasks in this job that must have succeeded first, with everything they queued. Default: none.'),
  parent: name('a task id').optional().describe('The task that queued this one; set by the daemon.'),
  ancestors: names().optional().describe('The parent, its parent, and so on; set by the daemon.'),
  priority: z
    .union([z.enum(['foreground', 'background', 'best_effort']), whole('a whole number', -MAX_NUMBER)], {
      error: expected('foreground, background, best_effort, or a whole number (higher first)'),
    })
    .optional()
    .describe(
      '`foreground` (1000), `background` (0), `best_effort` (-1000, and nice 19 with idle I/O), or a whole number; higher first. Default: background.',
    ),
  retry: z
    .union([whole(RETRY_MAX, 0), retryObject], { error: expected(RETRY_WORDS) })
    .optional()
    .describe('How many more attempts after the first: a number, or an object that also says when. Default: 0.'),
  timeout: durationOrNone()
    .optional()
    .describe("How long one attempt may take, or `none`. Default: the config's `task_timeout`."),
  kill_after: duration()
    .optional()
    .describe("Time between SIGTERM and SIGKILL when an attempt is ended. Default: the config's `kill_after`."),
  on_lost: z
    .enum(['retry', 'fail'], { error: expected('"retry" or "fail"') })
    .optional()
    .describe('What follows when an attempt vanished without an end (a power cut, kill -9). Default: retry.'),
  run_if: z
    .enum(['success', 'always', 'failure'], { error: expected('"success", "always" or "failure"') })
    .optional()
    .describe('What the dependencies must have come to. Default: success.'),
  cwd: nonEmpty('a directory').optional().describe('Where it runs.'),
  env: z
    .record(
      z.string(),
      z.union([z.string(), z.number(), z.boolean()], { error: expected('text, a number, or true or false') }),
      {
        error: expected('an object as {"NAME": "value"}'),
      },
    )
    .optional()
    .describe('Environment variables, above those inherited and those of the config and the job.'),
  env_file: nonEmpty('the path of a file')
    .optional()
    .describe('A file of NAME=value lines, as .env files have them, below `env`.'),
  env_from: z
    .string({ error: expected('a SHA-256 in hexadecimal') })
    .regex(/^[0-9a-f]{64}$/, { error: expected('a SHA-256 in hexadecimal (64 digits, lower case)') })
    .optional()
    .describe('The environment captured by `spoold add`, by its SHA-256; instead of the one inherited.'),
  inherit_env: z
    .union([z.boolean(), z.array(nonEmpty('the name of a variable'))], {
      error: expected('true, false, or a list of names of variables'),
    })
    .optional()
    .describe("Which of the daemon's own variables are inherited: all, none, or those named. Default: the config's."),
  stdin: z
    .union([text('text'), closedObject({ file: nonEmpty('the path of a file') }, STDIN_WORDS)], {
      error: expected(STDIN_WORDS),
    })
    .optional()
    .describe('Standard input: text, or a file. Default: /dev/null.'),
  resources: resources(RESOURCES_WORDS)
    .optional()
    .describe(
      'What it needs of the resources that config.yaml names, as {"gpu": 1, "mem": "4GB"}; it starts when all is free. Default: none.',
    ),
  not_before: z
    .union([z.string(), z.number()], { error: expected('a time as "2030-01-31T09:00:00Z", or a delay as "10m"') })
    .check((payload) => {
      const message = notBeforeProblem(payload.value);
      if (message !== undefined) payload.issues.push({ code: 'custom', message, input: payload.value });
    })
    .optional()
    .describe('Start no earlier: a time with its offset, as "2030-01-31T09:00:00Z", or a delay.'),
  description: text('text').optional().describe('A line for people.'),
});

/** A task file as it is written. */
export type TaskInput = z.input<typeof taskSchema> & { [own: `x-${string}`]: unknown };
/** What the schema makes of it: durations in seconds, else as written. */
export type TaskOutput = z.output<typeof taskSchema>;

const ISO_TIME = z.iso.datetime({ offset: true });

function notBeforeProblem(value: string | number): string | undefined {
  if (ISO_TIME.safeParse(value).success) return undefined;
  const delay = parseDuration(value);
  if (delay !== undefined && delay !== 'none') return undefined;
  if (ISO_TIME.safeParse(`${value}Z`).success) {
    return `${show(value)} does not say which clock it is by; add Z for UTC, or an offset as +01:00`;
  }
  return expected('a time as "2030-01-31T09:00:00Z", or a delay as "10m"')({ input: value });
}
