import { hash } from 'node:crypto';

/**
 * Fair queues: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues-detailed.html.
 * A tenant is who sends with one MessageGroupId to a standard queue; in entries it is known by eight bytes of hash.
 */
export const tenantBytes = 8;

export function tenantOf(groupId: string): Buffer {
  return hash('sha256', groupId, 'buffer').subarray(0, tenantBytes);
}

/** A noisy neighbour has at least so many messages in flight, and more than this share of all that are. */
const leastInFlight = 30;
const share = 0.1;
/** One that has not sent for so long is quiet again, whatever is left of its backlog. */
export const calmAfterMs = 300_000;

/** `counts`: messages in flight by tenant, of `total` in the queue. */
export function noisyTenants(counts: ReadonlyMap<string, number>, total: number): ReadonlySet<string> {
  const noisy = [...counts].filter(([, count]) => count >= leastInFlight && count > total * share);
  return new Set(noisy.map(([tenant]) => tenant));
}
