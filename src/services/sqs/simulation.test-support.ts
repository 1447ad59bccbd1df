import { Agenda } from '../../kernel/agenda/agenda.ts';
import { VirtualClock } from '../../kernel/clock/virtual.ts';
import { Faults } from '../../kernel/faults/faults.ts';
import { createRandom } from '../../kernel/random/random.ts';
import type { Store } from '../../kernel/store/contract.ts';
import { MemoryStore } from '../../kernel/store/memory/memory-store.ts';
import type { RequestContext } from '../../platform/context.ts';
import type { Platform } from '../../platform/service.ts';
import { createEnvironment, type Environment } from './environment.ts';
import { declareFaults } from './faults.ts';
import { limitsOf, type SqsLimits } from './limits.ts';
import { moveTaskOperations } from './operations/move-tasks.ts';
import { queueOperations } from './operations/queues.ts';
import { receiveOperations } from './operations/receive.ts';
import { sendOperations } from './operations/send.ts';
import { settleOperations } from './operations/settle.ts';
import { startWork } from './work.ts';

const origin = 'http://127.0.0.1:4566';

/** SQS on a virtual clock and, if not told otherwise, a memory store, without wire and sockets: one seed gives one run. */
export function createSimulation(
  seed: number,
  limits: Partial<SqsLimits> = {},
  store: Store = new MemoryStore(),
  startMs = 1_750_000_000_000,
) {
  const clock = new VirtualClock(startMs);
  const random = createRandom(seed);
  const problems: unknown[] = [];
  const agenda = new Agenda({ store, clock, onError: (error) => problems.push(error) });
  const platform = { clock, random, store, agenda, limits: 'aws', faults: new Faults() } as unknown as Platform;
  const env: Environment = createEnvironment(platform, { ...limitsOf('aws'), ...limits });
  declareFaults(platform.faults);
  env.queues.start();
  startWork(env);
  agenda.start();
  const context = {
    account: '000000000000',
    region: 'us-east-1',
    principal: { kind: 'root', arn: 'arn:aws:iam::000000000000:root', account: '000000000000', id: '000000000000' },
    origin,
    internal: false,
    signal: new AbortController().signal,
    idle: <T>(wait: () => Promise<T>) => wait(),
  } as unknown as RequestContext;
  const operations = {
    ...queueOperations(env),
    ...sendOperations(env),
    ...receiveOperations(env),
    ...settleOperations(env),
    ...moveTaskOperations(env),
  };
  const close = async (): Promise<void> => {
    env.rooms.close();
    env.queues.close();
    await agenda.close();
  };
  return { clock, store, env, context, operations, problems, close };
}

export type Simulation = ReturnType<typeof createSimulation>;

export const url = (name: string): string => `${origin}/000000000000/${name}`;
export const arn = (name: string): string => `arn:aws:sqs:us-east-1:000000000000:${name}`;

/** [visible, in flight, delayed] */
export async function counts(world: Simulation, name: string): Promise<[number, number, number]> {
  const { Attributes } = await world.operations.GetQueueAttributes!(world.context, {
    QueueUrl: url(name),
    AttributeNames: ['All'],
  });
  const all = Attributes as Record<string, string>;
  return [
    Number(all['ApproximateNumberOfMessages']),
    Number(all['ApproximateNumberOfMessagesNotVisible']),
    Number(all['ApproximateNumberOfMessagesDelayed']),
  ];
}
