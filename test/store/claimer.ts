// Claims 200 tasks of a job for one attempt number, as fast as it can, and says which it got.
import { JobLayout } from '../../src/protocol/layout.ts';
import { claimTask } from '../../src/store/runs.ts';

const job = new JobLayout(process.argv[2] as string);
const attempt = Number(process.argv[3]);
const ids = Array.from({ length: 200 }, (_, n) => `t${n}`);
process.send?.(ids.filter((id) => claimTask(job, id, attempt)));
process.disconnect?.();
