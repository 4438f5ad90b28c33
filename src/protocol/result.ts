// result.json, written once by the daemon when an attempt is settled (docs/protocol.md, section 8), and what an exit
// status means. A file that is incomplete or wrong counts as absent: the attempt is then settled again from its facts.

const OUTCOMES = ['succeeded', 'failed', 'cancelled'] as const;
/** What became of the attempt, in the word of the folder. */
export type Outcome = (typeof OUTCOMES)[number];

const DESTINATIONS = ['succeeded', 'failed', 'cancelled', 'skipped', 'pending'] as const;
/** The folder that a result sends its task to; `pending`: to be tried again. */
export type Destination = (typeof DESTINATIONS)[number];

/** Why an attempt ended. A newer daemon may have written others, so readers take any text. */
export type Reason =
  | 'exit' // the command ended by itself, with exit_code
  | 'signal' // something killed the command
  | 'timeout'
  | 'lost' // it vanished without an end
  | 'cancelled' // its file was moved to cancelled/, or its family was cancelled
  | 'deleted' // its file or its job was removed
  | 'moved' // its file was moved to another folder by hand
  | 'stopped' // by `stop --kill`: to pending at no cost
  | 'not_found' // no such command
  | 'not_executable'
  | 'cwd' // no such directory
  | 'stdin' // no such input file
  | 'env' // no such environment or env_file
  | 'bad_child' // it dropped a child that is no valid task
  | 'checks'
  | 'memory'
  | 'start'; // anything else that kept it from being started

/** A result.json, as on disk. Times are ISO 8601 in UTC. */
export interface AttemptResult {
  job: string;
  task: string;
  /** From 1. */
  attempt: number;
  outcome: Outcome;
  to: Destination;
  reason: Reason;
  /** A sentence for people. */
  message: string;
  /** 128+n for a signal, as the shell has it; null where nothing was run or nothing is known. */
  exit_code: number | null;
  /** `SIGKILL` and the like; null if it was none. */
  signal: string | null;
  queued_at: string | null;
  started_at: string | null;
  finished_at: string;
  duration_s: number | null;
  cpu_s: number | null;
  max_rss_bytes: number | null;
  output_bytes: number | null;
  host: string;
  /** Where `to` is pending after a failure: when the next attempt may begin. */
  retry_at?: string | undefined;
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
const isTime = (value: unknown): boolean => typeof value === 'string' && !Number.isNaN(Date.parse(value));
const isAmount = (value: unknown): boolean => typeof value === 'number' && value >= 0;
const orNull = (is: (value: unknown) => boolean) => (value: unknown) =>
  value === null || value === undefined || is(value);
const oneOf = (words: readonly string[]) => (value: unknown) => typeof value === 'string' && words.includes(value);

/** What each key must be. Checked by hand: every verb reads results, and a schema library would cost each 10 ms to load. */
const CHECKS: Readonly<Record<keyof AttemptResult, (value: unknown) => boolean>> = {
  job: isText,
  task: isText,
  attempt: (value) => Number.isInteger(value) && (value as number) >= 1,
  outcome: oneOf(OUTCOMES),
  to: oneOf(DESTINATIONS),
  reason: isText,
  message: orNull((value) => typeof value === 'string'),
  exit_code: orNull(Number.isInteger),
  signal: orNull((value) => typeof value === 'string'),
  queued_at: orNull(isTime),
  started_at: orNull(isTime),
  finished_at: isTime,
  duration_s: orNull(isAmount),
  cpu_s: orNull(isAmount),
  max_rss_bytes: orNull(isAmount),
  output_bytes: orNull(isAmount),
  host: orNull((value) => typeof value === 'string'),
  retry_at: (value) => value === undefined || isTime(value),
};
const KEYS = Object.keys(CHECKS) as (keyof AttemptResult)[];
const WITHOUT: Partial<AttemptResult> = {
  message: '',
  exit_code: null,
  signal: null,
  queued_at: null,
  started_at: null,
  duration_s: null,
  cpu_s: null,
  max_rss_bytes: null,
  output_bytes: null,
  host: '',
};

/** The text of a result.json; undefined if it is incomplete or is none. Keys of a newer daemon are left out. */
export function parseResult(text: string): AttemptResult | undefined {
  const value = jsonOrUndefined(text);
  if (typeof value !== 'object' || value === null) return undefined;
  const raw = value as Record<string, unknown>;
  if (!KEYS.every((key) => CHECKS[key](raw[key]))) return undefined;
  const known = KEYS.filter((key) => raw[key] !== undefined).map((key) => [key, raw[key]]);
  return { ...WITHOUT, ...(Object.fromEntries(known) as unknown as AttemptResult) };
}

function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

// biome-ignore format: a table
const SIGNALS: readonly (readonly [name: string, words?: string])[] = [
  ['SIG0'], ['SIGHUP', 'its terminal was closed'], ['SIGINT', 'interrupted, as by Ctrl-C'], ['SIGQUIT', 'quit, as by Ctrl-\\'],
  ['SIGILL', 'it crashed: an instruction this processor does not have'], ['SIGTRAP'], ['SIGABRT', 'it gave up: abort, often a failed assertion'],
  ['SIGBUS', 'it crashed: bad memory access, or a full disk under a mapped file'], ['SIGFPE', 'it crashed: an arithmetic error, as a division by zero'],
  ['SIGKILL', 'often: out of memory'], ['SIGUSR1'], ['SIGSEGV', 'it crashed: bad memory access'], ['SIGUSR2'],
  ['SIGPIPE', 'it wrote to a pipe that nobody reads any more'], ['SIGALRM'], ['SIGTERM', 'it was asked to end'], ['SIGSTKFLT'],
  ['SIGCHLD'], ['SIGCONT'], ['SIGSTOP'], ['SIGTSTP'], ['SIGTTIN'], ['SIGTTOU'], ['SIGURG'], ['SIGXCPU', 'its limit of CPU time was reached'],
  ['SIGXFSZ', 'its limit of file size was reached'], ['SIGVTALRM'], ['SIGPROF'], ['SIGWINCH'], ['SIGIO'], ['SIGPWR'], ['SIGSYS', 'a system call it may not make'],
];

export interface ExitMeaning {
  /** Named if the status is 128 + a signal. */
  signal?: string;
  /** `exit status 137: killed by SIGKILL (often: out of memory)`. */
  words: string;
}

/** An exit status, as a shell has it, in words. */
export function describeExit(code: number): ExitMeaning {
  const status = `exit status ${code}`;
  const [signal, words] = SIGNALS[code - 128] ?? (code > 159 && code <= 192 ? [`signal ${code - 128}`] : []);
  if (code > 128 && signal !== undefined) {
    return { signal, words: `${status}: killed by ${signal}${words === undefined ? '' : ` (${words})`}` };
  }
  const meaning = MEANINGS[code];
  return { words: meaning === undefined ? status : `${status}: ${meaning}` };
}

const MEANINGS: Readonly<Record<number, string>> = {
  0: 'success',
  124: 'a time limit inside the command was reached (timeout has this status)',
  126: 'the command was found but cannot be executed (is it executable, and does its #! line name a program?)',
  127: 'the command was not found (is it installed, and in PATH?)',
  255: 'often: ssh could not connect, or the program ended with -1',
};

/**
 * True if the waiting task was touched or edited after its last attempt had ended (`changedAt`: its mtime): whoever did
 * that wants no delay before the next. Milliseconds since 1970; a time to come says nothing.
 */
export function isWantedNow({ finished_at }: AttemptResult, changedAt: number, now: number): boolean {
  return changedAt > Date.parse(finished_at) && changedAt <= now;
}
