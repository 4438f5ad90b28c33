// Lines over a logarithmic axis as SVG text: legible on light and on dark, each line labelled at its end, no legend.

export interface Series {
  name: string;
  /** y of each x. */
  values: readonly number[];
}

export interface Plot {
  title: string;
  /** A line under the title. */
  subtitle: string;
  xLabel: string;
  yLabel: string;
  /** Positive, ascending. */
  xs: readonly number[];
  series: readonly Series[];
}

const WIDTH = 760;
const HEIGHT = 400;
const LEFT = 64;
const RIGHT = 560;
const TOP = 72;
const BOTTOM = 344;
const STYLE = `
    text { font: 13px system-ui, sans-serif; fill: #24292f }
    .title { font-size: 16px; font-weight: 600 }
    .quiet { fill: #57606a }
    .grid { stroke: #d0d7de }
    .s0 { stroke: #0969da; fill: #0969da } .s1 { stroke: #bc4c00; fill: #bc4c00 } .s2 { stroke: #1a7f37; fill: #1a7f37 }
    path { fill: none !important; stroke-width: 2 }
    text.s0, text.s1, text.s2 { stroke: none }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .quiet { fill: #9198a1 }
      .grid { stroke: #3d444d }
      .s0 { stroke: #58a6ff; fill: #58a6ff } .s1 { stroke: #f0883e; fill: #f0883e } .s2 { stroke: #3fb950; fill: #3fb950 }
    }`;

/** The text of an SVG file. */
export function plotSvg({ title, subtitle, xLabel, yLabel, xs, series }: Plot): string {
  const ticks = ticksUpTo(Math.max(...series.flatMap(({ values }) => values)));
  const top = ticks.at(-1) ?? 1;
  const [first = 1, last = 10] = [xs[0], xs.at(-1)];
  const x = (value: number): number =>
    LEFT + ((Math.log(value) - Math.log(first)) / (Math.log(last) - Math.log(first) || 1)) * (RIGHT - LEFT);
  const y = (value: number): number => BOTTOM - (value / top) * (BOTTOM - TOP);
  const text = (cx: number, cy: number, words: string, more = ''): string =>
    `<text x="${cx.toFixed(1)}" y="${cy.toFixed(1)}"${more}>${escape(words)}</text>`;

  const grid = ticks.flatMap((value) => [
    `<line class="grid" x1="${LEFT}" x2="${RIGHT}" y1="${at(y(value))}" y2="${at(y(value))}"/>`,
    text(LEFT - 8, y(value) + 4, value.toLocaleString('en'), ' class="quiet" text-anchor="end"'),
  ]);
  const names = xs.map((value) =>
    text(x(value), BOTTOM + 20, value.toLocaleString('en'), ' class="quiet" text-anchor="middle"'),
  );
  const labels = apart(series.map(({ values }) => y(values.at(-1) ?? 0)));
  const lines = series.flatMap(({ name, values }, i) => [
    `<path class="s${i}" d="M${values.map((value, j) => at(x(xs[j] ?? first), y(value))).join(' L')}"/>`,
    ...values.map((value, j) => `<circle class="s${i}" cx="${at(x(xs[j] ?? first))}" cy="${at(y(value))}" r="3"/>`),
    text(RIGHT + 12, (labels[i] ?? 0) + 4, name, ` class="s${i}"`),
  ]);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">`,
    `  <title>${escape(title)}</title>`,
    `  <style>${STYLE}\n  </style>`,
    ...[
      text(LEFT, 26, title, ' class="title"'),
      text(LEFT, 46, subtitle, ' class="quiet"'),
      text(LEFT, TOP - 8, yLabel, ' class="quiet"'),
      text((LEFT + RIGHT) / 2, HEIGHT - 12, xLabel, ' class="quiet" text-anchor="middle"'),
      ...grid,
      ...names,
      ...lines,
    ].map((element) => `  ${element}`),
    '</svg>\n',
  ].join('\n');
}

/** From 0 in round steps to the first that is not below `highest`. */
export function ticksUpTo(highest: number): number[] {
  const power = 10 ** Math.floor(Math.log10(highest / 4));
  const step =
    [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((candidate) => candidate * 5 >= highest) ?? highest;
  return Array.from({ length: Math.ceil(highest / step - 1e-9) + 1 }, (_, i) => i * step);
}

/** Moves what would lie on each other apart, downwards, in the order of height. */
function apart(heights: readonly number[]): number[] {
  const moved = [...heights];
  let free = Number.NEGATIVE_INFINITY;
  for (const [, i] of heights.map((height, index) => [height, index] as const).sort(([a], [b]) => a - b)) {
    moved[i] = Math.max(moved[i] ?? 0, free);
    free = (moved[i] ?? 0) + 16;
  }
  return moved;
}

const at = (...values: number[]): string => values.map((value) => value.toFixed(1)).join(' ');
const escape = (words: string): string => words.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
