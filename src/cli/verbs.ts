// The verbs, each with the file it is imported from when it is wanted.
import type { CommandClass } from 'clipanion';

export interface Verb {
  /** What it takes, and what it is for, in a few words. */
  usage: string;
  about: string;
  load: () => Promise<CommandClass>;
}

// biome-ignore format: a table
export const VERBS: Record<string, Verb> = {
  run: { usage: '-- COMMAND… | FILE', about: 'run a command or a workflow now; needs no daemon', load: async () => (await import('./run.ts')).RunCommand },

  init: { usage: '[DIR]', about: 'make a state directory here', load: async () => (await import('./init.ts')).InitCommand },
  start: { usage: '[--foreground]', about: 'start the daemon', load: async () => (await import('./start.ts')).StartCommand },
  stop: { usage: '[--drain | --kill]', about: 'stop it; running tasks go on unless told otherwise', load: async () => (await import('./stop.ts')).StopCommand },
  restart: { usage: '', about: 'stop and start; running tasks are adopted', load: async () => (await import('./restart.ts')).RestartCommand },
  doctor: { usage: '[--fix]', about: 'what is odd in the directory, and the mending of it', load: async () => (await import('./doctor.ts')).DoctorCommand },
  prove: { usage: '[--kills N] [--on FOLDER]', about: 'kill it again and again while it works, and count what was lost', load: async () => (await import('./prove.ts')).ProveCommand },
  unit: { usage: '', about: 'print a systemd user unit', load: async () => (await import('./unit.ts')).UnitCommand },

  add: { usage: '[-J JOB] COMMAND…', about: 'queue a command', load: async () => (await import('./add.ts')).AddCommand },
  submit: { usage: 'FILE [--var K=V]', about: 'queue a workflow', load: async () => (await import('./submit.ts')).SubmitCommand },

  status: { usage: '[JOB | JOB/TASK]', about: 'what runs, waits and failed, and why', load: async () => (await import('./status.ts')).StatusCommand },
  why: { usage: 'JOB | JOB/TASK', about: 'why it waits, failed, was skipped', load: async () => (await import('./why.ts')).WhyCommand },
  graph: { usage: 'JOB | FILE [--format F]', about: 'what depends on what: tree, mermaid or dot', load: async () => (await import('./graph.ts')).GraphCommand },
  logs: { usage: 'JOB/TASK [-f]', about: 'what a task printed', load: async () => (await import('./logs.ts')).LogsCommand },
  wait: { usage: '[ADDRESS…]', about: 'wait for jobs or tasks to end', load: async () => (await import('./wait.ts')).WaitCommand },

  cancel: { usage: 'ADDRESS…', about: 'cancel, waiting or running', load: async () => (await import('./cancel.ts')).CancelCommand },
  retry: { usage: 'ADDRESS… [--edit]', about: 'run again what failed', load: async () => (await import('./retry.ts')).RetryCommand },
  edit: { usage: 'JOB/TASK', about: 'change a waiting task', load: async () => (await import('./edit.ts')).EditCommand },
  mark: { usage: 'ADDRESS succeeded|skipped', about: 'call a task done without running it', load: async () => (await import('./mark.ts')).MarkCommand },
  pause: { usage: '[JOB]', about: 'start nothing new', load: async () => (await import('./pause.ts')).PauseCommand },
  resume: { usage: '[JOB]', about: 'go on', load: async () => (await import('./resume.ts')).ResumeCommand },
  parallel: { usage: 'N [JOB]', about: 'how many tasks run at a time', load: async () => (await import('./parallel.ts')).ParallelCommand },
  reset: { usage: 'ADDRESS…', about: 'another word for retry', load: async () => (await import('./reset.ts')).ResetCommand },

  validate: { usage: 'FILE…', about: 'check task, job, workflow and config files', load: async () => (await import('./validate.ts')).ValidateCommand },
  schema: { usage: 'task|job|workflow|config', about: 'print a JSON Schema', load: async () => (await import('./schema.ts')).SchemaCommand },
  completion: { usage: 'bash|zsh|fish', about: 'print a completion script', load: async () => (await import('./completion.ts')).CompletionCommand },
};

export const GROUPS: [title: string, verbs: string[]][] = [
  ['Now', ['run']],
  ['Queue', ['add', 'submit']],
  ['Look', ['status', 'why', 'graph', 'logs', 'wait']],
  ['Change', ['cancel', 'retry', 'reset', 'edit', 'mark', 'pause', 'resume', 'parallel']],
  ['Serve', ['init', 'start', 'stop', 'restart', 'doctor', 'prove', 'unit']],
  ['Write', ['validate', 'schema', 'completion']],
];

/** The first word that is no option, options of all verbs (which may stand before it) passed over. */
export function verbIn(argv: readonly string[]): string | undefined {
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] as string;
    if (!word.startsWith('-')) return word;
    if (word === '--dir') i += 1;
  }
  return undefined;
}
