import { readFile } from 'node:fs/promises';
import { CreateStackCommand, DeleteStackCommand, DescribeStackResourcesCommand } from '@aws-sdk/client-cloudformation';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { packageLocalPaths } from '../../deploy/sam/packaging.ts';
import { parseSource } from '../../deploy/source.ts';
import { blobBucket } from '../../platform/blob-bucket.ts';
import { type StackCloud, startStackCloud } from './stack-cloud.test-support.ts';

let stacks: StackCloud;

beforeAll(async () => {
  stacks = await startStackCloud({
    engine: 'lmdb',
    services: ['cloudformation', 'sqs', 'iam', 'sts', 'logs', 'lambda', 'apigatewayv2', 'dynamodb'],
  });
});

afterAll(() => stacks.close());

/** A zip of one empty file, index.js: 22 bytes of directory end would be an empty archive, which Lambda refuses. */
const zip = Buffer.from(
  'UEsDBAoAAAAAAAAAIQAAAAAAAAAAAAAAAAAIAAAAaW5kZXguanNQSwECHgMKAAAAAAAAACEAAAAAAAAAAAAAAAAACAAAAAAAAAAAAAAApIEAAAAAaW5kZXguanNQSwUGAAAAAAEAAQA2AAAAJgAAAAAA',
  'base64',
);

it('deploys the IoT example from its own SAM template, quickly, and takes it away', async () => {
  const text = await readFile('examples/iot-provisioning/template.yaml', 'utf8');
  const digest = await stacks.cloud.cloud.platform.blobs.put(zip);
  const packaged = await packageLocalPaths(parseSource(text).root, async () => ({ bucket: blobBucket, key: digest }));
  const began = performance.now();
  const { StackId } = await stacks.client.send(
    new CreateStackCommand({
      StackName: 'iot',
      TemplateBody: JSON.stringify(packaged),
      Capabilities: ['CAPABILITY_IAM', 'CAPABILITY_AUTO_EXPAND'],
    }),
  );
  const stack = await stacks.settled('iot');
  const tookMs = performance.now() - began;
  expect((await stacks.events('iot')).filter((text) => text.includes('FAILED'))).toEqual([]);
  expect(stack.StackStatus).toBe('CREATE_COMPLETE');
  const outputs = Object.fromEntries(
    (stack.Outputs ?? []).map(({ OutputKey, OutputValue }) => [OutputKey, OutputValue]),
  );
  expect(outputs['ApiUrl']).toMatch(/^https:\/\/[a-z0-9]+\.execute-api\.us-east-1\.amazonaws\.com$/);
  const { StackResources = [] } = await stacks.client.send(new DescribeStackResourcesCommand({ StackName: 'iot' }));
  expect(StackResources.length).toBeGreaterThan(12);
  expect(new Set(StackResources.map(({ ResourceStatus }) => ResourceStatus))).toEqual(new Set(['CREATE_COMPLETE']));
  // Loose: the machine that runs the tests may be busy.
  expect(tookMs).toBeLessThan(8_000);
  process.stderr.write(`${StackResources.length} resources in ${Math.round(tookMs)} ms\n`);
  await stacks.client.send(new DeleteStackCommand({ StackName: 'iot' }));
  const deleted = await stacks.settled(StackId as string);
  expect((await stacks.events(StackId as string)).filter((text) => text.includes('FAILED'))).toEqual([]);
  expect(deleted.StackStatus).toBe('DELETE_COMPLETE');
}, 30_000);
