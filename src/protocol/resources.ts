// Named resources: how many or how much of each there is (config.yaml), is asked for (a task), is held (an attempt).
// Those that are counted are handed out by index; a size is a sum. What an attempt holds is a line of its `run`, so
// that whoever looks at live attempts knows what is taken: there is no other record of it.
import { closest } from './suggest.ts';
import { expected, isObject, type Problem, quote, type Raw } from './validation.ts';
import { formatSize, parseSize, sizeProblem } from './values.ts';

/** A count of pieces, or a size in bytes. */
export type Amount = { unit: 'pieces' | 'bytes'; n: number };
export type Resources = ReadonlyMap<string, Amount>;
export const NO_RESOURCES: Resources = new Map();

/** By the name of the resource: the indexes held, or the bytes. */
export type Holdings = ReadonlyMap<string, readonly number[] | number>;
export const NO_HOLDINGS: Holdings = new Map();

export const AMOUNT_WORDS = 'a whole number ≥ 1, or a size with its unit, as "4GB"';
/** Pieces of one resource. */
const MOST_PIECES = 10_000;

/** `2` → two pieces, `"16GB"` → a size; undefined if it is neither. A size needs its unit, for `4` bytes are a slip. */
export function parseAmount(input: unknown): Amount | undefined {
  const isCount = typeof input === 'number' || (typeof input === 'string' && /^\d{1,9}$/.test(input));
  const n = isCount ? Number(input) : parseSize(input);
  if (n === undefined || !Number.isSafeInteger(n) || n < 1) return undefined;
  return { unit: isCount ? 'pieces' : 'bytes', n };
}

/** Why `input` is no amount, in words; undefined if it is one. */
export function amountProblem(input: unknown): string | undefined {
  if (parseAmount(input) !== undefined) return undefined;
  const isAmbiguous = typeof input === 'string' && /^\d+(\.\d+)?\s?[kKmMgGtT]$/.test(input);
  return isAmbiguous ? sizeProblem(input) : expected(AMOUNT_WORDS)({ input });
}

/** `gpu` → `SPOOLD_GPU`, the variable that says what an attempt holds of it. */
function resourceVariable(name: string): string {
  return `SPOOLD_${name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}`;
}

/** What is wrong with the names of resources, as written. `reserved`: variables that have another meaning. */
export function resourceNameProblems(written: unknown, reserved: readonly string[]): Problem[] {
  const problems: Problem[] = [];
  if (!isObject(written)) return problems;
  const seen = new Map<string, string>();
  for (const name in written) {
    const variable = resourceVariable(name);
    const twin = seen.get(variable);
    seen.set(variable, name);
    const message = !/^[A-Za-z][A-Za-z0-9_.-]{0,39}$/.test(name)
      ? 'is no name of a resource: a letter, then up to 39 of letters, digits and _ . -'
      : reserved.includes(variable)
        ? `cannot be the name of a resource: ${variable} tells a task something else`
        : twin !== undefined && `is told to tasks as ${variable}, and so is ${quote(twin)}; give one another name`;
    if (message) problems.push({ path: ['resources', name], message });
  }
  return problems;
}

/** What is wrong with amounts of the config, besides what each is by itself. */
export function supplyProblems(resources: Resources): Problem[] {
  return [...resources]
    .filter(([, { unit, n }]) => unit === 'pieces' && n > MOST_PIECES)
    .map(([name]) => ({
      path: ['resources', name],
      message: `is too many: at most ${MOST_PIECES} pieces; for a size write its unit, as "16GB"`,
    }));
}

/** Why a request can never be met by what there is; none if it can. Paths begin with `resources`. */
export function unmeetable(request: Resources, supply: Resources): Problem[] {
  const problems: Problem[] = [];
  for (const [name, asked] of request) {
    const there = supply.get(name);
    const message = there === undefined ? unknownResource(name, supply) : tooMuch(name, asked, there);
    if (message !== undefined) problems.push({ path: ['resources', name], message });
  }
  return problems;
}

function unknownResource(name: string, supply: Resources): string {
  const near = closest(name, supply.keys());
  if (near !== undefined) return `there is no such resource; did you mean ${quote(near)}?`;
  const names = [...supply.keys()];
  const there = names.length === 0 ? 'config.yaml names none' : `config.yaml names ${names.join(', ')}`;
  return `there is no such resource; ${there}. Add it under resources: there, as resources: {${name}: 1}, and have the daemon read it: spoold restart`;
}

function tooMuch(name: string, asked: Amount, there: Amount): string | undefined {
  if (asked.unit !== there.unit) {
    return there.unit === 'bytes'
      ? `is a size in config.yaml (${formatAmount(there)}): write it with its unit, as "4GB"`
      : `is counted in config.yaml (${there.n} pieces): write a whole number`;
  }
  if (asked.n <= there.n) return undefined;
  return `asks for ${formatAmount(asked)} where there is ${formatAmount(there)} in all (config.yaml, resources: ${name})`;
}

/** `2`, `16GB`. */
export function formatAmount({ unit, n }: Amount): string {
  return unit === 'pieces' ? String(n) : formatSize(n);
}

/** `gpu=0,1 mem=4000000000B`: the text that `parseHoldings` reads. */
export function formatHoldings(holdings: Holdings): string {
  return [...holdings]
    .map(([name, held]) => `${name}=${typeof held === 'number' ? `${held}B` : held.join(',')}`)
    .join(' ');
}

/** The reverse of `formatHoldings`; what does not read is passed over. */
export function parseHoldings(text: string): Holdings {
  const holdings = new Map<string, readonly number[] | number>();
  for (const part of text.split(' ')) {
    const [, name, bytes, indexes] = /^([^=]+)=(?:(\d+)B|(\d+(?:,\d+)*))$/.exec(part) ?? [];
    if (name === undefined) continue;
    holdings.set(name, bytes === undefined ? (indexes ?? '').split(',').map(Number) : Number(bytes));
  }
  return holdings;
}

/** What an attempt is told of what it holds: `SPOOLD_GPU=0,1` (and CUDA_VISIBLE_DEVICES), `SPOOLD_MEM` in bytes. */
export function holdingVariables(holdings: Holdings): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const [name, held] of holdings) {
    const value = typeof held === 'number' ? String(held) : held.join(',');
    variables[resourceVariable(name)] = value;
    if (name === 'gpu' && typeof held !== 'number') variables.CUDA_VISIBLE_DEVICES = value;
  }
  return variables;
}

/** The amounts of an object whose values the schema has turned into amounts. */
export function resourcesOf(amounts: Record<string, Amount> | undefined): Resources {
  return amounts === undefined || Object.keys(amounts).length === 0 ? NO_RESOURCES : new Map(Object.entries(amounts));
}

/** As an object that `resourcesIn` reads back. */
export function writtenResources(resources: Resources): Record<string, number | string> {
  return Object.fromEntries([...resources].map(([name, { unit, n }]) => [name, unit === 'bytes' ? `${n}B` : n]));
}

/** The amounts of an object as written; what is no amount is left out. For those who only look. */
export function resourcesIn(written: unknown): Resources {
  const amounts = Object.entries(isObject(written) ? (written satisfies Raw) : {}).flatMap(([name, value]) => {
    const amount = parseAmount(value);
    return amount === undefined ? [] : [[name, amount] as const];
  });
  return new Map(amounts);
}
