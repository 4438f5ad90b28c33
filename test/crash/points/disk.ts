// What a power cut leaves, by a model of a journalling file system: names change in folders, and a change is on the disk
// only with all earlier changes of the folders and of the file it concerns (an inode counts its names, so none is taken
// away before another is given); changes of other files in other folders may be there or not. The data of a file is there as far as it was synced, and beyond that whole, in part, not at all, or as zeros. A sync puts on the disk
// what PROTOCOL says: of a file its data, of a folder its names, of the file system all that was done before it began.
import type { Op } from './trace.ts';

type Id = number;

interface Node {
  kind: 'folder' | 'file' | 'link';
  /** Where a symbolic link points. */
  target?: string;
}

/** A change of names. */
interface Naming {
  /** The folders, and what is named: whose order it belongs to. */
  concerns: readonly Id[];
  /** Taken away, then given. */
  removed?: { folder: Id; name: string };
  added?: { folder: Id; name: string; node: Id };
  /** The last change before it of each of these: indexes. */
  after: readonly number[];
}

interface Writing {
  node: Id;
  data: Buffer;
  /** Nothing of what was there before is left. */
  truncates?: boolean;
}

type Step =
  | { kind: 'name'; naming: number; op: Op }
  | { kind: 'write'; writing: number; op: Op }
  | { kind: 'sync'; names: (index: number) => boolean; data: (index: number) => boolean; op: Op }
  | { kind: 'other'; op: Op };

export type Entry = { kind: 'folder' } | { kind: 'link'; target: string } | { kind: 'file'; data: Buffer; node: Id };

/** A state directory as it may lie there: relative path → what is there, folders before what is in them. */
export type Image = Map<string, Entry>;

export interface Cut {
  /** So many steps had been made, and this was the last. */
  step: number;
  last: Op | undefined;
  image: Image;
  /** What had happened that no disk of ours holds: hand-overs, ends, acknowledgements. */
  before: readonly Op[];
}

const ROOT: Id = 0;

/** The recorded operations, as changes of inodes. */
export class Recording {
  readonly steps: Step[] = [];
  private readonly nodes: Node[] = [{ kind: 'folder' }];
  private readonly namings: Naming[] = [];
  private readonly writings: Writing[] = [];
  /** What is there now: folder → name → node. */
  private readonly names = new Map<Id, Map<string, Id>>([[ROOT, new Map()]]);
  /** Names that were taken away. */
  private readonly gone = new Set<string>();
  private readonly lastOf = new Map<Id, number>();
  private readonly syncs = new Map<string, { names: number; data: number }>();
  private readonly root: string;
  /** So many changes made what lay there before. */
  private readonly base: { names: number; data: number };

  /** `base`: what lay there and was on the disk long before. */
  constructor(root: string, base: Image, ops: readonly Op[]) {
    this.root = root;
    for (const [path, entry] of base) this.place(path, entry);
    this.base = { names: this.namings.length, data: this.writings.length };
    this.steps.length = 0;
    for (const op of ops) this.take(op);
  }

  private place(path: string, entry: Entry): void {
    const op: Op = { op: 'create', path: `${this.root}/${path}` };
    if (entry.kind === 'folder') this.add(op, this.make({ kind: 'folder' }));
    else if (entry.kind === 'link') this.add(op, this.make({ kind: 'link', target: entry.target }));
    else {
      this.add(op, this.make({ kind: 'file' }));
      this.write(op, entry.data);
    }
  }

  private take(op: Op): void {
    switch (op.op) {
      case 'create':
        return this.add(op, this.make({ kind: 'file' }));
      case 'truncate':
        return this.write(op, Buffer.alloc(0), true);
      case 'write':
        return this.write(op, Buffer.from(op.data ?? '', 'base64'));
      case 'mkdir':
        return this.add(op, this.make({ kind: 'folder' }));
      case 'symlink':
        return this.add(op, this.make({ kind: 'link', target: op.to ?? '' }));
      case 'link':
        return this.add({ ...op, path: op.to }, this.known(op));
      case 'unlink':
      case 'rmdir':
        return this.remove(op);
      case 'rename':
        return this.rename(op);
      case 'fsync':
        return this.sync(op);
      case 'sync-begin':
        this.syncs.set(op.token ?? '', { names: this.namings.length, data: this.writings.length });
        return;
      case 'sync-end': {
        const begun = this.syncs.get(op.token ?? '');
        if (begun === undefined) return;
        this.steps.push({ kind: 'sync', names: (i) => i < begun.names, data: (i) => i < begun.data, op });
        return;
      }
      case 'chmod':
      case 'touch':
      case 'failed':
        return;
      default:
        this.steps.push({ kind: 'other', op });
    }
  }

  private make(node: Node): Id {
    const id = this.nodes.push(node) - 1;
    if (node.kind === 'folder') this.names.set(id, new Map());
    return id;
  }

