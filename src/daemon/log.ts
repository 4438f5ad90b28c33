// What the daemon says, as JSON lines with a level (or as text for people). Never a secret: messages name files, ids
// and reasons; environments and commands are not logged.
import { errnoOf, SpooldError } from '../errors.ts';
import { wallClock } from '../host/clock.ts';
import { LOG_LEVELS, type LogLevel } from '../protocol/config.ts';
import { LineLog } from '../store/events.ts';

export type Fields = Record<string, unknown>;

export class Log {
  level: LogLevel = 'info';
  format: 'json' | 'text' = 'json';
  private readonly file: LineLog | undefined;
  /** Things said at `warn` or above, and when, so that the same trouble at every poll is said once a minute. */
  private readonly said = new Map<string, number>();

  /** Without a path, to standard error. */
  constructor(path?: string) {
    this.file = path === undefined ? undefined : new LineLog(path);
  }

  debug(message: string, fields: Fields = {}): void {
    this.say('debug', message, fields);
  }
  info(message: string, fields: Fields = {}): void {
    this.say('info', message, fields);
  }
  warn(message: string, fields: Fields = {}): void {
    if (!this.saidLately(message, fields)) this.say('warn', message, fields);
  }
  error(message: string, fields: Fields = {}): void {
    if (!this.saidLately(message, fields)) this.say('error', message, fields);
  }

  flush(): void {
    this.file?.flush();
  }

  close(): void {
    this.file?.flush();
    this.file?.close();
  }

  private saidLately(message: string, fields: Fields): boolean {
    const key = `${message} ${JSON.stringify(fields)}`;
    const now = wallClock();
    const before = this.said.get(key);
    if (before !== undefined && Math.abs(now - before) < 60_000) return true;
    if (this.said.size > 1000) this.said.clear();
    this.said.set(key, now);
    return false;
  }

  private say(level: LogLevel, message: string, fields: Fields): void {
    if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(this.level)) return;
    const t = new Date(wallClock()).toISOString();
    const line =
      this.format === 'json'
        ? JSON.stringify({ t, level, message, ...fields })
        : `${t} ${level.padEnd(5)} ${message}${textOf(fields)}`;
    if (this.file === undefined) process.stderr.write(`${line}\n`);
    else this.file.add(line);
  }
}

function textOf(fields: Fields): string {
  return Object.entries(fields)
    .map(([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join('');
}

/** An error as fields of a log line: ours and the system's by code, a bug with its stack. */
export function errorFields(error: unknown): Fields {
  const code = errnoOf(error);
  if (error instanceof SpooldError) return { code: error.code, error: error.message };
  if (error instanceof Error && code !== undefined && !code.startsWith('ERR_')) return { code, error: error.message };
  if (error instanceof Error) return { error: error.message, stack: error.stack };
  return { error: String(error) };
}
