// The work that is killed again and again: tasks that keep an account of their own, outside of the state directory, in
// which the daemon has no part. Seeded: the same seed asks for the same work.
import type { Raw } from '../protocol/task.ts';
import type { JobFiles } from './workflow.ts';

/** What a task is there to do; `parent`: it queues two more; `brood`: the same, in an array; `flaky`: its first attempt fails; `slow`: its timeout ends it. */
export type Kind = 'plain' | 'flaky' | 'parent' | 'brood' | 'child' | 'slow';

export interface Accepted {
  id: string;
  kind: Kind;
  dependencies: readonly string[];
  /** Somebody moved it: where it ends and how often it ran is then that person's doing. */
  byHand?: boolean;
}

/** The exit status of the first attempt of a flaky task. */
export const FAILS_FIRST = 3;

/** The exit status of a task that could not write to its account: what it did is not known, and nobody is to blame but the disk. */
export const UNTOLD = 75;

/**
 * What every task runs: `begin JOB/TASK ATTEMPT` and `end …`, a line each, by one write. Before it begins it looks whether
 * the process that began an earlier attempt of the task is alive still: PID and start time, as the kernel has them. The
 * folder that holds all this is $PROVE, of the daemon's own environment.
 */
export const WORK = `start_of() {
  read -r line 2>/dev/null <"/proc/$1/stat" || return 1
  set -- \${line##*) }
  [ "$1" != Z ] && start=\${20}
}
name=$SPOOLD_JOB/$SPOOLD_TASK
live=$PROVE/live/$SPOOLD_JOB.$SPOOLD_TASK
said=
if read -r pid before 2>/dev/null <"$live"; then
  start_of "$pid" && [ "$start" = "$before" ] && said=" while process $pid of an earlier attempt lives"
fi
start_of $$ && echo "$$ $start" >"$live" || exit ${UNTOLD}
echo "begin $name $SPOOLD_ATTEMPT$said" >>"$PROVE/account" || exit ${UNTOLD}
drop() { # NAME TEXT
  until printf '%s' "$2" >"$SPOOLD_PENDING/.$1"; do
    [ -d "$SPOOLD_PENDING" ] || exit 9
    sleep 0.05 # the disk is full
  done 2>/dev/null
  mv "$SPOOLD_PENDING/.$1" "$SPOOLD_PENDING/$1.json" || exit 9
}
child='"command":["sh","-c",". \\"$PROVE/work.sh\\"","sh","child","0.01"]}'
case $1 in
  parent) for n in 1 2; do drop "$SPOOLD_TASK-$n" "{$child"; done ;;
  brood) drop "$SPOOLD_TASK-all" '[{"id":"'$SPOOLD_TASK-1'",'"$child"',{"id":"'$SPOOLD_TASK-2'",'"$child"']' ;;
esac
sleep "$2"
echo "end $name $SPOOLD_ATTEMPT" >>"$PROVE/account" || exit ${UNTOLD}
if [ "$1" = flaky ] && [ ! -e "$live.failed" ]; then
  echo >"$live.failed" || exit ${UNTOLD}
  exit ${FAILS_FIRST}
fi
exit 0
`;

/** Ids that a task of this kind queues. */
export function childrenOf({ id, kind }: Accepted): string[] {
  return kind === 'parent' || kind === 'brood' ? [`${id}-1`, `${id}-2`] : [];
}

/** `count` tasks, some of which wait for earlier ones. `prefix`: of their ids. */
export function makeWork(count: number, random: () => number, prefix = ''): { files: JobFiles; tasks: Accepted[] } {
  const tasks: Accepted[] = [];
  const files = new Map<string, Raw>();
  for (let n = 0; n < count; n++) {
    const kind = kindBy(random());
    const wanted =
      kind === 'slow' ? [] : Array.from({ length: Math.floor(random() * 3) }, () => Math.floor(random() * n));
    // What ends in failed/ would have its dependents skipped, and less would be run.
    const dependencies = [...new Set(wanted)].flatMap((at) =>
      tasks[at]?.kind === 'slow' ? [] : (tasks[at]?.id ?? []),
    );
    const id = `${prefix}${kind}${n}`;
    tasks.push({ id, kind, dependencies });
    files.set(id, { ...keysOf(kind, random), dependencies });
  }
  return { files: { settings: { max_parallel: 'none' }, tasks: files }, tasks };
}

function kindBy(chance: number): Kind {
  return chance < 0.8 ? 'plain' : chance < 0.88 ? 'flaky' : chance < 0.92 ? 'parent' : chance < 0.96 ? 'brood' : 'slow';
}

function keysOf(kind: Kind, random: () => number): Raw {
  const seconds = kind === 'slow' ? '600' : (random() * 0.08).toFixed(3);
  return {
    command: ['sh', '-c', '. "$PROVE/work.sh"', 'sh', kind, seconds],
    ...(kind === 'flaky' && { retry: { max: 2, delay: '10ms' } }),
    ...(kind === 'slow' && { timeout: '300ms', kill_after: '1s' }),
  };
}

/** Numbers from 0 to 1 that depend on the seed alone: xorshift32 (Marsaglia 2003). */
export function randomBy(seed: number): () => number {
  let x = Math.imul(seed, 0x9e3779b1) | 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
}
