import { awsRequest, load } from './load.ts';
import { type Running, startServer } from './processes.ts';
import { median, type Result, result } from './report.ts';

interface Options {
  readonly floor: string;
  readonly startCloud: () => Promise<Running>;
  /** A fresh folder. */
  readonly scratch: () => string;
  readonly rounds: number;
  readonly warmUpMs: number;
  readonly roundMs: number;
}

const connections = 32;
const groups = 100;
const text = 'x'.repeat(200);

type Build = (port: number) => (connection: number) => Buffer;

interface Side {
  readonly port: number;
  readonly request: (connection: number) => Buffer;
  readonly onBody?: (connection: number, body: Buffer) => void;
  /** Before each round. */
  readonly prepare?: () => Promise<void>;
}

/** Batches, receipts, FIFO queues and long polls, each against the floor with durable writes (F1). */
export async function queues(options: Options): Promise<Result[]> {
  const cloud = await options.startCloud();
  try {
    return [
      await batches(options, cloud.port),
      await receipts(options, cloud.port, 'standard'),
      await fifoSends(options, cloud.port),
      await receipts(options, cloud.port, 'fifo'),
      await wakeUp(cloud.port),
    ];
  } finally {
    await cloud.stop();
  }
}

async function batches(options: Options, port: number): Promise<Result> {
  const url = await createQueue(port, 'batches');
  const Entries = Array.from({ length: 10 }, (_, index) => ({ Id: `${index}`, MessageBody: `${index} ${text}` }));
  const body = JSON.stringify({ QueueUrl: url, Entries });
  const build: Build = (to) => {
    const request = sqsRequest(to, 'SendMessageBatch', body);
    return () => request;
  };
  return versusFloor(options, 'SendMessageBatch of 10, durable', build, { port, request: build(port) });
}

/** One receives and deletes, over and over, on every connection; the queue is filled again before each round. */
async function receipts(options: Options, port: number, kind: 'standard' | 'fifo'): Promise<Result> {
  const url = await createQueue(port, kind === 'fifo' ? 'receipts.fifo' : 'receipts', kind === 'fifo');
  const handles = new Map<number, string>();
  const receive = sqsRequest(port, 'ReceiveMessage', JSON.stringify({ QueueUrl: url }));
  let next = 0;
  const subject: Side = {
    port,
    request: (connection) => {
      const ReceiptHandle = handles.get(connection);
      handles.delete(connection);
      if (ReceiptHandle === undefined) return receive;
      return sqsRequest(port, 'DeleteMessage', JSON.stringify({ QueueUrl: url, ReceiptHandle }));
    },
    onBody: (connection, body) => {
      if (body.length < 10) return;
      const { Messages } = JSON.parse(body.toString('utf8')) as { Messages?: { ReceiptHandle: string }[] };
      if (Messages?.[0] !== undefined) handles.set(connection, Messages[0].ReceiptHandle);
    },
    prepare: async () => {
      handles.clear();
      const count = Math.max(options.roundMs, options.warmUpMs) * 8;
      let sent = 0;
      await load({
        port,
        connections,
        durationMs: 600_000,
        stop: () => sent >= count,
        request: () => {
          sent += 10;
          const Entries = Array.from({ length: 10 }, (_, index) => ({
            Id: `${index}`,
            MessageBody: `${next++} ${text}`,
            ...(kind === 'fifo' ? { MessageGroupId: `group-${next % groups}` } : {}),
          }));
          return sqsRequest(port, 'SendMessageBatch', JSON.stringify({ QueueUrl: url, Entries }));
        },
      });
    },
  };
  const name = kind === 'fifo' ? `FIFO receive + delete, ${groups} groups, calls` : 'receive + delete, calls';
  return versusFloor(options, name, (to) => () => sqsRequest(to, 'ReceiveMessage', receiveBody(url)), subject);
}

function receiveBody(QueueUrl: string): string {
  return JSON.stringify({ QueueUrl, ReceiptHandle: 'x'.repeat(64) });
}

