import type { Caller } from '../../platform/context.ts';
import { AwsError } from '../../wire/errors.ts';
import type { Environment } from './environment.ts';
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
  const { partition } = queue;
  let oldestSentAtMs: number | undefined;
  for (const { value } of await env.platform.store.listDue(partition, { limit: looked })) {
    const sentAtMs = sentAtOf(value);
    if (oldestSentAtMs === undefined || sentAtMs < oldestSentAtMs) oldestSentAtMs = sentAtMs;
  }
  return oldestSentAtMs === undefined ? {} : { oldestSentAtMs };
}
