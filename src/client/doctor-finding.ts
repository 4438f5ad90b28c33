// What `doctor` has to say of one place: what is odd there, in a sentence, and who mends it how.

/**
 * Who mends it: `doctor` itself, `start` (a daemon does so when it starts, and `doctor --fix` has it done where none
 * serves), `you` (only a person can tell what is meant), or `nobody`: nothing is wrong, but it is worth knowing.
 */
export type Mender = 'doctor' | 'start' | 'you' | 'nobody';

export interface Finding {
  /** A word to catch by: `leftover`, `lost`, `copies`, … */
  kind: string;
  path: string;
  /** What is odd, as a sentence. */
  says: string;
  /** What mends it, or what can be done, as a sentence. */
  would: string;
  by: Mender;
  /** Of those by `doctor`: does it. Harmless if it was mended meanwhile. */
  mend?: () => void;
}

/** What all checks are given. */
export interface Ward {
  /** Milliseconds since 1970. */
  now: number;
  /** Where things are set aside, by the path they had: nothing is removed that may mean something to somebody. */
  setAside: (path: string) => void;
  /** Run directories in the environment of living processes. */
  living: ReadonlySet<string>;
  /** `allowed_owners` names somebody: whose files are run is judged file by file, and pending/ may be open to all. */
  othersMayDrop: boolean;
}

/** How long what carries a dot name may still have a living writer, in ms. */
const ABANDONED_MS = 3_600_000;

/** True if a file or folder of ours under an unfinished name has no living writer any more. */
export function isAbandoned(stat: { mtimeMs: number; nlink: number; isFile: () => boolean }, now: number): boolean {
  return (stat.isFile() && stat.nlink > 1) || now - stat.mtimeMs > ABANDONED_MS;
}

/** Names that our own writers give to what is not finished yet. */
export const UNFINISHED = /^\.(new|submit)-[0-9a-f]{8}-[0-9a-z]+$/;