  /** The folder and the name that a path says, now. */
  private where(path: string): { folder: Id; name: string } {
    const parts = path.slice(this.root.length + 1).split('/');
    const name = parts.pop() as string;
    let folder = ROOT;
    for (const part of parts) {
      const next = this.names.get(folder)?.get(part);
      if (next === undefined) throw new Error(`${path}: the recording knows no folder ${part}`);
      folder = next;
    }
    return { folder, name };
  }

  private at(path: string): Id | undefined {
    if (path === this.root) return ROOT;
    const { folder, name } = this.where(path);
    return this.names.get(folder)?.get(name);
  }

  /** What has a name; if nobody who is traced gave it that, it was made a moment before. */
  private known(op: Op): Id {
    const path = op.path as string;
    const there = this.at(path);
    if (there !== undefined) return there;
    if (op.data === undefined) throw new Error(`${path}: the recording does not know where it comes from`);
    const node = this.make({ kind: 'file' });
    this.add({ op: 'create', path }, node);
    this.write({ op: 'write', path }, Buffer.from(op.data, 'base64'));
    return node;
  }

  private name(op: Op, change: Omit<Naming, 'after'>): void {
    const index = this.namings.length;
    const after = change.concerns.flatMap((id) => this.lastOf.get(id) ?? []);
    this.namings.push({ ...change, after: [...new Set(after)] });
    for (const id of change.concerns) this.lastOf.set(id, index);
    this.steps.push({ kind: 'name', naming: index, op });
  }

  private add(op: Op, node: Id): void {
    const { folder, name } = this.where(op.path as string);
    this.names.get(folder)?.set(name, node);
    this.name(op, { concerns: [folder, node], added: { folder, name, node } });
  }

  private remove(op: Op): void {
    const { folder, name } = this.where(op.path as string);
    const node = this.known({ data: '', ...op });
    this.names.get(folder)?.delete(name);
    this.gone.add(op.path as string);
    this.name(op, { concerns: [folder, node], removed: { folder, name } });
  }

  private rename(op: Op): void {
    const node = this.known(op);
    const removed = this.where(op.path as string);
    const added = { ...this.where(op.to as string), node };
    const replaced = this.names.get(added.folder)?.get(added.name);
    this.names.get(removed.folder)?.delete(removed.name);
    this.gone.add(op.path as string);
    this.names.get(added.folder)?.set(added.name, node);
    const concerns = [removed.folder, added.folder, node, ...(replaced === undefined ? [] : [replaced])];
    this.name(op, { concerns: [...new Set(concerns)], removed, added });
  }

  private write(op: Op, data: Buffer, truncates = false): void {
    const node = this.at(op.path as string);
    if (node === undefined) {
      if (this.gone.has(op.path as string)) return; // written to after its name was gone
      throw new Error(`${op.path}: it is written to, and the recording does not know where it comes from`);
    }
    this.steps.push({ kind: 'write', writing: this.writings.push({ node, data, truncates }) - 1, op });
  }

  private sync(op: Op): void {
    const node = this.at(op.path as string);
    if (node === undefined) return;
    const [names, data] = [this.namings.length, this.writings.length];
    const isFolder = this.nodes[node]?.kind === 'folder';
    this.steps.push({
      kind: 'sync',
      names: (i) => isFolder && i < names && this.namings[i]?.concerns.includes(node) === true,
      data: (i) => !isFolder && i < data && this.writings[i]?.node === node,
      op,
    });
  }

  /** What is on the disk for certain, and what had been done, after so many steps. */
  private certain(step: number): {
    names: Set<number>;
    data: Set<number>;
    doneNames: number;
    doneData: number;
    before: Op[];
  } {
    const names = new Set(Array.from({ length: this.base.names }, (_, i) => i));
    const data = new Set(Array.from({ length: this.base.data }, (_, i) => i));
    const before: Op[] = [];
    let [doneNames, doneData] = [this.base.names, this.base.data];
    for (const one of this.steps.slice(0, step)) {
      if (one.kind === 'name') doneNames = one.naming + 1;
      else if (one.kind === 'write') doneData = one.writing + 1;
      else if (one.kind === 'other') before.push(one.op);
      else {
        for (let i = 0; i < doneNames; i++) if (one.names(i)) this.withAllBefore(i, names);
        for (let i = 0; i < doneData; i++) if (one.data(i)) data.add(i);
      }
    }
    return { names, data, doneNames, doneData, before };
  }

  private withAllBefore(index: number, into: Set<number>): void {
    if (into.has(index)) return;
    into.add(index);
    for (const earlier of this.namings[index]?.after ?? []) this.withAllBefore(earlier, into);
  }

