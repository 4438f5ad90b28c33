// The table: what, what it must reach, what was measured with its spread, and the verdict. For a terminal and as Markdown
// the same rows; --json gives every value of every round.
import { judge, type Must, spreadOf } from './measure.ts';
import type { Line } from './row.ts';

export interface Judged {
  what: string;
  unit: string;
  must: Must | null;
  values: number[];
  median: number | null;
  lowest: number | null;
  highest: number | null;
  /** As `judge` gives it, or why nothing was judged. */
  verdict: string;
  detail: string | null;
}

/** `small`: the sizes were those to try things with, which say nothing about what must be reached. */
export function judgeLine(line: Line, small: boolean): Judged {
  const { what, unit, must = null } = line;
  if ('absent' in line)
    return {
      what,
      unit,
      must,
      values: [],
      median: null,
      lowest: null,
      highest: null,
      verdict: line.absent,
      detail: null,
    };
  const verdict = must === null ? 'not asked' : small ? 'sizes too small to judge' : judge(line.values, must);
  return { what, unit, must, values: line.values, ...spreadOf(line.values), verdict, detail: line.detail ?? null };
}

const HEAD = ['what', 'must', 'measured', 'lowest to highest', 'verdict', 'from'];

const formatMust = ({ must, unit }: Judged): string =>
  must === null ? '' : 'atLeast' in must ? `≥ ${must.atLeast} ${unit}` : `≤ ${must.atMost} ${unit}`;

/** Three digits, which is more than the machine is good for. */
function format(value: number, unit: string): string {
  const size = Math.abs(value);
  return `${value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2)} ${unit}`;
}

function cells(judged: Judged): string[] {
  const { what, unit, median, lowest, highest, verdict, detail } = judged;
  const shown = median === null ? '' : format(median, unit);
  const spread = lowest === null || highest === null ? '' : `${format(lowest, unit)} to ${format(highest, unit)}`;
  return [what, formatMust(judged), shown, spread, verdict, detail ?? ''];
}

export function textTable(lines: readonly Judged[]): string {
  const rows = [HEAD, ...lines.map(cells)].map((row) => row.map((cell) => cell.replaceAll('`', '')));
  const widths = HEAD.map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function markdownTable(lines: readonly Judged[]): string {
  const rows = [HEAD, HEAD.map(() => '---'), ...lines.map(cells)];
  return rows.map((row) => `| ${row.join(' | ')} |`).join('\n');
}
