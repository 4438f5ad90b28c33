// The only place that builds a path of a state directory. Pure text: nothing here looks at a disk. Roots are absolute and
// names hold no slash, so paths are put together without being parsed again: this is done some fifty times a task.
import { runName } from './names.ts';
import type { State } from './states.ts';

/** The format that VERSION names; a directory with a newer one is refused. */
export const FORMAT_VERSION = 1;

/** Paths of one attempt's run directory. */
export class RunLayout {
  readonly root: string;
  constructor(root: string) {
    this.root = root;
  }
  get script(): string {
    return `${this.root}/run`;
  }
  get pid(): string {
    return `${this.root}/pid`;
  }
  get output(): string {
    return `${this.root}/output.log`;
  }
  /** The attempt's own drop folder. */
  get pending(): string {
    return `${this.root}/pending`;
  }
  /** What `pending` is called once the attempt has ended and nothing more may be dropped. */
  get closed(): string {
    return `${this.root}/pending.closed`;
  }
  get children(): string {
    return `${this.root}/children`;
  }
  /** The ids that it has queued. */
  get queued(): string {
    return `${this.root}/queued`;
  }
  get ending(): string {
    return `${this.root}/ending`;
  }
  get result(): string {
    return `${this.root}/result.json`;
  }
  get stdin(): string {
    return `${this.root}/stdin`;
  }
}

/** Paths of one job's folder. */
export class JobLayout {
  readonly root: string;
  constructor(root: string) {
    this.root = root;
  }
  get settings(): string {
    return `${this.root}/job.json`;
  }
  get summary(): string {
    return `${this.root}/state.json`;
  }
  /** When the first task of the present run began, where the job has a `job_timeout`. */
  get started(): string {
    return `${this.root}/started`;
  }
  get paused(): string {
    return `${this.root}/paused`;
  }
  get parallel(): string {
    return `${this.root}/parallel`;
  }
  get runs(): string {
    return `${this.root}/runs`;
  }
  folder(state: State): string {
    return `${this.root}/${state}`;
  }
  task(state: State, id: string): string {
    return `${this.root}/${state}/${id}.json`;
  }
  /** A waiting task that is held back: a name that is no task's. */
  held(id: string): string {
    return `${this.root}/pending/${id}.held`;
  }
  /** The link to the live attempt: the claim to the task. */
  claim(id: string): string {
    return `${this.root}/running/${id}.run`;
  }
  /** Which other task's end is why a task lies in skipped/, or in cancelled/ where the job stops at a failure. */
  reason(id: string, state: 'skipped' | 'cancelled' = 'skipped'): string {
    return `${this.root}/${state}/${id}.reason.txt`;
  }
  /** Why a drop lies in rejected/, beside it. `name` is the file's name without `.json`. */
  rejection(name: string): string {
    return `${this.root}/rejected/${name}.error.txt`;
  }
  run(id: string, attempt: number): RunLayout {
    return new RunLayout(`${this.root}/runs/${runName(id, attempt)}`);
  }
}

/** Paths of a state directory. */
export class Layout {
  readonly root: string;
  constructor(root: string) {
    this.root = root;
  }
  get version(): string {
    return `${this.root}/VERSION`;
  }
  get gitignore(): string {
    return `${this.root}/.gitignore`;
  }
  get config(): string {
    return `${this.root}/config.yaml`;
  }
  get daemon(): string {
    return `${this.root}/daemon.json`;
  }
  get lock(): string {
    return `${this.root}/daemon.lock`;
  }
  /** How the next SIGTERM is meant (`drain`, `kill`); absent: leave running tasks running. */
  get stopRequest(): string {
    return `${this.root}/stop`;
  }
  get log(): string {
    return `${this.root}/daemon.log`;
  }
  get events(): string {
    return `${this.root}/events.ndjson`;
  }
  get paused(): string {
    return `${this.root}/paused`;
  }
  get parallel(): string {
    return `${this.root}/parallel`;
  }
  get env(): string {
    return `${this.root}/env`;
  }
  environment(sha256: string): string {
    return `${this.root}/env/${sha256}`;
  }
  get archive(): string {
    return `${this.root}/archive`;
  }
  /** What `doctor --fix` has set aside, by time and by the path it had. */
  get aside(): string {
    return `${this.root}/aside`;
  }
  get jobs(): string {
    return `${this.root}/jobs`;
  }
  job(name: string): JobLayout {
    return new JobLayout(`${this.root}/jobs/${name}`);
  }
}
