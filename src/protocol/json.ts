// JSON as its owners write it: a key that is there twice is an error, and where things are in a text can be told, which
// JSON.parse knows nothing of. Places are for messages only: one pass over tokens with a stack of its own, so no text is
// too deep for it; text that is valid costs about what JSON.parse does.
import { formatPath } from './validation.ts';

export type Path = readonly (string | number)[];

export interface Located {
  /** From 0, in UTF-16 units. */
  offset: number;
  message: string;
}

interface Token {
  kind: '{' | '}' | '[' | ']' | ',' | ':' | 'text' | 'word' | 'end';
  start: number;
  end: number;
}

/** As JSON.parse, but a key that an object has twice is an error, since all but the last would be dropped in silence. Throws SyntaxError. */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (keysWritten(text) === keysIn(value)) return value;
  const { offset, message } = findRepeatedKey(text) as Located;
  const { line, column } = lineAndColumn(text, offset);
  throw new SyntaxError(`${message} (line ${line} column ${column})`);
}

/** The first key that an object has twice, in `text`, which must be valid JSON. */
export function findRepeatedKey(text: string): Located | undefined {
  const { repeated } = placesInJson(text, []);
  return (
    repeated && { offset: repeated.offset, message: `${formatPath(repeated.path)}: this key is there twice; keep one` }
  );
}

/** Each key has one colon after it. `text` is valid. */
function keysWritten(text: string): number {
  let keys = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === COLON) keys++;
    else if (code === QUOTE) while (text.charCodeAt(++at) !== QUOTE) if (text.charCodeAt(at) === BACKSLASH) at++;
  }
  return keys;
}

const [COLON, QUOTE, BACKSLASH] = [0x3a, 0x22, 0x5c];

/** How many keys all objects in it have; with a stack of its own. */
export function keysIn(value: unknown): number {
  let keys = 0;
  const open = [value];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next !== 'object' || next === null) continue;
    const inner: unknown[] = Array.isArray(next) ? next : Object.values(next);
    if (inner !== next) keys += inner.length;
    for (const one of inner) if (typeof one === 'object' && one !== null) open.push(one);
  }
  return keys;
}

/** What keeps `text` from being JSON, in words and with its place; undefined if nothing does. */
export function findJsonError(text: string): Located | undefined {
  const whole = wholeTextError(text);
  if (whole !== undefined) return { offset: 0, message: whole };
  const open: ('{' | '[')[] = [];
  let want: 'value' | 'first value' | 'key' | 'first key' | ':' | 'next' = 'value';
  for (let at = 0; ; ) {
    const token = tokenAt(text, at);
    const fail = (message: string, offset = token.start): Located => ({ offset, message });
    const inside = open.at(-1);
    const bad =
      token.kind === 'text' || token.kind === 'word' ? wordError(text, token, want.endsWith('key')) : undefined;
    if (bad !== undefined && (want !== 'next' || token.kind === 'text')) return bad;
    at = token.end;
    if (token.kind === 'end') {
      if (inside === undefined && want === 'next') return undefined;
      return fail(
        inside === undefined ? 'it is empty' : `it ends in the middle of ${inside === '{' ? 'an object' : 'a list'}`,
      );
    }
    if (want === 'next') {
      if (inside === undefined) return fail('there is more after the end of the value; a file holds one');
      if (token.kind === ',') want = inside === '{' ? 'key' : 'value';
      else if (token.kind === (inside === '{' ? '}' : ']')) open.pop();
      else if (token.kind === '}' || token.kind === ']') return fail(`${token.kind} closes what ${inside} opened`);
      else return fail(`a comma is missing before ${snippet(text, token)}`);
    } else if (want === ':') {
      if (token.kind !== ':') return fail(`a colon is missing before ${snippet(text, token)}`);
      want = 'value';
    } else if (want === 'first key' || want === 'key') {
      if (token.kind === '}' && want === 'first key') {
        open.pop();
        want = 'next';
      } else if (token.kind === 'text') want = ':';
      else if (token.kind === '}') return fail('there is a comma before this }; JSON allows none there');
      else if (token.kind === 'word')
        return fail(`a key needs double quotes: write "${text.slice(token.start, token.end).slice(0, 60)}"`);
      else return fail(`expected a key in double quotes, got ${snippet(text, token)}`);
    } else if (token.kind === '{' || token.kind === '[') {
      open.push(token.kind);
      want = token.kind === '{' ? 'first key' : 'first value';
    } else if (token.kind === 'text' || token.kind === 'word') want = 'next';
    else if (token.kind === ']' && want === 'first value') {
      open.pop();
      want = 'next';
    } else if (token.kind === ']' && inside === '[')
      return fail('there is a comma before this ]; JSON allows none there');
    else return fail(`expected a value, got ${snippet(text, token)}`);
  }
}

