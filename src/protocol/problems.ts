// Problems of a file as its owner reads them: `x.json:3:12: retry.max: expected a whole number ≥ 0, got "three"`.
// Loaded only to show an error, since it looks at the text again to find lines and columns.
import { findJsonError, findRepeatedKey, lineAndColumn } from './json.ts';
import { formatProblem, type Problem } from './validation.ts';
import { placeName, readText } from './yaml.ts';

export { formatProblem, type Problem } from './validation.ts';

/** One line for each problem, with its place in `text`, which is JSON or YAML. */
export function describeProblems(text: string, fileName: string, problems: readonly Problem[]): string[] {
  const read = readText(text, fileName);
  return read.ok ? read.describe(problems) : problems.map((problem) => `${fileName}: ${formatProblem(problem)}`);
}

/** Longer texts are not looked at again for places by whoever must not be held up. */
const PLACED_UP_TO = 100_000;

/** As `describeProblems`, in a loop that others wait for: of a long text, without its places. */
export function describeBriefly(text: string, fileName: string, problems: readonly Problem[]): string[] {
  if (text.length <= PLACED_UP_TO) return describeProblems(text, fileName, problems);
  return problems.map((problem) => `${fileName}: ${formatProblem(problem)}`);
}

/** As `describeJsonError`, in a loop that others wait for: of a long text, in the words of `parseJson`. */
export function describeJsonErrorBriefly(text: string, fileName: string, message: string): string {
  return text.length <= PLACED_UP_TO
    ? describeJsonError(text, fileName, message)
    : `${fileName}: it does not read as JSON: ${message}`;
}

/** Why `text` does not read as JSON, on one line with its place. `error` is what `parseJson` threw, for what only it knows. */
export function describeJsonError(text: string, fileName: string, error?: unknown): string {
  const found = findJsonError(text) ?? findRepeatedKey(text);
  if (found !== undefined) return `${placeName(fileName, lineAndColumn(text, found.offset))}: ${found.message}`;
  return `${fileName}: ${error instanceof Error ? error.message : 'is no JSON'}`;
}
