import {
  CloudFormationClient,
  DescribeStackEventsCommand,
  DescribeStacksCommand,
  type Stack,
} from '@aws-sdk/client-cloudformation';
import { startTestCloud, type TestCloud, type TestCloudOptions } from '../../../test/support/cloud.ts';

export interface StackCloud {
  readonly cloud: TestCloud;
  readonly client: CloudFormationClient;
  /** Waits until the stack does nothing any more. */
  settled(stack: string): Promise<Stack>;
  /** `LogicalId STATUS (reason)`, the oldest first. */
  events(stack: string): Promise<string[]>;
  close(): Promise<void>;
}

export async function startStackCloud(options: TestCloudOptions = {}): Promise<StackCloud> {
  return stackCloud(
    await startTestCloud({ services: ['cloudformation', 'sqs', 'iam', 'sts'], limits: 'relaxed', ...options }),
  );
}

export function stackCloud(cloud: TestCloud): StackCloud {
  const client = new CloudFormationClient(cloud.clientConfig);
  return {
    cloud,
    client,
    async settled(name) {
      for (;;) {
        const { Stacks = [] } = await client.send(new DescribeStacksCommand({ StackName: name }));
        const [stack] = Stacks as [Stack];
        if (!stack.StackStatus?.endsWith('_IN_PROGRESS')) return stack;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    async events(name) {
      const { StackEvents = [] } = await client.send(new DescribeStackEventsCommand({ StackName: name }));
      return StackEvents.map(
        ({ LogicalResourceId, ResourceStatus, ResourceStatusReason: reason }) =>
          `${LogicalResourceId} ${ResourceStatus}${reason === undefined ? '' : ` (${reason})`}`,
      ).reverse();
    },
    async close() {
      client.destroy();
      await cloud.close();
    },
  };
}