async function fifoSends(options: Options, port: number): Promise<Result> {
  const url = await createQueue(port, 'sends.fifo', true);
  let next = 0;
  const build: Build = (to) => () => {
    const MessageBody = `${next++} ${text}`;
    const body = JSON.stringify({ QueueUrl: url, MessageBody, MessageGroupId: `group-${next % groups}` });
    return sqsRequest(to, 'SendMessage', body);
  };
  return versusFloor(options, `FIFO SendMessage, ${groups} groups`, build, { port, request: build(port) });
}

/** From the moment a message has arrived, when its sender knows, to the moment at which a waiting receiver has it. */
async function wakeUp(port: number): Promise<Result> {
  const url = await createQueue(port, 'awaited');
  const took: number[] = [];
  for (let round = 0; round < 60; round++) {
    const waiting = call(port, 'ReceiveMessage', { QueueUrl: url, WaitTimeSeconds: 20 }).then((answer) => ({
      answer,
      atMs: performance.now(),
    }));
    await new Promise((resolve) => setTimeout(resolve, 20));
    await call(port, 'SendMessage', { QueueUrl: url, MessageBody: 'now' });
    const arrivedAt = performance.now();
    const { answer, atMs } = await waiting;
    if (round >= 10) took.push(atMs - arrivedAt);
    const [{ ReceiptHandle }] = answer['Messages'] as [{ ReceiptHandle: string }];
    await call(port, 'DeleteMessage', { QueueUrl: url, ReceiptHandle });
  }
  const ms = median(took);
  return result('long poll woken by a message, median', `${ms.toFixed(1)} ms`, '5 ms', ms / 5, '<= 1');
}

/** The floor answers what the cloud answers to the same request, and commits the request before it does. */
async function versusFloor(
  { floor, scratch, rounds, warmUpMs, roundMs }: Options,
  name: string,
  build: Build,
  subject: Side,
): Promise<Result> {
  const body = JSON.stringify({ MessageId: '0'.repeat(36), MD5OfMessageBody: '0'.repeat(32) });
  const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-requestid': '0'.repeat(36) };
  const bare = await startServer([floor, JSON.stringify({ body, headers, store: scratch() })]);
  const sides: Record<string, Side> = { subject, floor: { port: bare.port, request: build(bare.port) } };
  const rates: Record<string, number[]> = { subject: [], floor: [] };
  for (let round = 0; round <= rounds; round++) {
    for (const [side, { prepare, ...requests }] of Object.entries(sides)) {
      await prepare?.();
      const { perSecond } = await load({ ...requests, connections, durationMs: round === 0 ? warmUpMs : roundMs });
      if (round > 0) rates[side]!.push(perSecond);
    }
  }
  await bare.stop();
  const [rate, floorRate] = [median(rates['subject']!), median(rates['floor']!)];
  return result(name, `${Math.round(rate)}/s`, `F1: ${Math.round(floorRate)}/s`, rate / floorRate, undefined);
}

async function createQueue(port: number, QueueName: string, fifo = false): Promise<string> {
  const Attributes = { FifoQueue: 'true', ContentBasedDeduplication: 'true' };
  return (await call(port, 'CreateQueue', { QueueName, ...(fifo ? { Attributes } : {}) }))['QueueUrl'] as string;
}

function sqsRequest(port: number, action: string, body: string): Buffer {
  return awsRequest({ port, service: 'sqs', target: `AmazonSQS.${action}`, body });
}

async function call(port: number, action: string, input: unknown): Promise<Record<string, unknown>> {
  const answer = await fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': `AmazonSQS.${action}`,
      authorization: `AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261121/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=${'0'.repeat(64)}`,
      'x-amz-date': '20261121T230000Z',
    },
    body: JSON.stringify(input),
  });
  const body = await answer.text();
  if (!answer.ok) throw new Error(`${action} answered ${answer.status}: ${body}`);
  return body === '' ? {} : (JSON.parse(body) as Record<string, unknown>);
}
