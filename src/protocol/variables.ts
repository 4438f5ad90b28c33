// `${NAME}` in the texts of a workflow. A value and the variables in, the value with every reference filled in out, and a
// problem for each that names nothing. `$${` stays `${`; `$NAME` without braces is left to whoever reads the text.
import { closest } from './suggest.ts';
import { expected, isObject, MAX_DEPTH, type Problem, quote, type Raw } from './validation.ts';

export type Scalar = string | number | boolean;

/** What names stand for in one place. */
export interface Scope {
  /** Undefined: there is no such variable here. */
  valueOf: (name: string) => Scalar | undefined;
  /** Those there are, to suggest one. */
  names: () => Iterable<string>;
  /** What to say of one that is not there, where more is known than that. */
  why?: (name: string) => string | undefined;
}

const REFERENCE = /\$\$\{|\$\{([^}\n]*)(\}?)/g;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Characters that references may come to in one workflow: what all its tasks together may be. */
const MAX_FILLED = 64_000_000;
/** Of so many references that name nothing, it is said what was meant: more are not shown. */
export const MOST_SUGGESTED = 20;

export class Filler {
  readonly problems: Problem[] = [];
  private filled = 0;

  /**
   * `value` with the references in its texts filled in; the very same value if there are none. A text that is one
   * reference and nothing else becomes a number, or true or false, where it reads as one, unless `isText`.
   */
  fill(value: unknown, scope: Scope, path: Problem['path'], isText: boolean): unknown {
    if (typeof value === 'string') return value.includes('${') ? this.fillText(value, scope, path, isText) : value;
    if (typeof value !== 'object' || value === null || path.length > MAX_DEPTH) return value;
    let changed = false;
    const inside = (item: unknown, step: string | number) => {
      const filled = this.fill(item, scope, [...path, step], isText);
      changed ||= filled !== item;
      return filled;
    };
    const copy = Array.isArray(value)
      ? value.map(inside)
      : Object.fromEntries(Object.entries(value).map(([key, item]) => [key, inside(item, key)]));
    return changed ? copy : value;
  }

  private fillText(text: string, scope: Scope, path: Problem['path'], isText: boolean): Scalar {
    const before = this.filled;
    const filled = text.replaceAll(REFERENCE, (whole, name: string | undefined, close: string) => {
      if (name === undefined) return '${';
      const value = close === '' ? undefined : scope.valueOf(name);
      if (value === undefined) {
        const names = this.problems.length < MOST_SUGGESTED ? scope.names() : [];
        this.problems.push({ path, message: missing(name, close, scope, names), find: whole });
        return whole;
      }
      const written = String(value);
      this.filled += written.length;
      return this.filled > MAX_FILLED ? '' : written; // or it were longer than any text can be
    });
    this.filled = Math.max(this.filled, before + filled.length);
    if (this.filled > MAX_FILLED) {
      if (before <= MAX_FILLED)
        this.problems.push({ path, message: 'the texts of this workflow are larger than 64 MB together' });
      return '';
    }
    return !isText && /^\$\{[^}]*\}$/.test(text) ? scalarOf(filled) : filled;
  }
}

function missing(name: string, close: string, scope: Scope, names: Iterable<string>): string {
  if (close === '') return '"${" has no "}" on its line; for a plain "${" write "$${"';
  const whole = `\${${name.slice(0, 60)}}`;
  if (!/^[A-Za-z_][\w.]*$/.test(name))
    return `${whole} is no name of a variable of the workflow; if it is for the shell, write $${whole}`;
  const near = closest(name, names);
  const instead =
    near !== undefined
      ? `; did you mean \${${near}}?`
      : (scope.why?.(name) ?? `: add it to vars, or give --var ${name}=VALUE.`);
  return `${whole} is not defined${instead} If it is for the shell, write ${name.includes('.') ? '' : `$${name} or `}$${whole}`;
}