export interface JsonPlaces {
  /** Where the key or the list entry that `path` names begins; of the nearest thing around it if it is not there. */
  offsetOf: (path: Path) => number;
  /** A key that an object has twice, with its second place. */
  repeated: { path: Path; offset: number } | undefined;
}

/** Finds `paths` in `text`, which must be valid JSON. */
export function placesInJson(text: string, paths: readonly Path[]): JsonPlaces {
  const wanted = new Set(paths.flatMap((path) => path.map((_, i) => JSON.stringify(path.slice(0, i + 1)))));
  const depth = Math.max(0, ...paths.map((path) => path.length));
  const found = new Map<string, number>();
  const first = tokenAt(text, 0);
  let repeated: JsonPlaces['repeated'];
  const frames: { keys: Set<string> | undefined; step: string | number; fresh: boolean }[] = [];
  const enter = (offset: number) => {
    if (frames.length > depth) return;
    const key = JSON.stringify(frames.map((frame) => frame.step));
    if (wanted.has(key) && !found.has(key)) found.set(key, offset);
  };
  for (let token = first; token.kind !== 'end'; token = tokenAt(text, token.end)) {
    const frame = frames.at(-1);
    if (frame?.fresh && frame.keys === undefined && token.kind !== ']') {
      frame.fresh = false;
      enter(token.start);
    } else if (frame?.fresh && frame.keys !== undefined && token.kind === 'text') {
      frame.fresh = false;
      frame.step = String(JSON.parse(text.slice(token.start, token.end)));
      if (frame.keys.has(frame.step)) repeated ??= { path: frames.map(({ step }) => step), offset: token.start };
      frame.keys.add(frame.step);
      enter(token.start);
      continue;
    }
    if (token.kind === '{') frames.push({ keys: new Set(), step: '', fresh: true });
    else if (token.kind === '[') frames.push({ keys: undefined, step: 0, fresh: true });
    else if (token.kind === '}' || token.kind === ']') frames.pop();
    else if (token.kind === ',' && frame !== undefined) {
      frame.fresh = true;
      if (typeof frame.step === 'number') frame.step++;
    }
  }
  const offsetOf = (path: Path): number => {
    for (let length = path.length; length > 0; length--) {
      const offset = found.get(JSON.stringify(path.slice(0, length)));
      if (offset !== undefined) return offset;
    }
    return first.start;
  };
  return { offsetOf, repeated };
}

/** `offset` as people count: from 1, in characters. */
export function lineAndColumn(text: string, offset: number): { line: number; column: number } {
  const lastBreak = text.lastIndexOf('\n', offset - 1);
  let line = 1;
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) line++;
  const before = text.slice(offset === 0 ? 0 : lastBreak + 1, offset);
  return { line, column: before.replace(/[\ud800-\udbff][\udc00-\udfff]/g, '_').length + 1 };
}

// ── Tokens ────────────────────────────────────────────────────────────────────────────────────────────────────────

const SPACE = new Set([' ', '\t', '\n', '\r']);
const MARKS = new Map<string, Token['kind']>((['{', '}', '[', ']', ',', ':'] as const).map((mark) => [mark, mark]));

