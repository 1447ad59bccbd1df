import { type Job, scheduleJob } from '../../../kernel/agenda/agenda.ts';
import type { DueWrite } from '../../../kernel/store/contract.ts';
import { prefixRange } from '../../../kernel/store/keys.ts';
import type { Environment } from '../environment.ts';
import type { Queue } from '../queues.ts';
import { rememberedOf } from '../state.ts';

/**
 * What a FIFO queue remembers for five minutes: deduplication ids and attempts of receives. It stands under the epoch in which
 * it was written, whole epochs of five minutes, so that a look goes to two keys and an epoch is forgotten without being read.
 */
export const forgetKind = 'sqs.forget';

const chunk = 500;

interface ForgetPayload {
  readonly id: string;
  readonly generation: number;
  readonly epoch: number;
}

export function epochOf(env: Environment, nowMs: number): number {
  return Math.floor(nowMs / env.limits.deduplicationMs);
}

/** The job that forgets an epoch, for every commit that remembers something in it; none once this process has made it. */
export function forgetJob(env: Environment, queue: Queue, epoch: number): DueWrite[] {
  const { id, generation } = queue.record;
  const name = `${id}.${generation}`;
  if (env.forgetting.get(name) === epoch) return [];
  const payload: ForgetPayload = { id, generation, epoch };
  const dueAtMs = (epoch + 2) * env.limits.deduplicationMs;
  return [scheduleJob(forgetKind, `${name}.${epoch}`, dueAtMs, Buffer.from(JSON.stringify(payload)))];
}

/** To be called when such a commit has succeeded. */
export function willForget(env: Environment, queue: Queue, epoch: number): void {
  const { id, generation } = queue.record;
  if (env.forgetting.size > 10_000) env.forgetting.clear();
  env.forgetting.set(`${id}.${generation}`, epoch);
}

export async function forgetEpoch(env: Environment, job: Job): Promise<void> {
  const { store } = env.platform;
  const { id, generation, epoch } = JSON.parse(job.payload.toString('utf8')) as ForgetPayload;
  for (const prefix of rememberedOf(id, generation, epoch)) {
    for (;;) {
      if (job.signal.aborted) return;
      const entries = await store.list(prefixRange(prefix), { limit: chunk });
      if (entries.length > 0) await store.commit({ delete: entries.map(({ key }) => key) });
      if (entries.length < chunk) break;
    }
  }
  await store.commit({ settle: [job.done()] });
}
