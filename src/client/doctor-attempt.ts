// A claim that no daemon looks after, in words: its facts are gathered as the daemon gathers them at its start and judged
// by the same table, so that what doctor says will happen is what happens.
import { basename } from 'node:path';
import { isFolder, isThere } from '../host/atomic.ts';
import { isOfThisBoot, livenessOf, ownIdentity } from '../host/identity.ts';
import type { JobLayout } from '../protocol/layout.ts';
import { describeExit } from '../protocol/result.ts';
import { type AttemptFacts, look } from '../scheduler/look.ts';
import {
  claimedAttempt,
  findRun,
  handedOverOn,
  isOfThisRun,
  isVoid,
  readEnding,
  readPidFile,
  readResult,
  type Run,
} from '../store/runs.ts';
import { stateOf } from '../store/snapshot.ts';
import type { Finding, Ward } from './doctor-finding.ts';
import { readTask } from './facts.ts';

/** What is to be said of the claim `running/<id>.run`. */
export function examineClaim(job: JobLayout, id: string, ward: Ward): Finding {
  const path = job.claim(id);
  if (isFolder(path)) return noClaim(path, ward);
  const number = claimedAttempt(job, id);
  const run = number === undefined ? undefined : findRun(job, id, number);
  if (run === undefined) {
    const says = 'it claims the task for an attempt that is not there.';
    return { kind: 'dead_claim', path, says, would: 'The claim is removed, and the task may start.', by: 'start' };
  }
  return { path, by: 'start', ...inWords(job, id, run, ward) };
}

/** What a daemon cannot unlink keeps it from taking up the job. */
function noClaim(path: string, { setAside }: Ward): Finding {
  return {
    kind: 'no_claim',
    path,
    says: 'it should be a link to an attempt, and is a folder: a daemon leaves the whole job alone.',
    would: 'It is set aside in aside/.',
    by: 'doctor',
    mend: () => setAside(path),
  };
}

type Words = Pick<Finding, 'kind' | 'says' | 'would'> & { by?: 'nobody' };

function inWords(job: JobLayout, id: string, run: Run, ward: Ward): Words {
  const facts = gather(job, id, run, ward);
  const { runner, lastWord } = readPidFile(run.layout);
  const name = basename(run.layout.root);
  const who = runner === undefined ? 'its runner' : `its runner (process ${runner.pid})`;
  const place = stateOf(job, id);
  const elsewhere = place === undefined ? 'its file was deleted' : `its file was moved to ${place}/`;
  const isElsewhere = place !== 'running' && place !== 'pending';
  const stays = place === undefined ? 'no task is left to be run again' : `the task stays in ${place}/`;
  switch (look(facts)) {
    case 'finish': {
      const to = readResult(run.layout)?.to;
      const says = `attempt ${name} is settled, and was cut off before the task was moved to ${to}/ and the claim ended.`;
      return { kind: 'half_settled', says, would: 'The rest of the move is done.' };
    }
    case 'give back':
      return {
        kind: 'never_began',
        says: `attempt ${name} never began, and never will.`,
        would: isElsewhere
          ? `The claim ends; ${elsewhere}, and ${stays}.`
          : 'The task goes back to pending/ at no cost, and the claim ends.',
      };
    case 'void':
    case 'wait':
      return facts.isEnding
        ? { kind: 'never_began', says: `attempt ${name} was being ended before it began.`, would: 'It is settled so.' }
        : {
            kind: 'never_began',
            says: `attempt ${name} was handed to a launcher that is gone, and no runner has taken it.`,
            would: isElsewhere
              ? `It is kept from ever beginning; ${elsewhere}, and ${stays}.`
              : 'It is kept from ever beginning, and the task goes back to pending/ at no cost.',
          };
    case 'go on ending':
      return {
        kind: 'half_ended',
        says: `attempt ${name} is being ended (${readEnding(run.layout)?.reason}), and some of it still runs.`,
        would: 'Its processes are ended: TERM, then KILL.',
      };
    case 'settle as ended':
      return {
        kind: 'unsettled',
        says: `attempt ${name} was ended (${readEnding(run.layout)?.reason}), and nobody has settled it.`,
        would: 'It is settled by the reason it was ended for.',
      };
    case 'settle by last word':
      return {
        kind: 'unsettled',
        says: `attempt ${name} has ended with ${describeExit(lastWord?.status ?? 0).words}, and nobody has settled it.`,
        would: 'It is settled by its exit status, children that it dropped first.',
      };
    case 'begin ending':
      return {
        kind: 'unwanted',
        says: `attempt ${name} runs, and ${elsewhere}.`,
        would: 'Its processes are ended: TERM, then KILL.',
      };
    case 'lost':
      return {
        kind: 'lost',
        says: facts.hasBegun
          ? `${who} is dead, and left no exit status: nobody knows what attempt ${name} did.`
          : `a power cut has taken what attempt ${name} wrote: nobody knows what it did.`,
        would: isElsewhere
          ? `The attempt is called lost; ${elsewhere}, and ${stays}.`
          : failsWhenLost(job, id)
            ? 'The attempt is called lost and the task failed (on_lost: fail).'
            : 'The attempt is called lost, and the task is run again (on_lost: retry, at most three times in a row).',
      };
    case 'watch':
      return {
        kind: 'runs',
        by: 'nobody',
        says:
          `attempt ${name} runs,${facts.runnerLives ? '' : ` ${who} is dead,`} and no daemon looks after it.` +
          (isThere(run.layout.ending) ? ' Somebody was about to end it, and was cut off while writing why.' : ''),
        would: 'Nothing is wrong: it goes on, and the next daemon adopts it.',
      };
  }
}

function failsWhenLost(job: JobLayout, id: string): boolean {
  const read = readTask(job.task('running', id));
  return read.kind === 'ok' && read.raw.on_lost === 'fail';
}

function gather(job: JobLayout, id: string, run: Run, { living }: Ward): AttemptFacts {
  const { runner, lastWord } = readPidFile(run.layout);
  const known = runner !== undefined && isOfThisRun(run.layout, runner) ? runner : undefined;
  const boot = handedOverOn(run.layout);
  return {
    hasResult: readResult(run.layout) !== undefined,
    isVoid: isVoid(run.layout),
    hasScript: isThere(run.layout.script),
    isOverdue: true,
    isEnding: readEnding(run.layout) !== undefined,
    hasBegun: runner !== undefined,
    isCutOff:
      (boot !== undefined && boot !== ownIdentity().boot) ||
      (isThere(run.layout.output) && !isVoid(run.layout) && runner === undefined),
    hasLastWord: lastWord !== undefined,
    runnerLives: known !== undefined && lastWord === undefined && livenessOf(known) !== 'dead',
    processesLeft: () => (known !== undefined && !isOfThisBoot(known) ? 0 : living.has(run.layout.root) ? 1 : 0),
    taskIsThere: isThere(job.task('running', id)),
  };
}
