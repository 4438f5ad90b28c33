// `spoold doctor [--fix]`: what is odd in a state directory, and the mending of it.
import { setTimeout as pause } from 'node:timers/promises';
import { Option } from 'clipanion';
import type { Diagnosis, Mended, Mender } from '../client/doctor.ts';
import { ReportingCommand } from './base.ts';
import { note, print, printJson, styled } from './print.ts';
import { count, thousands } from './words.ts';

export class DoctorCommand extends ReportingCommand {
  static override paths = [['doctor']];
  static override usage = ReportingCommand.Usage({
    description: 'Look over a state directory, running or not: what is odd, and what would mend it.',
    details: `
      Looking changes nothing. With --fix: what a daemon mends at its start is mended by one that starts no task and ends at
      once; what killed writers left is removed; what is in the way is set aside in aside/. Nothing is lost, and what only
      you can tell is left to you. The status is 1 if anything is left to be mended.
    `,
    examples: [
      ['Look', '$0 doctor'],
      ['Mend what is safe to mend', '$0 doctor --fix'],
    ],
  });

  fix = Option.Boolean('--fix', false, { description: 'Mend what is safe to mend' });

  override async execute(): Promise<number> {
    const { BETWEEN_LOOKS_MS, diagnose, mend, patientAt } = await import('../client/doctor.ts');
    const layout = patientAt(this.dir);
    const { dirOption } = await import('../client/directory.ts');
    const again = () => {
      if (process.stderr.isTTY) note('a daemon serves it: looking twice, to tell what is odd from what is under way');
      return pause(BETWEEN_LOOKS_MS);
    };
    const recover = async () => {
      const { serve } = await import('../daemon/daemon.ts');
      await (await serve({ dir: layout.root, log: 'file', recoverOnly: true })).ended;
    };
    const { diagnosis, all } = this.fix ? await mend(layout, recover, again) : await looked(diagnose(layout, again));
    const { root, served } = diagnosis;
    const left = all.filter(({ finding, mended }) => finding.by !== 'nobody' && !mended);
    if (this.json) {
      const findings = all.map(({ finding: { kind, path, says, would, by }, mended, failed }) => ({
        kind,
        path,
        says,
        would,
        by,
        mended,
        ...(failed !== undefined && { failed }),
      }));
      printJson({ dir: root, served, healthy: left.length === 0, findings });
    } else tell(root, served, all, dirOption(layout));
    return left.length === 0 ? 0 : 1;
  }
}

async function looked(diagnosis: Promise<Diagnosis>): Promise<{ diagnosis: Diagnosis; all: Mended[] }> {
  const found = await diagnosis;
  return { diagnosis: found, all: found.findings.map((finding) => ({ finding, mended: false })) };
}

/** Of one kind, so many are told one by one. */
const MOST_TOLD = 10;

function tell(root: string, served: boolean, all: readonly Mended[], dir: string): void {
  const odd = all.filter(({ finding }) => finding.by !== 'nobody');
  const mended = odd.filter((one) => one.mended).length;
  const oddities = odd.length === 1 ? '1 oddity' : `${thousands(odd.length)} oddities`;
  const summary =
    odd.length === 0
      ? `Nothing is odd in ${root}.`
      : `${oddities} in ${root}${mended > 0 ? `, ${mended === odd.length ? 'all' : thousands(mended)} mended` : ''}.`;
  print(styled(odd.length === mended ? 'green' : 'yellow', summary));
  const told = new Map<string, number>();
  for (const one of all) {
    const { finding } = one;
    const before = told.get(finding.kind) ?? 0;
    told.set(finding.kind, before + 1);
    if (before < MOST_TOLD) print(sentence(root, served, one, dir));
  }
  for (const [kind, n] of told)
    if (n > MOST_TOLD)
      print(`\n… and ${count(n - MOST_TOLD, `more ${kind.replaceAll('_', ' ')} finding`)} (--json has all).`);
  if (
    odd.some(
      ({ finding: { by }, mended: isMended, failed }) =>
        !isMended && failed === undefined && (by === 'doctor' || (by === 'start' && !served)),
    )
  )
    print(`\nNext: spoold doctor${dir} --fix`);
}

function sentence(root: string, served: boolean, { finding, mended, failed }: Mended, dir: string): string {
  const { path, says, would, by } = finding;
  const place = path.startsWith(`${root}/`) ? path.slice(root.length + 1) : path;
  const text = says.replaceAll(`${path}: `, '').replaceAll('\n', '\n  ');
  const first = `\n${styled('bold', place)}\n  ${text}\n  `;
  if (mended) return `${first}${styled('green', 'mended: ')}${would}`;
  if (failed !== undefined) return `${first}${would}\n  ${styled('red', 'not mended: ')}${failed}`;
  return `${first}${would} ${WHO[by](served, dir)}`;
}

const WHO: Record<Mender, (served: boolean, dir: string) => string> = {
  doctor: () => '(--fix does it.)',
  start: (served, dir) => (served ? '(The daemon does it.)' : `(spoold start${dir} does it, and --fix.)`),
  you: () => '(Yours to do.)',
  nobody: () => '',
};
