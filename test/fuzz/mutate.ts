// What a fuzzer makes of valid files: structured mutations (values, keys, nesting, sizes) and raw ones (bytes). Nothing
// here can form a command that does harm: what is run is `true`, `:` or nothing that exists.

type Random = () => number;
type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Valid tasks that have every key between them. */
const TASKS: readonly Record<string, Json>[] = [
  { command: 'true' },
  { command: ['true', 'a', 'b'], dependencies: [], priority: 'foreground', retry: 1, timeout: '5s' },
  { shell: ': hello', retry: { max: 1, delay: '1ms', backoff: 2, jitter: 0.1, on: ['failed', '1-9'] }, kill_after: 1 },
  { command: 'true', args: ['x'], env: { A: 'b', N: 1, T: true }, inherit_env: ['PATH'], description: 'words' },
  { command: 'true', stdin: 'text', run_if: 'always', on_lost: 'fail', 'x-mine': { deep: [1, 2, { a: null }] } },
  { command: 'true', priority: 7, cwd: '/tmp', resources: {}, $schema: 'a' },
];
const JOBS: readonly Record<string, Json>[] = [
  { max_parallel: 2, description: 'a job', defaults: { command: 'true', env: { A: '1' }, retry: 1 } },
  { max_parallel: 'none', defaults: { timeout: '5s', priority: 'best_effort' } },
];
const CONFIGS = [
  'poll_interval: 1s\nmax_parallel: 4\nenv: {A: b}\nlog_level: info\n',
  '# a comment\nkill_after: 5s\ninherit_env: [PATH, HOME]\nmin_free: {bytes: 0, inodes: 0}\nallowed_owners: [0]\n',
];
const WORKFLOWS = [
  'tasks:\n  a: true\n  b:\n    shell: ": hello"\n    dependencies: [a]\n    retry: {max: 2, delay: 1s}\n',
  'job: x\ndefaults: &d\n  timeout: 5s\ntasks:\n  - id: a\n    command: ["true"]\n  - id: b\n    shell: |\n      :\n    dependencies: [a]\n',
];
const KEYS = [
  '__proto__',
  'constructor',
  'toString',
  'comand',
  'needs',
  'id',
  'parent',
  '',
  'é',
  'x-y',
  'hasOwnProperty',
];
const RAW_NUMBERS = [
  '1e400',
  '-1e400',
  '9007199254740993',
  '0.1e-400',
  '-0',
  '1E5',
  '00',
  '0x10',
  '123456789012345678901234567890',
];

export function pick<T>(random: Random, from: readonly T[]): T {
  return from[Math.floor(random() * from.length)] as T;
}

function nested(depth: number, kind: 'list' | 'object'): string {
  return kind === 'list' ? '['.repeat(depth) + ']'.repeat(depth) : '{"a":'.repeat(depth) + '1' + '}'.repeat(depth);
}

/** A marker in the text of a value, for what JSON.stringify cannot give. */
const RAW = '\u0001raw:';

function oddValue(random: Random, heavy: boolean): Json {
  const values: (() => Json)[] = [
    () => null,
    () => true,
    () => '',
    () => [],
    () => ({}),
    () => -1,
    () => 0.5,
    () => 1e308,
    () => `${RAW}${pick(random, RAW_NUMBERS)}`,
    () => '\ud800',
    () => '\u0000',
    () => '\u202e../../x',
    () => '/../../etc/x',
    () => ({ max: 1, delay: {} }),
    () => `${RAW}{"__proto__":{"command":"true"}}`,
    () => `${RAW}{"max":1,"max":2}`,
    () => `${RAW}${nested(Math.floor(random() * 3000), pick(random, ['list', 'object']))}`,
    () => Array.from({ length: Math.floor(random() * 300) }, (_, n) => `d${n}`),
    () => 'a'.repeat(Math.floor(random() * 5000)),
    () => '99999999999d',
    () => '2999-01-01T00:00:00Z',
    () => ['true', 1, null],
  ];
  const large: (() => Json)[] = [
    () => 'a'.repeat(10_000_000),
    () => `${RAW}[${'"d",'.repeat(250_000)}"d"]`,
    () => `${RAW}[${'"d",'.repeat(1_000_000)}"d"]`,
    () => `${RAW}${nested(500_000, 'list')}`,
    () => `${RAW}${nested(150_000, 'object')}`,
    () => `${RAW}{${Array.from({ length: 60_000 }, (_, n) => `"k${n}":1`).join()}}`,
    () => 'é'.repeat(400_000),
    () => `${RAW}{${Array.from({ length: 60_000 }, (_, n) => `"g${n}":1`).join()}}`,
    () => `\${a} `.repeat(200_000),
    () => pick(random, ['-', ' ', '"', '\\', '1', '\ud800', '0-9 ', 'a=']).repeat(150_000),
  ];
  return pick(random, heavy ? large : values)();
}

