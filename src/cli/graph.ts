// `spoold graph JOB|FILE`: what depends on what, and who queued whom, as a tree, for Mermaid or for Graphviz.
import { existsSync } from 'node:fs';
import { Option } from 'clipanion';
import type { TaskGraph } from '../client/graph.ts';
import { ReportingCommand } from './base.ts';
import { print, printJson, usageError } from './print.ts';

const FORMATS = ['tree', 'mermaid', 'dot'] as const;
type Format = (typeof FORMATS)[number];

export class GraphCommand extends ReportingCommand {
  static override paths = [['graph']];
  static override usage = ReportingCommand.Usage({
    description: 'Show the graph of a job, with the states of its tasks, or of a workflow file.',
    details: `
      An arrow, or a branch of the tree, leads from a task to what depends on it; a dotted one to what it queued, or to what
      its for_each makes. Many children alike are drawn as one.
    `,
    examples: [
      ['A job as a tree', '$0 graph etl'],
      ['A workflow for a README', '$0 graph flow.yaml --format mermaid'],
      ['A picture', '$0 graph etl --format dot | dot -Tsvg > etl.svg'],
    ],
  });

  format = Option.String('-f,--format', 'tree', { description: 'tree, mermaid or dot' });
  all = Option.Boolean('--all', false, { description: 'Draw every task, also where many are alike' });
  vars = Option.Array('--var', [], { description: 'NAME=VALUE of a workflow; may be repeated' });
  what = Option.String({ name: 'JOB|FILE' });

  override async execute(): Promise<void> {
    const format = FORMATS.find((one) => one === this.format);
    if (format === undefined)
      throw usageError(`There is no format ${this.format}.`, `There are ${FORMATS.join(', ')}.`);
    const graph = await this.graph();
    if (this.json) printJson(graph);
    else print(await this.text(graph, format));
  }

  private async graph(): Promise<TaskGraph> {
    const { graphOfJob, graphOfWorkflow } = await import('../client/graph.ts');
    if (/\.(ya?ml|json)$/.test(this.what) || (this.what.includes('/') && existsSync(this.what))) {
      const [{ nameLike, readWorkflow }, { givenVariables }] = await Promise.all([
        import('../client/workflow.ts'),
        import('./task-options.ts'),
      ]);
      const workflow = readWorkflow(this.what, await givenVariables(this.vars));
      return graphOfWorkflow(workflow, nameLike(workflow, this.what));
    }
    if (this.vars.length > 0) throw usageError('--var is for a workflow file.');
    const [{ resolveAddress }, { openDirectory }] = await Promise.all([
      import('./base.ts'),
      import('../client/directory.ts'),
    ]);
    const address = resolveAddress(undefined, this.what);
    if (address === undefined || address.task !== undefined)
      throw usageError(`${this.what} is a task; graph needs a job or a workflow file.`, `spoold graph ${address?.job}`);
    return graphOfJob(openDirectory(this.dir), address.job);
  }

  private async text(graph: TaskGraph, format: Format): Promise<string> {
    const { drawn } = await import('./drawing.ts');
    const nodes = drawn(graph, this.all);
    if (format === 'mermaid') return (await import('./graph-mermaid.ts')).mermaidText(nodes);
    if (format === 'dot') return (await import('./graph-dot.ts')).dotText(graph.job, nodes);
    return (await import('./graph-tree.ts')).treeText(graph, nodes);
  }
}
