// The model of power cuts itself, over changes that fast-check makes up: what no sync, no order and no seed would allow is
// in none of its states.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { generator } from '../../helpers/random.ts';
import { type Entry, type Image, Recording } from './disk.ts';
import type { Op } from './trace.ts';

const ROOT = '/state';
const FOLDERS = ['a', 'b', 'c'];
const BASE: Image = new Map<string, Entry>([
  ...FOLDERS.map((name) => [name, { kind: 'folder' }] as const),
  ['a/old', { kind: 'file', data: Buffer.from('old'), node: 1 }],
]);
/** Of one recording: it grows by powers of two. */
const MOST = 3000;

/** What may be asked for; `which` picks one of the files that are there. */
type Wish =
  | { kind: 'create'; folder: number; text: string }
  | { kind: 'append'; which: number; text: string }
  | { kind: 'rename' | 'link'; which: number; folder: number }
  | { kind: 'unlink' | 'fsync'; which: number }
  | { kind: 'fsync folder'; folder: number }
  | { kind: 'sync' };

const folder = fc.nat(FOLDERS.length - 1);
const which = fc.nat(9);
const text = fc.constantFrom('x', 'yy', 'four');
const wish = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('create' as const), folder, text }) },
  fc.record({ kind: fc.constant('append' as const), which, text }),
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('rename' as const, 'link' as const), which, folder }) },
  fc.record({ kind: fc.constantFrom('unlink' as const, 'fsync' as const), which }),
  fc.record({ kind: fc.constant('fsync folder' as const), folder }),
  fc.record({ kind: fc.constant('sync' as const) }),
);
const wishes = fc.array(wish, { maxLength: 7 });

/** A file system in memory: what wishes come to, as operations, and how it looks after each. */
class Reference {
  readonly ops: Op[] = [];
  /** Path → the file's text, shared by all names of a file. */
  readonly files = new Map<string, { text: string }>([['a/old', { text: 'old' }]]);
  /** Folder → every list of names that it ever had. */
  readonly lists = new Map(FOLDERS.map((name) => [name, new Set<string>()]));
  private made = 0;

  constructor(asked: readonly Wish[]) {
    this.note();
    for (const one of asked) {
      this.take(one);
      this.note();
    }
  }

  private note(): void {
    for (const [name, seen] of this.lists) seen.add(namesIn(this.files.keys(), name));
  }

  private take(one: Wish): void {
    const paths = [...this.files.keys()];
    const path = 'which' in one ? (paths[one.which % Math.max(1, paths.length)] ?? '') : '';
    const file = this.files.get(path);
    const to = 'folder' in one ? `${FOLDERS[one.folder]}/n${++this.made}` : '';
    if (one.kind === 'sync') return this.tell({ op: 'sync-begin', token: 't' }, { op: 'sync-end', token: 't' });
    if (one.kind === 'fsync folder') return this.tell({ op: 'fsync', path: at(FOLDERS[one.folder] as string) });
    if (one.kind === 'create') {
      this.files.set(to, { text: one.text });
      return this.tell({ op: 'create', path: at(to) }, { op: 'write', path: at(to), data: base64(one.text) });
    }
    if (file === undefined) return;
    if (one.kind === 'append') {
      file.text += one.text;
      return this.tell({ op: 'write', path: at(path), data: base64(one.text) });
    }
    if (one.kind === 'link' || one.kind === 'rename') this.files.set(to, file);
    if (one.kind === 'unlink' || one.kind === 'rename') this.files.delete(path);
    this.tell({ op: one.kind, path: at(path), ...(to !== '' && { to: at(to) }) });
  }

  private tell(...ops: Op[]): void {
    this.ops.push(...ops);
  }

  /** As the model says it. */
  get state(): string {
    return stateOf([...this.files].map(([path, { text: all }]) => [path, all]));
  }
}

function at(path: string): string {
  return `${ROOT}/${path}`;
}

function base64(words: string): string {
  return Buffer.from(words).toString('base64');
}

function namesIn(paths: Iterable<string>, folderName: string): string {
  return [...paths]
    .filter((path) => path.startsWith(`${folderName}/`))
    .sort()
    .join();
}

function stateOf(files: [string, string][]): string {
  return JSON.stringify(files.sort(([one], [other]) => (one < other ? -1 : 1)));
}

