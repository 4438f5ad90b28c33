// `spoold unit`: a systemd user unit for this directory, on standard output.
import { BaseCommand } from './base.ts';
import { print } from './print.ts';

export class UnitCommand extends BaseCommand {
  static override paths = [['unit']];
  static override usage = BaseCommand.Usage({
    description: 'Print a systemd user unit that serves the state directory.',
    examples: [['Install it', '$0 unit > ~/.config/systemd/user/spoold.service']],
  });

  override async execute(): Promise<void> {
    const { whereabouts } = await import('../client/directory.ts');
    print(unitFor(whereabouts(this.dir), process.execPath, process.argv[1] as string));
  }
}

/** KillMode=process and OOMPolicy=continue: systemd ends the daemon alone, and tasks run on as they do without it. */
function unitFor(dir: string, node: string, script: string): string {
  const command = [node, script, 'start', '--foreground', '--dir', dir].map(quote).join(' ');
  return `# Save as ~/.config/systemd/user/spoold.service, then:
#   systemctl --user daemon-reload
#   systemctl --user enable --now spoold
# To have it run while you are not logged in, and tasks outlive your log-out:
#   loginctl enable-linger
[Unit]
Description=spoold for ${dir.replaceAll('%', '%%')}

[Service]
Type=exec
ExecStart=${command}
ExecReload=/bin/kill -HUP $MAINPID
# Only the daemon is stopped: running tasks run on, and the next daemon adopts them.
KillMode=process
# A task that runs out of memory does not take the daemon and the other tasks with it.
OOMPolicy=continue
Restart=on-failure
RestartSec=2

[Install]
WantedBy=default.target
`;
}

/** A word of ExecStart=: % and $ mean something to systemd, spaces and quotes end a word. */
function quote(word: string): string {
  const escaped = word.replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /^[A-Za-z0-9_./:@%+,=$-]+$/.test(escaped)
    ? escaped
    : `"${escaped.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
