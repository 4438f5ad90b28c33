// An env_file: text in, variables out, or the first line that is neither blank, nor a comment, nor NAME=value. It is never
// guessed at, and what is said of it repeats nothing of the file: most of it is secret.
import { variableProblem } from './validation.ts';

export type ParsedEnvFile =
  | { ok: true; env: Record<string, string> }
  /** `line` counts from 1. */
  | { ok: false; line: number; message: string };

const NOTHING = /[ \t\r]*(#[^\n]*)?(\n|$)/y;
const NAME = /[ \t]*(?:export[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*=/y;
const QUOTE = /[ \t]*(["'`])/y;
const AFTER_QUOTED = /([ \t]+#[^\n]*|[ \t\r]*)(\n|$)/y;
const PLAIN = /([^\n]*)(\n|$)/y;

/** The later of two lines for one name wins. */
export function parseEnvFile(content: string): ParsedEnvFile {
  const text = content.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n');
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const match = pattern.exec(text) ?? undefined;
    if (match !== undefined) at = pattern.lastIndex;
    return match;
  };
  const variables: [name: string, value: string][] = [];
  while (at < text.length) {
    const begin = at;
    const refuse = (message: string): ParsedEnvFile => ({
      ok: false,
      line: text.slice(0, begin).split('\n').length,
      message,
    });
    if (take(NOTHING)) continue;
    const [, name] = take(NAME) ?? [];
    if (name === undefined)
      return refuse('expected NAME=value, or a comment that begins with #; a name has letters, digits, _ . and -');
    const [, quote] = take(QUOTE) ?? [];
    let value: string;
    if (quote === undefined) value = withoutBlanks((take(PLAIN)?.[1] ?? '').replace(/[ \t]#.*$/s, ''));
    else {
      const end = text.indexOf(quote, at);
      if (end < 0) return refuse('the quote that its value begins with is not closed');
      value = text.slice(at, end);
      if (quote === '"') value = value.replaceAll('\\n', '\n');
      at = end + 1;
      if (!take(AFTER_QUOTED)) return refuse('after the quoted value there is more text');
    }
    const problem = variableProblem(name, value);
    if (problem !== undefined) return refuse(problem);
    variables.push([name, value]);
  }
  return { ok: true, env: Object.fromEntries(variables) };
}

/** By hand, for a pattern that ends with `+$` takes long for a text with many blanks in it. */
function withoutBlanks(text: string): string {
  let [begin, end] = [0, text.length];
  while (begin < end && ' \t'.includes(text.charAt(begin))) begin++;
  while (begin < end && ' \t\r'.includes(text.charAt(end - 1))) end--;
  return text.slice(begin, end);
}
