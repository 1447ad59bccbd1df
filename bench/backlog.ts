import { awsRequest, load } from './load.ts';
import type { Running } from './processes.ts';
import { median, type Result, result } from './report.ts';

const small = 10_000;
const large = 1_000_000;
const connections = 32;
const deletedPerRound = 6_000;

/** ReceiveMessage + DeleteMessage on a queue of a million messages against one of ten thousand, kept at that depth. */
export async function backlog({
  startCloud,
  rounds,
}: {
  startCloud: () => Promise<Running>;
  rounds: number;
}): Promise<Result[]> {
  const cloud = await startCloud();
  const url = (name: string): string => `http://127.0.0.1:${cloud.port}/000000000000/${name}`;
  const request = (action: string, input: unknown): Buffer =>
    awsRequest({ port: cloud.port, service: 'sqs', target: `AmazonSQS.${action}`, body: JSON.stringify(input) });
  const fill = async (name: string, count: number): Promise<void> => {
    if (count <= 0) return;
    const entries = Array.from({ length: 10 }, (_, index) => ({
      Id: String(index),
      MessageBody: `message ${index} ${'x'.repeat(100)}`,
    }));
    const batch = request('SendMessageBatch', { QueueUrl: url(name), Entries: entries });
    let left = count / 10;
    // Ends by count: each connection sends until none is left, then a request that changes nothing until time is up.
    while (left > 0) {
      const now = Math.min(left, 5_000);
      left -= now;
      await sendCount(cloud.port, batch, now);
    }
  };
  for (const [name, count] of [
    ['small', small],
    ['large', large],
  ] as const) {
    await sendCount(cloud.port, request('CreateQueue', { QueueName: name }), 1);
    await fill(name, count);
  }
  const rates: Record<string, number[]> = { small: [], large: [] };
  for (let round = 0; round <= rounds; round++) {
    for (const name of ['small', 'large']) {
      // Between the rounds the depth is restored, so that both stay what they are called.
      const rate = await drain(cloud.port, url(name), name === 'small' ? small * 0.8 : deletedPerRound, request);
      if (round > 0) rates[name]!.push(rate);
      await fill(name, name === 'small' ? small * 0.8 : deletedPerRound);
    }
  }
  await cloud.stop();
  const [slow, fast] = [median(rates['large']!), median(rates['small']!)];
  return [
    result(
      'receive + delete, 1,000,000 waiting',
      `${Math.round(slow)}/s`,
      `10,000 waiting: ${Math.round(fast)}/s`,
      slow / fast,
      '>= 0.9',
    ),
  ];
}

/** Receives and deletes one by one over all connections until so many are gone; messages per second. */
async function drain(
  port: number,
  queueUrl: string,
  count: number,
  request: (action: string, input: unknown) => Buffer,
): Promise<number> {
  const receive = request('ReceiveMessage', { QueueUrl: queueUrl, MaxNumberOfMessages: 1 });
  let taken = 0;
  let endedAt = 0;
  const startedAt = performance.now();
  const handles: (string | undefined)[] = [];
  await Promise.all(
    Array.from({ length: connections }, async (_, connection) => {
      await load({
        port,
        connections: 1,
        durationMs: 120_000,
        stop: () => taken >= count,
        request: () => {
          const handle = handles[connection];
          handles[connection] = undefined;
          return handle === undefined
            ? receive
            : request('DeleteMessage', { QueueUrl: queueUrl, ReceiptHandle: handle });
        },
        onBody: (_index, body) => {
          if (body.length < 10) return;
          const { Messages } = JSON.parse(body.toString('utf8')) as { Messages?: { ReceiptHandle: string }[] };
          if (Messages?.[0] === undefined) return;
          handles[connection] = Messages[0].ReceiptHandle;
          taken++;
          endedAt = performance.now();
        },
      });
    }),
  );
  return (taken / (endedAt - startedAt)) * 1000;
}

async function sendCount(port: number, request: Buffer, count: number): Promise<void> {
  let sent = 0;
  await load({
    port,
    connections: Math.min(connections, count),
    durationMs: 600_000,
    stop: () => sent >= count,
    request: () => {
      sent++;
      return request;
    },
  });
}
