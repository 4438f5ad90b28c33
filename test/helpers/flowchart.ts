// A strict reader of the part of Mermaid's documented flowchart syntax that is used here: anything else is an error. Names
// of characters in labels (`#35;`) are read back, so that what a reader would see can be compared with what was meant.

export interface Flowchart {
  /** Key → its label's lines and its class. */
  nodes: Map<string, { lines: string[]; className: string | undefined }>;
  edges: { from: string; to: string; dotted: boolean; text: string | undefined }[];
}

/** Words that mean something to Mermaid wherever a key could stand. */
const RESERVED = /^(end|graph|flowchart|subgraph|style|linkStyle|classDef|class|click|default|direction|href|call)$/i;
const KEY = String.raw`([A-Za-z][A-Za-z0-9]*)`;
const NODE = new RegExp(String.raw`^ {2}${KEY}\["([^"]+)"\](?::::([A-Za-z]+))?$`);
const EDGE = new RegExp(String.raw`^ {2}${KEY} (-->|-\.->)(?:\|([A-Za-z ]+)\|)? ${KEY}$`);
const CLASS = /^ {2}classDef ([A-Za-z]+) [a-z-]+:[#a-z0-9 ]+(?:,[a-z-]+:[#a-z0-9 ]+)*$/;

export function readFlowchart(text: string): Flowchart {
  const [first, ...lines] = text.trimEnd().split('\n');
  if (!/^flowchart (TD|TB|LR|RL|BT)$/.test(first ?? '')) throw new Error(`no flowchart: ${first}`);
  const nodes: Flowchart['nodes'] = new Map();
  const edges: Flowchart['edges'] = [];
  const classes = new Set<string>();
  for (const line of lines) {
    const [, key, label, className] = NODE.exec(line) ?? [];
    const [, from, arrow, words, to] = EDGE.exec(line) ?? [];
    const [, defined] = CLASS.exec(line) ?? [];
    if (key !== undefined && label !== undefined) {
      if (RESERVED.test(key) || nodes.has(key)) throw new Error(`a key that cannot be used: ${line}`);
      nodes.set(key, { lines: label.split('<br/>').map(readLabel), className });
    } else if (from !== undefined && to !== undefined) {
      edges.push({ from, to, dotted: arrow === '-.->', text: words });
    } else if (defined !== undefined) classes.add(defined);
    else throw new Error(`no line of a flowchart: ${line}`);
  }
  for (const { from, to } of edges)
    if (!nodes.has(from) || !nodes.has(to)) throw new Error(`an arrow without an end: ${from} ${to}`);
  for (const { className } of nodes.values())
    if (className !== undefined && !classes.has(className)) throw new Error(`no class ${className}`);
  return { nodes, edges };
}

function readLabel(label: string): string {
  const plain = label.replaceAll(/#(\d+);/g, (_, code: string) => `\u0000${code};`);
  if (/[#<>&`;{}[\]()|\\]/.test(plain.replaceAll(/\u0000\d+;/g, '')))
    throw new Error(`a label with marks in it: ${label}`);
  return plain.replaceAll(/\u0000(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)));
}
