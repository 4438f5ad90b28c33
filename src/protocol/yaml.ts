// Text in YAML or JSON → its value, and a way to say where in the text something is. This is the only file that loads
// the yaml package, which is slow to load; JSON does not go through it.
import {
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
  type Document,
  type Node,
  type YAMLError,
} from 'yaml';
import { findJsonError, findRepeatedKey, lineAndColumn, parseJson, type Path, placesInJson } from './json.ts';
import { formatProblem, type Problem, quote } from './validation.ts';

/** What the text of a file held. `describe` gives each problem as `file:line:column: key: what is wrong`. */
export type Read =
  | { ok: true; value: unknown; describe: (problems: readonly Problem[]) => string[] }
  | { ok: false; problems: string[] };

const MAX_JSON = 64_000_000;
const MAX_YAML = 16_000_000;
/** Anchors and aliases: more than any workflow written by hand has, and far less than an alias bomb makes. The package compares each with each. */
const MAX_ALIASES = 10_000;
const MAX_LINES = 50;
/** The package recurses; where the stack ends in the midst of compiling an expression, Node aborts and throws nothing. */
const MAX_NESTING = 500;

/** Reads JSON if the file's name or its first character says so, YAML otherwise. An empty file is undefined. */
export function readText(text: string, fileName: string): Read {
  const plain = text.startsWith('\uFEFF') ? text.slice(1) : text;
  const isJson = fileName.endsWith('.json');
  if (plain.length > (isJson ? MAX_JSON : MAX_YAML)) {
    return {
      ok: false,
      problems: [`${fileName}: is too large: at most ${isJson ? '64 MB' : '16 MB of YAML; as JSON it may have 64 MB'}`],
    };
  }
  if (plain.includes('\0')) return { ok: false, problems: [`${fileName}: is no text: it has NUL characters in it`] };
  if (isJson) return readJson(plain, fileName);
  if (/^\s*\{/.test(plain)) {
    const read = readJson(plain, fileName);
    // Braces may be YAML as well; only what is neither is spoken of, as YAML.
    if (read.ok || findJsonError(plain) === undefined) return read;
  }
  return readYaml(plain, fileName);
}

function readJson(text: string, fileName: string): Read {
  const at = (offset: number) => placeName(fileName, lineAndColumn(text, offset));
  let value: unknown;
  try {
    value = text.trim() === '' ? undefined : parseJson(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const { offset, message } = findJsonError(text) ?? findRepeatedKey(text) ?? { offset: 0, message: error.message };
    return { ok: false, problems: [`${at(offset)}: ${message}`] };
  }
  const describe = (problems: readonly Problem[]) => {
    const { offsetOf } = placesInJson(
      text,
      problems.slice(0, MAX_LINES).map(({ path }) => path),
    );
    return lines(problems, (problem) => at(offsetIn(text, offsetOf(problem.path), problem.find)));
  };
  return { ok: true, value, describe };
}

/** At least as deep as YAML could be nested: brackets that are open, and indents that hold one another. */
function nestingOf(text: string): number {
  const indents: number[] = [];
  let [deepest, open] = [0, 0];
  for (const line of text.split(/[\r\n]/)) {
    const [lead = ''] = /^(?:[-?]?[ \t]+)*/.exec(line) ?? [];
    while (indents.length > 0 && (indents.at(-1) as number) >= lead.length) indents.pop();
    indents.push(lead.length);
    const dashes = lead.replaceAll(/[ \t]/g, '').length;
    for (const bracket of line.match(/[[\]{}]/g) ?? []) {
      open = Math.max(0, open + (bracket === '[' || bracket === '{' ? 1 : -1));
      deepest = Math.max(deepest, open);
    }
    deepest = Math.max(deepest, open + indents.length + dashes);
  }
  return deepest;
}

/** Keys and markers that follow each other on a line, `a: a: ? - `: the package goes a level deeper at each. */
function longestRun(text: string): number {
  let [longest, run] = [0, 0];
  for (const [word] of text.matchAll(/[^\s]+|[\r\n]/g)) {
    const goesOn = word.endsWith(':') || word === '?' || word === '-';
    run = !goesOn ? 0 : /[,{}[\]]/.test(word) ? 1 : run + 1; // `{a: 1,b: 2`: the next one of a map is no deeper
    longest = Math.max(longest, run);
  }
  return longest;
}

function readYaml(text: string, fileName: string): Read {
  if (nestingOf(text) > MAX_NESTING || longestRun(text) > MAX_NESTING)
    return { ok: false, problems: [`${fileName}: is nested too deeply`] };
  const counter = new LineCounter();
  const at = (offset: number) => {
    const { line, col } = counter.linePos(offset);
    return placeName(fileName, { line: Math.max(line, 1), column: Math.max(col, 1) });
  };
  const { stackTraceLimit } = Error;
  try {
    Error.stackTraceLimit = 0; // an error is made for every word that is wrong, and its stack is most of what it costs
    // Unique keys are checked below: the package compares each with each.
    const document = parseDocument(text, {
      lineCounter: counter,
      merge: true,
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: 'error',
    });
    const found = syntaxProblems(document, text, at);
    if (found.length > 0) return { ok: false, problems: found };
    if (anchorsAndAliases(document) > MAX_ALIASES) throw new ReferenceError('too many');
    const value: unknown = document.contents === null ? undefined : document.toJS({ maxAliasCount: MAX_ALIASES });
    const place = ({ path, find }: Problem) => at(offsetIn(text, nodeOffset(document, path), find));
    return { ok: true, value, describe: (problems) => lines(problems, place) };
  } catch (error) {
    if (error instanceof ReferenceError)
      return {
        ok: false,
        problems: [`${fileName}: has too many anchors (&name) and aliases (*name): at most ${MAX_ALIASES}`],
      };
    if (error instanceof RangeError) return { ok: false, problems: [`${fileName}: is nested too deeply`] };
    throw error;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** How many of both there are. */
function anchorsAndAliases(document: Document): number {
  let names = 0;
  visit(document, {
    Node(_, node) {
      if (isAlias(node) || node.anchor !== undefined) names += 1;
    },
  });
  return names;
}

function lines(problems: readonly Problem[], place: (problem: Problem) => string): string[] {
  const all = problems.slice(0, MAX_LINES).map((problem) => `${place(problem)}: ${formatProblem(problem)}`);
  if (problems.length > MAX_LINES) all.push(`… and ${problems.length - MAX_LINES} more`);
  return all;
}

export function placeName(fileName: string, { line, column }: { line: number; column: number }): string {
  return `${fileName}:${line}:${column}`;
}

const MAX_SYNTAX = 10;
const UNQUOTED = 'quotes are missing: between { } or [ ], a text with ${…} in it is written "…"';

/** The first of each place: what follows from it in the same place says nothing new. */
function syntaxProblems(document: Document, text: string, at: (offset: number) => string): string[] {
  const errors = [...document.errors, ...document.warnings];
  // The package reports its own RangeError as an error of the text.
  if (errors.some(({ message }) => message.startsWith('Maximum call stack'))) throw new RangeError('too deep');
  // What follows from a `{` that opens a map where a variable was meant says nothing.
  const variable = errors.find(({ pos }) => text.slice(Math.max(0, pos[0] - 1), pos[0] + 1) === '${');
  if (variable !== undefined) return [`${at(variable.pos[0] - 1)}: ${UNQUOTED}`];
  const found = new Map<string, string>();
  for (const error of errors) {
    const place = at(error.pos[0]);
    if (!found.has(place)) found.set(place, `${place}: ${yamlProblem(error)}`);
  }
  return [...found.values(), ...contentProblems(document, at)].slice(0, MAX_SYNTAX);
}

const YAML_WORDS: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: 'a tab; YAML is indented by spaces',
  MULTIPLE_DOCS: 'a second document begins here (---); a file holds one',
  TAG_RESOLVE_FAILED: 'a tag (!name) that means nothing here',
};

function yamlProblem({ code, message }: YAMLError): string {
  return YAML_WORDS[code] ?? `this is no YAML: ${message.charAt(0).toLowerCase()}${message.slice(1)}`;
}

/** What the package finds late or not at all: keys that are no words or there twice, aliases and merges (<<) of nothing. */
function contentProblems(document: Document, at: (offset: number) => string): string[] {
  const found: string[] = [];
  const anchors = new Map<string, unknown>();
  const target = (node: unknown) => (isAlias(node) ? anchors.get(node.source) : node);
  const complain = (node: unknown, message: string) => found.push(`${at(startOf(node) ?? 0)}: ${message}`);
  visit(document, {
    Value(_, node) {
      if (node.anchor !== undefined) anchors.set(node.anchor, node);
    },
    Alias(_, alias, around) {
      const named = anchors.get(alias.source);
      if (named === undefined) complain(alias, `there is no &${alias.source} above for this alias`);
      else if ((around as readonly unknown[]).includes(named)) complain(alias, 'this alias lies inside what it names');
    },
    Map(_, map) {
      if (map.anchor !== undefined) anchors.set(map.anchor, map);
      const keys = new Set<string>();
      for (const { key, value } of map.items) {
        const named = target(key);
        if (isMap(named) || isSeq(named)) complain(key, 'a key is a word, and this is a map or a list'); // costly to write out
        if (!isScalar(key)) continue;
        const name = String(key.value);
        if (keys.has(name)) complain(key, `${quote(name)}: this key is there twice; keep one`);
        keys.add(name);
        const merged = target(value);
        const all = isSeq(merged) ? merged.items : [merged];
        if (isMerge(key.value) && !all.every((one) => isMap(target(one))))
          complain(key, '<< takes a map, or aliases of maps');
      }
    },
  });
  return found;
}

const isMerge = (key: unknown) => key === '<<' || (typeof key === 'symbol' && key.description === '<<');

/** Where the key or the list entry that `path` names begins, or the nearest thing around it. */
function nodeOffset(document: Document, path: Path): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
      if (pair === undefined) break;
      offset = startOf(pair.key) ?? offset;
      node = pair.value;
    } else if (isSeq(node) && typeof step === 'number') {
      const item: unknown = node.items[step];
      offset = startOf(isPair(item) ? item.key : item) ?? offset;
      node = item;
    } else break;
  }
  return offset;
}

/** Where `find` first stands after `offset`, not as a part of `$${…`; `offset` itself if it does not. */
function offsetIn(text: string, offset: number, find: string | undefined): number {
  if (find === undefined) return offset;
  let found = text.indexOf(find, offset);
  while (found > 0 && text[found - 1] === '$') found = text.indexOf(find, found + 1);
  return found < 0 ? offset : found;
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? (node as Node).range?.[0] : undefined;
}