function filesOf(image: Image): [string, string][] {
  return [...image].flatMap(([path, entry]) => (entry.kind === 'file' ? [[path, entry.data.toString()]] : []));
}

/** Every state after all operations; undefined: too many. */
function statesOf(ops: readonly Op[]): Set<string> | undefined {
  const recording = new Recording(ROOT, BASE, ops);
  const cuts = recording.every(recording.steps.length, MOST);
  return cuts && new Set(cuts.map(({ image }) => stateOf(filesOf(image))));
}

const withoutSyncs = (ops: readonly Op[]) => ops.filter(({ op }) => !/sync/.test(op));

describe('the states that a power cut can leave', () => {
  it('are one, that which was there, when all of it was synced', () => {
    fc.assert(
      fc.property(wishes, (asked) => {
        const { ops, state } = new Reference([...asked, { kind: 'sync' }]);
        assert.deepEqual(statesOf(ops), new Set([state]));
      }),
    );
  });

  it('have what was there, too', () => {
    fc.assert(
      fc.property(wishes, (asked) => {
        const { ops, state } = new Reference(asked);
        assert.ok(statesOf(ops)?.has(state) ?? true);
      }),
    );
  });

  it('keep what a sync has put on the disk, whatever is done elsewhere after it', () => {
    fc.assert(
      fc.property(wishes, wishes, (asked, later) => {
        const before = new Reference([...asked, { kind: 'sync' }]);
        const all = new Reference([...asked, { kind: 'sync' }, ...later]);
        const kept = [...before.files].filter(([path, { text: all1 }]) => all.files.get(path)?.text === all1);
        for (const state of statesOf(all.ops) ?? []) {
          const files = new Map(JSON.parse(state) as [string, string][]);
          for (const [path, { text: words }] of kept) assert.equal(files.get(path), words);
        }
      }),
    );
  });

  it('show each folder as it once was: its changes come to the disk in their order', () => {
    fc.assert(
      fc.property(wishes, (asked) => {
        const { ops, lists } = new Reference(asked);
        for (const state of statesOf(ops) ?? []) {
          const paths = (JSON.parse(state) as [string, string][]).map(([path]) => path);
          for (const [name, seen] of lists)
            assert.ok(seen.has(namesIn(paths, name)), `${name}: ${namesIn(paths, name)}`);
        }
      }),
    );
  });

  it('never lose a file that had a name all the time: a rename between folders is there whole or not at all', () => {
    fc.assert(
      fc.property(fc.array(folder, { maxLength: 6 }), (folders) => {
        const moves = folders.map((to): Wish => ({ kind: 'rename', which: 0, folder: to }));
        for (const state of statesOf(new Reference(moves).ops) ?? [])
          assert.equal((JSON.parse(state) as [string, string][]).filter(([, words]) => words === 'old').length, 1);
      }),
    );
  });

  it('are the most where nothing was synced', () => {
    fc.assert(
      fc.property(wishes, (asked) => {
        const { ops } = new Reference(asked);
        const most = statesOf(withoutSyncs(ops));
        for (const state of statesOf(ops) ?? []) assert.ok(most?.has(state) ?? true, state);
      }),
    );
  });

  it('are all that a sample draws from, and the same for the same seed', () => {
    fc.assert(
      fc.property(wishes, fc.nat(), (asked, seed) => {
        const { ops } = new Reference(asked);
        const all = statesOf(ops);
        const draw = () => {
          const recording = new Recording(ROOT, BASE, ops);
          const random = generator(seed);
          return Array.from({ length: 5 }, () =>
            stateOf(filesOf(recording.sample(recording.steps.length, random).image)),
          );
        };
        const drawn = draw();
        for (const state of drawn) assert.ok(all?.has(state) ?? true, state);
        assert.deepEqual(draw(), drawn);
      }),
    );
  });

  it('of a file whose name is synced and whose text is not may be empty, short, zeros or whole, and nothing else', () => {
    const { ops } = new Reference([
      { kind: 'create', folder: 1, text: 'four' },
      { kind: 'fsync folder', folder: 1 },
    ]);
    const texts = [...(statesOf(ops) ?? [])].map((state) =>
      new Map(JSON.parse(state) as [string, string][]).get('b/n1'),
    );
    assert.deepEqual(new Set(texts), new Set(['', '\0\0\0\0', 'fo', 'four']));
  });
});
