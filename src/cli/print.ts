// How the command line speaks: results on standard output, everything about them on standard error, colours only
// where a person looks and NO_COLOR does not say otherwise.
import { styleText } from 'node:util';
import { errnoOf, SpooldError } from '../errors.ts';

type Style = Parameters<typeof styleText>[0];
type Stream = Pick<NodeJS.WriteStream, 'isTTY'>;

/** True if a terminal is at the other end and colours are wanted there. */
export function hasColours(stream: Stream, env: NodeJS.ProcessEnv = process.env): boolean {
  return stream.isTTY ? !env.NO_COLOR && env.TERM !== 'dumb' : false;
}

/** Text in a style, or plain where standard output is no terminal. */
export function styled(style: Style, text: string, stream: Stream = process.stdout): string {
  return hasColours(stream) ? styleText(style, text) : text;
}

/** Text on standard output, ended by a newline. */
export function print(text: string): void {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
}

/**
 * Says what follows where standard output takes nothing more: `act` is given the error (a full disk), or undefined where
 * its reader has gone (`| head`).
 */
export function whenUnprintable(act: (error: SpooldError | undefined) => void): void {
  process.stdout.removeAllListeners('error').on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return act(undefined);
    const message = `Standard output cannot be written: ${error.message}`;
    act(new SpooldError('OUTPUT_UNWRITABLE', message, { exit: 1, cause: error }));
  });
}

let caughtUp: Promise<void> | undefined;

/** Bytes on standard output; where its reader is slower than we are, a promise kept when it has caught up. */
export function printBytes(bytes: Buffer): Promise<void> | undefined {
  if (bytes.length === 0 || process.stdout.destroyed || process.stdout.write(bytes)) return undefined;
  caughtUp ??= new Promise((resolve) => {
    const done = () => {
      caughtUp = undefined;
      process.stdout.off('drain', done).off('close', done);
      resolve();
    };
    process.stdout.on('drain', done).on('close', done);
  });
  return caughtUp;
}

/** Everything printed so far has been taken by its reader, or there is none any more, or why not has been told. */
export async function flushed(): Promise<void> {
  await new Promise(setImmediate); // an error is told a turn after the write
  return new Promise((resolve) => {
    if (process.stdout.destroyed || process.stdout.writableLength === 0) return resolve();
    process.stdout.once('close', resolve);
    process.stdout.write('', () => resolve());
  });
}

/** The one JSON document of a `--json`. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/** A remark for the person at the terminal, on standard error: `spoold: …`. */
export function note(text: string): void {
  process.stderr.write(`spoold: ${text}\n`);
}

/** An error on standard error, with what to do about it; gives the exit status. A bug of ours comes with its stack. */
export function printError(error: unknown): number {
  if (error instanceof SpooldError) {
    note(styled('red', error.message, process.stderr));
    if (error.hint !== undefined) process.stderr.write(`${error.hint}\n`);
    return error.exit;
  }
  const code = errnoOf(error);
  if (code !== undefined && /^E[A-Z0-9]+$/.test(code)) {
    note(styled('red', (error as Error).message, process.stderr)); // the system's: a full disk, a missing right
    return 1;
  }
  note(`this is a bug in spoold: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  return 1;
}

/** A mistake in the use of the command line: exit status 2. */
export function usageError(message: string, hint?: string): SpooldError {
  return new SpooldError('USAGE', message, hint === undefined ? {} : { hint });
}
