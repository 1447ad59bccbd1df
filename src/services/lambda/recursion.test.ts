import {
  InvokeCommand,
  LambdaClient,
  PutFunctionEventInvokeConfigCommand,
  PutFunctionRecursionConfigCommand,
} from '@aws-sdk/client-lambda';
import { CreateQueueCommand, ReceiveMessageCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { type FakeCall, FakeCompute, FakeLogs } from './fake-compute.test-support.ts';
import { account, createFunction } from './functions.test-support.ts';
import { isLoop, nextHop, withLineage } from './rules/recursion.ts';

let test: TestCloud;
let client: LambdaClient;
let sqs: SQSClient;
let compute: FakeCompute;

beforeAll(async () => {
  test = await startTestCloud({ services: ['lambda', 'sqs', 'iam', 'sts'] });
  compute = FakeCompute.into(test.cloud.platform);
  FakeLogs.into(test.cloud.platform);
  client = new LambdaClient(test.clientConfig);
  sqs = new SQSClient(test.clientConfig);
});
afterEach(() => leaveFunction());
afterAll(() => test.close());

/** What the SDK goes by inside of a function: its recursion detection sends the trace header on. */
function enterFunction({ invocation, spec }: FakeCall): void {
  process.env['AWS_LAMBDA_FUNCTION_NAME'] = spec.functionName;
  process.env['_X_AMZN_TRACE_ID'] = invocation.traceHeader;
}

function leaveFunction(): void {
  delete process.env['AWS_LAMBDA_FUNCTION_NAME'];
  delete process.env['_X_AMZN_TRACE_ID'];
}

async function queueOf(QueueName: string) {
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName }));
  const receive = async () => {
    const asked = new ReceiveMessageCommand({ QueueUrl, MessageSystemAttributeNames: ['All'] });
    return (await sqs.send(asked)).Messages?.[0];
  };
  return { QueueUrl: QueueUrl!, arn: `arn:aws:sqs:us-east-1:${account}:${QueueName}`, receive };
}

/** A function that calls itself until it has run `most` times; what ended it. */
async function loop(name: string, most: number, more: { InvocationType?: 'Event' } = {}) {
  let runs = 0;
  let refusal: string | undefined;
  compute.functions.set(name, async (_event, call) => {
    runs++;
    if (runs >= most) return;
    enterFunction(call);
    await client.send(new InvokeCommand({ FunctionName: name, ...more })).catch((error: Error) => {
      refusal ??= `${error.name} ${error.message}`;
    });
  });
  await client.send(new InvokeCommand({ FunctionName: name, ...more }));
  return { runs: () => runs, refusal: () => refusal };
}

describe('a loop of functions', () => {
  it('is ended after sixteen rounds, and its caller told', async () => {
    await createFunction(client, 'round');
    const { runs, refusal } = await loop('round', 100);
    expect(runs()).toBe(16);
    expect(refusal()).toMatch(/^RecursiveInvocationException .*recursive loop/);
    leaveFunction();
    // An event of its own begins anew.
    compute.functions.set('round', () => 'free');
    const free = await client.send(new InvokeCommand({ FunctionName: 'round' }));
    expect(Buffer.from(free.Payload!).toString()).toBe('"free"');
  });

  it('goes on where it is allowed', async () => {
    await createFunction(client, 'meant');
    const allow = new PutFunctionRecursionConfigCommand({ FunctionName: 'meant', RecursiveLoop: 'Allow' });
    await client.send(allow);
    const { runs, refusal } = await loop('meant', 20);
    expect(runs()).toBe(20);
    expect(refusal()).toBeUndefined();
  });

  it('of asynchronous events ends at the on-failure destination and the dead letters', async () => {
    const [failures, letters] = [await queueOf('failures'), await queueOf('letters')];
    await createFunction(client, 'later', { DeadLetterConfig: { TargetArn: letters.arn } });
    await client.send(
      new PutFunctionEventInvokeConfigCommand({
        FunctionName: 'later',
        DestinationConfig: { OnFailure: { Destination: failures.arn } },
      }),
    );
    const { runs } = await loop('later', 100, { InvocationType: 'Event' });
    await expect.poll(letters.receive, { timeout: 15_000 }).toMatchObject({ Body: '{}' });
    let record: string | undefined;
    await expect.poll(async () => (record = (await failures.receive())?.Body), { timeout: 15_000 }).toBeDefined();
    expect(JSON.parse(record!)).toMatchObject({
      requestContext: { condition: 'RetriesExhausted' },
      requestPayload: {},
    });
    expect(runs()).toBe(16);
  });

  it('can be followed through a queue: the message keeps the lineage', async () => {
    const queue = await queueOf('between');
    await createFunction(client, 'sender');
    let lineage = '';
    compute.functions.set('sender', async (_event, call) => {
      enterFunction(call);
      lineage = /Lineage=[0-9a-f]{8}:1$/.exec(call.invocation.traceHeader)?.[0] ?? '';
      await sqs.send(new SendMessageCommand({ QueueUrl: queue.QueueUrl, MessageBody: 'on' }));
    });
    await client.send(new InvokeCommand({ FunctionName: 'sender' }));
    expect(lineage).not.toBe('');
    const message = await queue.receive();
    expect(message?.Attributes?.['AWSTraceHeader']).toContain(lineage);
  });
});

it('lineages count by function, and merge', () => {
  const root = 'Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0';
  let hop = nextHop(root, 'aaaaaaaa');
  expect(hop).toEqual({ traceHeader: `${root};Lineage=aaaaaaaa:1`, count: 1 });
  hop = nextHop(hop.traceHeader, 'bbbbbbbb');
  hop = nextHop(hop.traceHeader, 'aaaaaaaa');
  expect(hop).toEqual({ traceHeader: `${root};Lineage=bbbbbbbb:1|aaaaaaaa:2`, count: 2 });
  expect(isLoop({ ...hop, count: 16 })).toBe(false);
  expect(isLoop({ ...hop, count: 17 })).toBe(true);
  const causes = [undefined, 'Lineage=aaaaaaaa:3', 'Root=x;Lineage=aaaaaaaa:1|bbbbbbbb:2;Sampled=1', 'no lineage'];
  expect(withLineage(root, causes)).toBe(`${root};Lineage=aaaaaaaa:3|bbbbbbbb:2`);
  expect(withLineage(root, [undefined, 'Lineage=junk'])).toBe(root);
  for (let count = 0; count < 100; count++) hop = nextHop(hop.traceHeader, count.toString(16).padStart(8, '0'));
  expect(hop.traceHeader.split('|')).toHaveLength(32);
});
