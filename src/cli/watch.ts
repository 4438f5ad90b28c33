// Text that is shown again as it changes. On a terminal it fills the alternate screen and ends with q or Ctrl-C, which
// give the screen back as it was; elsewhere each text that differs from the one before is printed.
import { stripVTControlCharacters } from 'node:util';
import { SpooldError } from '../errors.ts';
import { print } from './print.ts';

const EVERY_MS = 500;

/** Shows what `text` gives until the user has seen enough. */
export async function watchText(text: () => Promise<string[]>): Promise<void> {
  const screen = process.stdout.isTTY ? new Screen() : undefined;
  let shown = '';
  try {
    for (;;) {
      if (screen?.isDone === true) return;
      const began = performance.now();
      const lines = await text().catch(problemOf);
      const page = lines.join('\n');
      if (screen !== undefined) screen.show(lines);
      else if (page !== shown) print(shown === '' ? page : `\n${page}`);
      shown = page;
      const rest = Math.max(EVERY_MS, (performance.now() - began) * 5);
      await (screen?.rest(rest) ?? new Promise((done) => setTimeout(done, rest)));
    }
  } finally {
    screen?.leave();
  }
}

/** A job that is archived while it is watched is no reason to end. */
function problemOf(error: unknown): string[] {
  if (error instanceof SpooldError) return [error.message, error.hint ?? ''];
  throw error;
}

class Screen {
  isDone = false;
  private wake: () => void = () => {};

  constructor() {
    process.stdout.write('\u001b[?1049h\u001b[?25l');
    if (process.stdin.isTTY) process.stdin.setRawMode(true);
    process.stdin.on('data', this.onKey);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, this.finish);
    process.on('SIGWINCH', this.redraw);
  }

  private readonly onKey = (bytes: Buffer): void => {
    if (/[qQ\u0003\u0004]/.test(bytes.toString('latin1'))) this.finish();
  };

  private readonly finish = (): void => {
    this.isDone = true;
    this.wake();
  };

  private readonly redraw = (): void => this.wake();

  show(lines: readonly string[]): void {
    const columns = process.stdout.columns || 80; // some terminals say 0
    const rows = process.stdout.rows || 24;
    const fitting = lines.length < rows ? lines : [...lines.slice(0, rows - 2), '…'];
    const page = fitting.map((line) => `${fit(line, columns)}\u001b[K`).join('\r\n');
    process.stdout.write(`\u001b[H${page}\u001b[J`);
  }

  /** Resolves after so many milliseconds, or as soon as there is a reason. */
  rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.isDone) this.wake();
    });
  }

  leave(): void {
    process.stdin.off('data', this.onKey);
    if (process.stdin.isTTY) process.stdin.setRawMode(false);
    process.stdin.pause();
    process.off('SIGWINCH', this.redraw);
    process.stdout.write('\u001b[?25h\u001b[?1049l');
  }
}

/** A line that would wrap is cut, without its colours. */
function fit(line: string, columns: number): string {
  const plain = stripVTControlCharacters(line);
  return plain.length <= columns ? line : `${plain.slice(0, columns - 1)}…`;
}
