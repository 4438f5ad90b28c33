// A job that is looked at for long. It is its folder's inode, not its name: once it has ended it may be archived
// meanwhile, and another one have its name.
import { statSync } from 'node:fs';
import { unless } from '../errors.ts';
import { JobLayout, type Layout } from '../protocol/layout.ts';
import { formerJobs } from '../store/archive.ts';

export class JobFolder {
  /** Where it lay when that was last asked. */
  layout: JobLayout;
  private readonly place: Layout;
  private readonly name: string;
  private readonly inode: string | undefined;

  constructor(place: Layout, name: string) {
    this.place = place;
    this.name = name;
    this.layout = place.job(name);
    this.inode = inodeOf(this.layout.root);
  }

  /** Finds it where it lies now. False: it was removed. */
  isThere(): boolean {
    if (this.isAt(this.layout.root)) return true;
    // On its way to archive/ it may slip past one reading of folders.
    const path = this.former() ?? this.former();
    if (path !== undefined) this.layout = new JobLayout(path);
    return path !== undefined;
  }

  private former(): string | undefined {
    return formerJobs(this.place, this.name).find((path) => this.isAt(path));
  }

  private isAt(path: string): boolean {
    return this.inode !== undefined && inodeOf(path) === this.inode;
  }
}

function inodeOf(path: string): string | undefined {
  const stat = unless('ENOTDIR', () => statSync(path, { bigint: true, throwIfNoEntry: false }));
  return stat && `${stat.dev}:${stat.ino}`;
}
