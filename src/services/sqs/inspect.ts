import type { Caller } from '../../platform/context.ts';
import { AwsError } from '../../wire/errors.ts';
import type { Environment } from './environment.ts';
import { partitionsOf } from './fair.ts';
import { firstOfGroup } from './fifo/group-edit.ts';
import { sentAtOf } from './message.ts';

/** Messages looked at for the oldest: those that have waited longest come first, but for ones that were put off. */
const looked = 1_000;

/** What the CLI and the console show beyond SQS's API: when the oldest message was sent (on AWS only CloudWatch tells). */
export async function inspectQueue(
  env: Environment,
  caller: Caller,
  query: Readonly<Record<string, unknown>>,
): Promise<{ oldestSentAtMs?: number }> {
  const { queueUrl } = query;
  if (typeof queueUrl !== 'string') throw new AwsError('InvalidParameterValue', 'queueUrl is missing');
  const queue = await env.queues.require(caller, queueUrl);
  let oldestSentAtMs: number | undefined;
  const { store } = env.platform;
  for (const partition of await partitionsOf(store, queue)) {
    for (const { id, value } of await store.listDue(partition, { limit: looked })) {
      const first = queue.config.fifo === undefined ? value : await firstOfGroup(store, queue, id.toString('latin1'));
      if (first === undefined) continue;
      const sentAtMs = sentAtOf(first);
      if (oldestSentAtMs === undefined || sentAtMs < oldestSentAtMs) oldestSentAtMs = sentAtMs;
    }
  }
  return oldestSentAtMs === undefined ? {} : { oldestSentAtMs };
}