/** `3` → 3, `true` → true; anything else stays text. */
function scalarOf(text: string): Scalar {
  if (text === 'true' || text === 'false') return text === 'true';
  return /^-?(0|[1-9]\d*)(\.\d+)?$/.test(text) && text.length < 16 ? Number(text) : text;
}

const VALUE_WORDS = 'text, a number, or true or false';

/**
 * The variables of a workflow: what the file says under `vars`, each of which may refer to those above it, and what the
 * command line says instead. One without a value (`DATE:`) must be given there.
 */
export class Variables implements Scope {
  private readonly values = new Map<string, Scalar>();
  private readonly unused: Set<string>;

  constructor(written: unknown, given: ReadonlyMap<string, string>, filler: Filler) {
    for (const [name, value] of given) this.values.set(name, value);
    this.unused = new Set(given.keys());
    if (written === undefined) return;
    const complain = (path: Problem['path'], message: string) => filler.problems.push({ path, message });
    if (!isObject(written)) {
      complain(['vars'], expected('a map of variables, as {DATA: /srv/data}')({ input: written }));
      return;
    }
    for (const [name, value] of Object.entries(written)) {
      const path = ['vars', name];
      const wrong = variableProblem(name);
      if (wrong !== undefined) complain(path, wrong);
      else if (given.has(name)) this.unused.delete(name);
      else if (value === null) {
        complain(path, `has no value, so it must be given: --var ${name}=VALUE`);
        this.values.set(name, ''); // or each use of it would be told again
      } else if (!isScalar(value)) complain(path, expected(VALUE_WORDS)({ input: value }));
      else this.values.set(name, filler.fill(value, this, path, true) as Scalar);
    }
  }

  readonly valueOf = (name: string): Scalar | undefined => {
    this.unused.delete(name);
    return this.values.get(name);
  };

  readonly names = (): Iterable<string> => this.values.keys();

  readonly why = (name: string): string | undefined =>
    /^(item|index)\b/.test(name) ? ' here: a task with for_each has it.' : undefined;

  /** Those given on the command line that nothing in the file asks for: most likely a slip. */
  strays(): Problem[] {
    const known = [...this.values.keys()].filter((name) => !this.unused.has(name));
    return [...this.unused].map((name) => {
      const near = closest(name, known);
      const there = known.length === 0 ? 'it has no variables' : `it has ${known.slice(0, 10).join(', ')}`;
      return {
        path: ['vars'],
        message: `--var ${name}: nothing in this workflow refers to \${${name}}; ${near === undefined ? there : `did you mean ${near}?`}`,
      };
    });
  }
}

export function isScalar(value: unknown): value is Scalar {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

/** Why `name` cannot be that of a variable; undefined if it can. */
export function variableProblem(name: string): string | undefined {
  if (!NAME.test(name)) return `${quote(name)} is no name of a variable: letters, digits and _ make one`;
  if (name === 'item' || name === 'index') return 'is what for_each sets for each task; take another name';
  return undefined;
}

/** Keys whose values are text, whatever they look like. */
const TEXT_KEYS: ReadonlySet<string> = new Set(
  'name job description command args shell dependencies cwd env env_file env_from stdin'.split(' '),
);

/**
 * An object of a workflow, its values filled in, those of its `defaults` by their own keys. Keys of the owner's own (`x-…`)
 * and `$schema` stay as they are.
 */
export function fillKeys(raw: Raw, scope: Scope, path: Problem['path'], filler: Filler): Raw {
  let filled = raw;
  for (const [key, value] of Object.entries(raw)) {
    if (key.startsWith('x-') || key === '$schema') continue;
    const at = [...path, key];
    const now =
      key === 'defaults' && isObject(value)
        ? fillKeys(value, scope, at, filler)
        : filler.fill(value, scope, at, TEXT_KEYS.has(key));
    if (now === value) continue;
    if (filled === raw) filled = { ...raw };
    filled[key] = now;
  }
  return filled;
}
