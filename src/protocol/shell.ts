// Text as a word of a command line that somebody may copy into a shell.

/** A word as one would type it, in single quotes where a shell would read it otherwise. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
