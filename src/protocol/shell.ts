// Text as a word of a command line that somebody may copy into a shell. It may be the name of another user's file: no more
// comes of it than that word, and a terminal that shows it obeys nothing of it.

/** What a terminal obeys, or takes for the end of a line, and what reorders what is shown. */
export const MISLEADING = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** A word as one would type it, in quotes where a shell would read it otherwise: in `$'…'`, as bash and zsh have it, where single ones do not do. */
export function shellWord(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  if (word.search(MISLEADING) < 0) return `'${word.replaceAll("'", "'\\''")}'`;
  return `$'${word.replaceAll(/['\\]/g, '\\$&').replaceAll(MISLEADING, escaped)}'`;
}

function escaped(character: string): string {
  if (character === '\n') return '\\n';
  return [...new TextEncoder().encode(character)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
}
