// Every failure a user can meet is a SpooldError: a code to catch by, a message that names the place,
// and a hint that says what to do. Any other Error is a bug of ours and is shown with its stack.

/** Exit statuses of the command line: 2 is the user's mistake, 1 a failure, 3 nothing there to do the work. */
export type ExitStatus = 1 | 2 | 3 | 124 | 125;

export interface ErrorDetails {
  /** The file or address that the message is about. */
  path?: string;
  /** What the user can do, as a full sentence. */
  hint?: string;
  cause?: unknown;
  /** What the command line ends with; 2 (the user's mistake) unless told. */
  exit?: ExitStatus;
}

/** A failure that is part of the interface. `code` is stable and upper case (`TASK_CYCLE`); messages may change. */
export class SpooldError extends Error {
  readonly code: string;
  readonly path: string | undefined;
  readonly hint: string | undefined;
  readonly exit: ExitStatus;

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'SpooldError';
    this.code = code;
    this.path = details.path;
    this.hint = details.hint;
    this.exit = details.exit ?? 2;
  }
}

/** The code of a system error (`ENOENT`, `EEXIST`, …), or undefined for anything else. */
export function errnoOf(error: unknown): string | undefined {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** Runs `action`; gives undefined if it fails with one of `codes`, and throws every other failure on. */
export function unless<T>(codes: string | readonly string[], action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    const code = errnoOf(error);
    if (code !== undefined && (typeof codes === 'string' ? codes === code : codes.includes(code))) return undefined;
    throw error;
  }
}
