import type { Environment } from './environment.ts';
import { type EventRecord, encode, keys, type StackRecord, type Stored } from './state.ts';

/**
 * Writes events about the stack itself that no operation makes; the last one's status and reason become the stack's. False
 * when another commit was faster.
 */
export async function recordEvents(
  env: Environment,
  stored: Stored<StackRecord>,
  events: readonly { readonly status: string; readonly reason?: string }[],
): Promise<boolean> {
  const { store, clock } = env.platform;
  const { reason: _reason, ...stack } = stored.record;
  const last = events.at(-1);
  const key = keys.stack(stack, stack.id);
  const result = await store.commit({
    checks: [{ key, version: stored.version }],
    set: [{ key, value: encode({ ...stack, ...last }) }],
    append: events.map((event) => ({
      log: keys.events(stack, stack.id),
      value: encode(stackEvent(stack, event, env.platform.random.uuid(), clock.now())),
    })),
  });
  return result.ok;
}

export function stackEvent(
  stack: Pick<StackRecord, 'name' | 'arn'>,
  { status, reason }: { readonly status: string; readonly reason?: string },
  id: string,
  atMs: number,
): EventRecord {
  return {
    id,
    atMs,
    logicalId: stack.name,
    physicalId: stack.arn,
    type: 'AWS::CloudFormation::Stack',
    status,
    ...(reason !== undefined && { reason }),
  };
}