/** One change somewhere in a value. */
function change(value: Record<string, Json>, random: Random, heavy: boolean): void {
  let at: Record<string, Json> = value;
  for (let depth = 0; depth < 3; depth++) {
    const inner = pick(
      random,
      Object.values(at).filter((one) => typeof one === 'object' && one !== null),
    );
    if (inner === undefined || random() < 0.5) break;
    at = inner as Record<string, Json>;
  }
  const key = pick(random, Object.keys(at)) ?? 'command';
  const chance = random();
  if (chance < 0.2) delete at[key];
  else if (chance < 0.4)
    Object.defineProperty(at, pick(random, KEYS), {
      value: oddValue(random, heavy),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  else at[key] = oddValue(random, heavy);
}

function structured(base: Record<string, Json>, random: Random, heavy: boolean): string {
  const value = structuredClone(base);
  for (let n = 1 + Math.floor(random() * 2); n > 0; n--) change(value, random, heavy);
  return JSON.stringify(value).replaceAll(
    /"\\u0001raw:((?:[^"\\]|\\.)*)"/g,
    (_, text: string) => JSON.parse(`"${text}"`) as string,
  );
}

/** Bytes flipped, cut, doubled, put in. */
function raw(text: string, random: Random): Buffer {
  let bytes = Buffer.from(text);
  for (let n = 1 + Math.floor(random() * 3); n > 0; n--) {
    const at = Math.floor(random() * (bytes.length + 1));
    const end = Math.min(bytes.length, at + Math.floor(random() * 20));
    const chance = random();
    if (chance < 0.3 && bytes.length > 0) bytes[Math.min(at, bytes.length - 1)] = Math.floor(random() * 256);
    else if (chance < 0.5) bytes = bytes.subarray(0, at);
    else if (chance < 0.65) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
    else if (chance < 0.8)
      bytes = Buffer.concat([bytes.subarray(0, end), bytes.subarray(at, end), bytes.subarray(end)]);
    else {
      const odd = pick(random, [
        '\ufeff',
        '\0',
        '\r\n',
        '//',
        '#',
        '{',
        ']',
        ',',
        '"',
        '&a *a',
        '\t',
        '---\n',
        '!!js ',
      ]);
      bytes = Buffer.concat([
        bytes.subarray(0, at),
        random() < 0.3 ? Buffer.from([0xff, 0xfe, 0xc3]) : Buffer.from(odd),
        bytes.subarray(at),
      ]);
    }
  }
  return bytes;
}

/** What ids of an array's tasks are like: no other file has the same. */
export const MEMBER = /m\d+/;

/** A task in an array, with its id; most are left as they are, or hardly any array would be spread. */
function member(random: Random): string {
  const task = { id: `m${Math.floor(random() * 2 ** 32)}`, ...pick(random, TASKS) };
  return random() < 0.3 ? structured(task, random, false) : JSON.stringify(task);
}

export function taskText(random: Random, heavy: boolean): Buffer {
  const base = pick(random, TASKS);
  const chance = random();
  if (heavy || chance < 0.55) return Buffer.from(structured(base, random, heavy));
  if (chance < 0.9) return raw(JSON.stringify(base), random);
  if (chance < 0.97)
    return Buffer.from(`[${Array.from({ length: 1 + Math.floor(random() * 3) }, () => member(random)).join()}]`);
  return Buffer.from(pick(random, ['', ' ', 'null', '[]', '7', '"x"', '{', '[[[', 'tru', '\ufeff{}']));
}

