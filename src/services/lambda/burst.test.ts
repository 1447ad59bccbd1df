import { CloudWatchLogsClient, FilterLogEventsCommand } from '@aws-sdk/client-cloudwatch-logs';
import {
  DeleteLayerVersionCommand,
  InvokeCommand,
  LambdaClient,
  PublishLayerVersionCommand,
  PutFunctionConcurrencyCommand,
} from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ZipFile } from 'yazl';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { createFunction, echoZip } from './functions.test-support.ts';

const asked = 200;
const limit = 150;

/**
 * Small enough that a hundred and fifty of them start in seconds on two cores. It holds its invocation until the gate is gone: a layer whose
 * content can be downloaded until it is deleted.
 */
const bootstrap = `#!/bin/sh
next="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while :; do
  headers=$(mktemp)
  curl -sS -o /dev/null -D "$headers" "$next/next" || exit 1
  id=$(tr -d '\\r' < "$headers" | sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: //p')
  echo "executed $id"
  while curl -sf -o /dev/null "$AWS_ENDPOINT_URL$GATE"; do sleep 5; done
  curl -sS -o /dev/null -X POST -d "\\"$id\\"" "$next/$id/response"
done
`;

let test: TestCloud;
let client: LambdaClient;

beforeAll(async () => {
  test = await startTestCloud({ services: ['lambda', 'logs', 'iam', 'sts'], limits: 'aws' });
  const httpAgent = { maxSockets: asked + 10 };
  client = new LambdaClient({ ...test.clientConfig, requestHandler: { httpAgent } });
});
afterAll(() => test.close());

async function packed(): Promise<Buffer> {
  const zip = new ZipFile();
  zip.addBuffer(Buffer.from(bootstrap), 'bootstrap', { mode: 0o100755 });
  zip.end();
  const chunks: Buffer[] = [];
  for await (const chunk of zip.outputStream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function executed(): Promise<string[]> {
  const logs = new CloudWatchLogsClient(test.clientConfig);
  const found: string[] = [];
  for (let nextToken: string | undefined; ; ) {
    const page = await logs.send(new FilterLogEventsCommand({ logGroupName: '/aws/lambda/burst', nextToken }));
    for (const { message = '' } of page.events ?? []) {
      const id = /^executed (\S+)/.exec(message)?.[1];
      if (id !== undefined) found.push(id);
    }
    if (page.nextToken === undefined) return found;
    nextToken = page.nextToken;
  }
}

it('of 200 invocations at once, 150 run, each once, and every other gets 429', { timeout: 240_000 }, async () => {
  const layer = { LayerName: 'gate', Content: { ZipFile: echoZip } };
  const gate = await client.send(new PublishLayerVersionCommand(layer));
  await createFunction(client, 'burst', {
    Runtime: 'provided.al2023',
    Handler: 'bootstrap',
    Code: { ZipFile: await packed() },
    Timeout: 300,
    Environment: { Variables: { GATE: new URL(gate.Content!.Location!).pathname } },
  });
  await client.send(new PutFunctionConcurrencyCommand({ FunctionName: 'burst', ReservedConcurrentExecutions: limit }));
  let settled = 0;
  const invocations = [...Array(asked)].map(() =>
    client.send(new InvokeCommand({ FunctionName: 'burst' })).finally(() => settled++),
  );
  const all = Promise.allSettled(invocations);
  // All that are over the limit have been refused while all others are held.
  await expect.poll(() => settled, { timeout: 150_000 }).toBe(asked - limit);
  await client.send(new DeleteLayerVersionCommand({ LayerName: 'gate', VersionNumber: 1 }));
  const outcomes = await all;
  const answered = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
  expect(answered.filter(({ FunctionError }) => FunctionError !== undefined)).toEqual([]);
  expect(answered).toHaveLength(limit);
  expect(
    new Set(refused.map(({ name, Reason, $metadata }) => `${$metadata.httpStatusCode} ${name} ${Reason}`)),
  ).toEqual(new Set(['429 TooManyRequestsException ReservedFunctionConcurrentInvocationLimitExceeded']));
  const answers = answered.map(({ Payload }) => JSON.parse(Buffer.from(Payload!).toString()) as string);
  expect(new Set(answers).size).toBe(limit);
  await expect.poll(async () => (await executed()).length, { timeout: 30_000 }).toBe(limit);
  expect((await executed()).sort()).toEqual([...answers].sort());
});