  /** One state that a power cut after `step` steps can leave; `random` decides what of the uncertain is there. */
  sample(step: number, random: () => number): Cut {
    const { names, data, doneNames, doneData, before } = this.certain(step);
    const there = new Set(names);
    const bias = random(); // from almost nothing to almost all
    for (let i = 0; i < doneNames; i++) {
      const mayBe = this.namings[i]?.after.every((earlier) => there.has(earlier)) ?? false;
      if (!there.has(i) && mayBe && random() < 0.5 + bias / 2) there.add(i);
    }
    const choices = new Map<Id, number>();
    const choose = (node: Id, options: number): number => {
      if (!choices.has(node)) choices.set(node, Math.floor(random() * options));
      return choices.get(node) as number;
    };
    return { step, last: this.steps[step - 1]?.op, image: this.image(there, data, doneData, choose), before };
  }

  /** Every state that a cut after `step` steps can leave, as long as `most` are not passed: then undefined. */
  every(step: number, most: number): Cut[] | undefined {
    const { names, data, doneNames, doneData, before } = this.certain(step);
    const sets: Set<number>[] = [];
    const grow = (index: number, there: Set<number>): boolean => {
      if (sets.length > most) return false;
      if (index === doneNames) return sets.push(new Set(there)) <= most;
      if (there.has(index)) return grow(index + 1, there);
      const mayBe = this.namings[index]?.after.every((earlier) => there.has(earlier)) ?? false;
      if (mayBe) {
        there.add(index);
        if (!grow(index + 1, there)) return false;
        there.delete(index);
      }
      return grow(index + 1, there);
    };
    if (!grow(0, new Set(names))) return undefined;
    const cuts: Cut[] = [];
    for (const there of sets) {
      // An odometer over the choices for each file that is seen and not synced.
      const digits: { node: Id; at: number; options: number }[] = [];
      for (let more = true; more; ) {
        const choose = (node: Id, options: number): number => {
          let digit = digits.find((one) => one.node === node);
          if (digit === undefined) digits.push((digit = { node, at: 0, options }));
          return digit.at;
        };
        cuts.push({ step, last: this.steps[step - 1]?.op, image: this.image(there, data, doneData, choose), before });
        if (cuts.length > most) return undefined;
        more = false;
        for (const digit of digits) {
          digit.at += 1;
          if (digit.at < digit.options) {
            more = true;
            break;
          }
          digit.at = 0;
        }
      }
    }
    return cuts;
  }

  private image(
    there: ReadonlySet<number>,
    synced: ReadonlySet<number>,
    done: number,
    choose: (node: Id, options: number) => number,
  ): Image {
    const names = new Map<Id, Map<string, Id>>();
    for (const index of [...there].sort((a, b) => a - b)) {
      const { removed, added } = this.namings[index] as Naming;
      if (removed !== undefined) names.get(removed.folder)?.delete(removed.name);
      if (added === undefined) continue;
      if (!names.has(added.folder)) names.set(added.folder, new Map());
      names.get(added.folder)?.set(added.name, added.node);
    }
    const contents = new Map<Id, Buffer>();
    const image: Image = new Map();
    const list = (folder: Id, prefix: string): void => {
      for (const [name, id] of [...(names.get(folder) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1))) {
        const path = prefix === '' ? name : `${prefix}/${name}`;
        const node = this.nodes[id] as Node;
        if (node.kind === 'link') image.set(path, { kind: 'link', target: node.target ?? '' });
        else if (node.kind === 'file') {
          if (!contents.has(id)) contents.set(id, this.content(id, synced, done, choose));
          image.set(path, { kind: 'file', data: contents.get(id) as Buffer, node: id });
        } else {
          image.set(path, { kind: 'folder' });
          list(id, path);
        }
      }
    };
    list(ROOT, '');
    return image;
  }

  /** As far as it was synced, and then: all, or up to some write, half of it, nothing more, or zeros. */
  private content(
    node: Id,
    synced: ReadonlySet<number>,
    done: number,
    choose: (node: Id, options: number) => number,
  ): Buffer {
    const writes: { data: Buffer; truncates: boolean; isSynced: boolean }[] = [];
    for (let i = 0; i < done; i++) {
      const { node: whose, data, truncates = false } = this.writings[i] as Writing;
      if (whose === node) writes.push({ data, truncates, isSynced: synced.has(i) });
    }
    const after = (count: number): Buffer => {
      let bytes = Buffer.alloc(0);
      for (const { data, truncates } of writes.slice(0, count))
        bytes = truncates ? Buffer.alloc(0) : Buffer.concat([bytes, data]);
      return bytes;
    };
    const certain = writes.reduce((most, { isSynced }, index) => (isSynced ? index + 1 : most), 0);
    const options = [after(writes.length)];
    const add = (bytes: Buffer): void => {
      if (!options.some((one) => one.equals(bytes))) options.push(bytes);
    };
    const whole = after(writes.length).length;
    for (let count = certain; count < writes.length; count++) {
      const some = after(count);
      const next = writes[count] as (typeof writes)[number];
      add(some);
      if (!next.truncates) add(Buffer.concat([some, next.data.subarray(0, next.data.length >> 1)]));
      add(Buffer.concat([some, Buffer.alloc(Math.max(0, whole - some.length))]));
    }
    return options[choose(node, options.length)] as Buffer;
  }
}