export function jobText(random: Random, heavy: boolean): Buffer {
  const base = pick(random, JOBS);
  return random() < 0.6 || heavy ? Buffer.from(structured(base, random, heavy)) : raw(JSON.stringify(base), random);
}

export function configText(random: Random): Buffer {
  return yaml(pick(random, CONFIGS), random);
}

export function workflowText(random: Random): Buffer {
  return yaml(pick(random, WORKFLOWS), random);
}

function yaml(text: string, random: Random): Buffer {
  const chance = random();
  if (chance < 0.6) return raw(text, random);
  if (chance < 0.7)
    return Buffer.from(
      text + pick(random, ['a: ', '? ', '- ', '{a: ', '[', 'x', ':', '${']).repeat(Math.floor(random() ** 3 * 200_000)),
    );
  if (chance < 0.75) return Buffer.from(text + crowded(random));
  if (chance < 0.8)
    return Buffer.from(
      `a: &a [x,x]\n${Array.from({ length: 30 }, (_, n) => `b${n}: &b${n} [*${n === 0 ? 'a' : `b${n - 1}`},*${n === 0 ? 'a' : `b${n - 1}`}]\n`).join('')}${text}`,
    );
  if (chance < 0.9)
    return Buffer.from(
      text.replace(
        /: (\S+)/,
        `: ${pick(random, ['!!binary x', '.nan', '.inf', '~', '0o7', '|', '>', "'", '1_000', '2001-01-01'])}`,
      ),
    );
  return Buffer.from(`${' '.repeat(Math.floor(random() * 3))}${text}${text}`);
}

/** Very many of one thing: words that are wrong, anchors and their aliases, names that nothing has. */
function crowded(random: Random): string {
  const many = Math.floor(random() ** 2 * 8_000);
  const all = (line: (n: number) => string): string => Array.from({ length: many }, (_, n) => line(n)).join('');
  return pick(random, [
    () => `x-a: [${all((n) => `&a${n} x, `)}]\nx-b: [${all((n) => `*a${n} , `)}]\n`,
    () =>
      `x-a: ${pick(random, ['}', ']', '"a" ', '[] ', '! ', '&a ', '*a ', '|\n', '- a\n', '"', '%a\n']).repeat(many)}\n`,
    () => `vars: {${all((n) => `v_${n}: x, `)}}\nx: "${all((n) => `\${w_${n}}`)}"\n`,
    () => `env: {${all((n) => `V${n}: x, `)}}\n`,
    () => all((n) => `key${n}: x\n`),
  ])();
}

/** A file name in bytes: no slash, no NUL, at most 255. */
export function fileName(random: Random, n: number): Buffer {
  const length = Math.floor(random() ** 2 * 240);
  const bytes = Buffer.from(
    Array.from({ length }, () => pick(random, [46, 47, 32, 10, 45, 97, 255, 195, 36, 96, 92, 58, 126, 9])),
  );
  const stem = Buffer.from(bytes.map((byte) => (byte === 47 ? 95 : byte)));
  return Buffer.concat([
    stem.subarray(0, 200),
    Buffer.from(`${n}`),
    Buffer.from(random() < 0.7 ? '.json' : pick(random, ['', '.JSON', '.json~', '.held', '.run'])),
  ]);
}

/** The file `pid` of an attempt: of a stranger that lives, but is not who it says; or damaged. */
export function pidText(random: Random, stranger: { pid: number; line: string }): Buffer {
  const fields = stranger.line.split(' ');
  const at = pick(random, [1, 2, 5]);
  fields[at] = pick(random, ['1', '0', '99999999', '-1', 'x', '', '18446744073709551616']);
  const line = fields.join(' ');
  const chance = random();
  if (chance < 0.3) return Buffer.from(`${line}\n`);
  if (chance < 0.5)
    return Buffer.from(`${line}\nexited ${pick(random, ['0', '1', '256', '-1', '999', 'x', '1e3'])} 1 .\n`);
  if (chance < 0.6)
    return Buffer.from(`${'9'.repeat(Math.floor(random() * 5000))} ${line}\n`.repeat(1 + Math.floor(random() * 20)));
  return raw(`${line}\nexited 0 1 .\n`, random);
}
