import { CreateStackCommand, DeleteStackCommand, DescribeStackResourcesCommand } from '@aws-sdk/client-cloudformation';
import { ListQueuesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { expect, it } from 'vitest';
import type { Commit } from '../../kernel/store/contract.ts';
import { type StackCloud, stackCloud, startStackCloud } from './stack-cloud.test-support.ts';

const count = 12;
const chain = JSON.stringify({
  Resources: Object.fromEntries(
    Array.from({ length: count }, (_unused, index) => [
      `Q${index}`,
      { Type: 'AWS::SQS::Queue', ...(index > 0 && { DependsOn: `Q${index - 1}` }) },
    ]),
  ),
});

/** From now on no step of a stack operation reaches the disk, as after a kill: what it had done stands, unrecorded. */
function stopRecording({ cloud }: StackCloud): void {
  const { store } = cloud.cloud.platform;
  const commit = store.commit.bind(store);
  store.commit = (asked: Commit) =>
    asked.append?.some(({ log }) => log.includes('cloudformation'))
      ? Promise.reject(new Error('killed'))
      : commit(asked);
}

async function queuesOf({ cloud }: StackCloud): Promise<number> {
  const sqs = new SQSClient(cloud.clientConfig);
  const { QueueUrls = [] } = await sqs.send(new ListQueuesCommand({}));
  sqs.destroy();
  return QueueUrls.length;
}

async function inTheMiddle(stacks: StackCloud, id: string, status: string): Promise<void> {
  while ((await stacks.events(id)).filter((text) => /^Q\d/.test(text) && text.endsWith(status)).length < 4)
    await new Promise((resolve) => setTimeout(resolve, 5));
}

it('goes on with an operation after a crash or a stop in the middle of it, making and taking away nothing twice', async () => {
  let stacks = await startStackCloud({ engine: 'lmdb' });
  try {
    const { StackId } = await stacks.client.send(new CreateStackCommand({ StackName: 'chain', TemplateBody: chain }));
    const id = StackId as string;
    await inTheMiddle(stacks, id, 'CREATE_COMPLETE');
    stopRecording(stacks);
    stacks = stackCloud(await stacks.cloud.restart());
    expect((await stacks.settled(id)).StackStatus).toBe('CREATE_COMPLETE');
    expect(await queuesOf(stacks)).toBe(count);
    const created = await stacks.events(id);
    expect(created.filter((text) => /^Q\d+ CREATE_COMPLETE/.test(text))).toHaveLength(count);
    expect(new Set(created.filter((text) => text.endsWith('CREATE_IN_PROGRESS'))).size).toBe(count);

    await stacks.client.send(new DeleteStackCommand({ StackName: 'chain' }));
    await inTheMiddle(stacks, id, 'DELETE_COMPLETE');
    stacks = stackCloud(await stacks.cloud.restart());
    expect((await stacks.settled(id)).StackStatus).toBe('DELETE_COMPLETE');
    expect(await queuesOf(stacks)).toBe(0);
    const { StackResources = [] } = await stacks.client.send(new DescribeStackResourcesCommand({ StackName: id }));
    expect(new Set(StackResources.map(({ ResourceStatus }) => ResourceStatus))).toEqual(new Set(['DELETE_COMPLETE']));
  } finally {
    await stacks.close();
  }
}, 30_000);