function tokenAt(text: string, from: number): Token {
  let start = from;
  while (SPACE.has(text[start] ?? '')) start++;
  const c = text[start];
  if (c === undefined) return { kind: 'end', start, end: start };
  const mark = MARKS.get(c);
  if (mark !== undefined) return { kind: mark, start, end: start + 1 };
  if (c === '"') return { kind: 'text', start, end: endOfText(text, start) };
  let end = start + 1;
  while (end < text.length && !SPACE.has(text[end] ?? '') && !MARKS.has(text[end] ?? '') && text[end] !== '"') end++;
  return { kind: 'word', start, end };
}

/** After the closing quote; at the end of the line or of the file if there is none. */
function endOfText(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const c = text[at];
    if (c === '\\') at++;
    else if (c === '"') return at + 1;
    else if (c === '\n') return at;
  }
  return text.length;
}

function wholeTextError(text: string): string | undefined {
  if (text.startsWith('\uFEFF')) return 'it begins with a byte order mark (BOM); save it as UTF-8 without one';
  if (text.includes('\0')) return 'it is no text: it has NUL characters (is it UTF-16, or binary?)';
  if (text.trim() === '') return 'it is empty';
  if (text.startsWith('#!')) return 'it looks like a script, not JSON; name it: {"command": ["sh", "/path/to/it"]}';
  if (/^\s*(---|#|[\w$-]+\s*:(\s|$))/.test(text))
    return 'it looks like YAML; a file here is JSON, with { } and double quotes';
  if (/^\s*(?!\/[/*])[A-Za-z./~][\w./~-]*(\s|$)/.test(text) && !/^\s*(true|false|null)\b/.test(text)) {
    return `it looks like a command line, not JSON; write {"shell": ${JSON.stringify(text.trim().slice(0, 60))}}`;
  }
  return undefined;
}

const PYTHON: Readonly<Record<string, string>> = {
  True: 'true',
  False: 'false',
  None: 'null',
  undefined: 'null',
  nil: 'null',
};

function wordError(text: string, { kind, start, end }: Token, isKey: boolean): Located | undefined {
  const word = text.slice(start, end);
  const fail = (message: string, offset = start): Located => ({ offset, message });
  if (kind === 'text') return textError(word, start, end === text.length);
  if (word.startsWith("'")) return fail('single quotes; JSON needs double quotes');
  if (/^[“”„]/.test(word)) return fail('typographic quotes; JSON needs straight double quotes');
  if (word.startsWith('//') || word.startsWith('/*') || word.startsWith('#')) return fail('a comment; JSON has none');
  if (isKey || /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/.test(word)) return undefined;
  const plain = Object.hasOwn(PYTHON, word) ? PYTHON[word] : undefined;
  if (plain !== undefined) return fail(`${word} is no JSON; write ${plain}`);
  if (/^[+.-]?\d/.test(word)) return fail(`${word.slice(0, 60)} is no number as JSON writes it`);
  return fail(`text needs double quotes: write ${JSON.stringify(word.slice(0, 60))}`);
}

function textError(quoted: string, start: number, atEnd: boolean): Located | undefined {
  if (quoted.length < 2 || !/[^\\](\\\\)*"$/.test(quoted.slice(-1000))) {
    return {
      offset: start,
      message: atEnd ? 'it ends in the middle of a text' : 'this text has no closing quote on its line',
    };
  }
  for (let at = 1; at < quoted.length - 1; at++) {
    const code = quoted.charCodeAt(at);
    if (code < 0x20)
      return {
        offset: start + at,
        message: code === 9 ? 'a tab inside a text; write \\t' : 'a control character inside a text',
      };
    if (code !== 0x5c) continue;
    if (!/^\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/.test(quoted.slice(at, at + 6))) {
      return { offset: start + at, message: 'a lone backslash inside a text; write two' };
    }
    at++;
  }
  return undefined;
}

function snippet(text: string, { start, end }: Token): string {
  return text.slice(start, Math.min(end, start + 40));
}
