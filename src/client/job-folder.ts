// A job that is looked at for long. It is its folder, not its name: once it has ended it may be archived
// meanwhile, and another one have its name.
import { folderIdentity } from '../host/identity.ts';
import { JobLayout, type Layout } from '../protocol/layout.ts';
import { formerJobs } from '../store/archive.ts';

export class JobFolder {
  /** Where it lay when that was last asked. */
  layout: JobLayout;
  private readonly place: Layout;
  private readonly name: string;
  private readonly folder: string | undefined;

  constructor(place: Layout, name: string) {
    this.place = place;
    this.name = name;
    this.layout = place.job(name);
    this.folder = folderIdentity(this.layout.root);
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
    return this.folder !== undefined && folderIdentity(path) === this.folder;
  }
}
