import { AttachUserPolicyCommand, CreateAccessKeyCommand, CreateUserCommand, IAMClient } from '@aws-sdk/client-iam';
import {
  AddPermissionCommand,
  CreateQueueCommand,
  ListQueuesCommand,
  PurgeQueueCommand,
  ReceiveMessageCommand,
  RemovePermissionCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { expect, test } from 'vitest';
import { startTestCloud } from '../../../test/support/cloud.ts';
import type { Principal } from '../../platform/context.ts';
import { createAuthorizer, policyOf } from '../../platform/policy.ts';

const account = '000000000000';

test('a queue policy lets in whom it names, and keeps out whom it denies, where IAM is enforced', async () => {
  const cloud = await startTestCloud({ services: ['sqs', 'iam', 'sts'], auth: 'enforced' });
  try {
    const root = await cloud.cloud.platform.credentials.root();
    const asRoot = {
      ...cloud.clientConfig,
      credentials: { accessKeyId: root.accessKeyId, secretAccessKey: root.secretAccessKey },
    };
    const [owner, iam] = [new SQSClient(asRoot), new IAMClient(asRoot)];
    const userOf = async (UserName: string): Promise<SQSClient> => {
      await iam.send(new CreateUserCommand({ UserName }));
      const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName }));
      const credentials = { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
      return new SQSClient({ ...cloud.clientConfig, credentials });
    };
    const [guest, full] = [await userOf('guest'), await userOf('full')];
    await iam.send(
      new AttachUserPolicyCommand({ UserName: 'full', PolicyArn: 'arn:aws:iam::aws:policy/AmazonSQSFullAccess' }),
    );
    const { QueueUrl } = await owner.send(new CreateQueueCommand({ QueueName: 'q' }));
    const send = (client: SQSClient) => client.send(new SendMessageCommand({ QueueUrl, MessageBody: 'x' }));
    await expect(send(guest)).rejects.toMatchObject({
      name: 'AccessDenied',
      message: expect.stringContaining('because no identity-based policy allows the sqs:SendMessage action'),
    });
    const statement = (more: object) => ({ Resource: `arn:aws:sqs:us-east-1:${account}:q`, ...more });
    const Policy = JSON.stringify({
      Version: '2012-10-17',
      Statement: [
        statement({
          Effect: 'Allow',
          Principal: { AWS: `arn:aws:iam::${account}:user/guest` },
          Action: 'sqs:SendMessage',
        }),
        statement({ Effect: 'Deny', Principal: '*', Action: 'sqs:PurgeQueue' }),
      ],
    });
    await owner.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: { Policy } }));
    await send(guest);
    await expect(guest.send(new ReceiveMessageCommand({ QueueUrl }))).rejects.toMatchObject({ name: 'AccessDenied' });
    await expect(full.send(new PurgeQueueCommand({ QueueUrl }))).rejects.toMatchObject({
      message: expect.stringContaining('with an explicit deny in a resource-based policy'),
    });
    await full.send(new ListQueuesCommand({}));
    await owner.send(
      new AddPermissionCommand({ QueueUrl, Label: 'all', AWSAccountIds: [account], Actions: ['ReceiveMessage'] }),
    );
    // The account's own policies decide where the account is named.
    await expect(guest.send(new ReceiveMessageCommand({ QueueUrl }))).rejects.toMatchObject({ name: 'AccessDenied' });
    await owner.send(new RemovePermissionCommand({ QueueUrl, Label: 'all' }));
    await owner.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: { Policy: '' } }));
    await expect(send(guest)).rejects.toMatchObject({ name: 'AccessDenied' });
  } finally {
    await cloud.close();
  }
});

test('another account needs the policy of the queue and its own', async () => {
  const queue = `arn:aws:sqs:us-east-1:${account}:q`;
  const foreign = '111111111111';
  const allow = (more: object) =>
    JSON.stringify({
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Action: 'SQS:SendMessage', Resource: queue, ...more }],
    });
  const own = policyOf(JSON.parse(allow({})) as object);
  const authorizer = createAuthorizer({
    source: { policiesOf: async ({ id }) => ({ identity: id === 'may' ? [own] : [] }) },
    clock: { now: () => 0 } as never,
  });
  const user = (id: string): Principal => ({
    kind: 'user',
    arn: `arn:aws:iam::${foreign}:user/u`,
    account: foreign,
    id,
  });
  const root: Principal = { kind: 'root', arn: `arn:aws:iam::${foreign}:root`, account: foreign, id: foreign };
  const deny = (principal: Principal, policy: string | null) =>
    authorizer.deny(principal, 'sqs:SendMessage', queue, undefined, policy);
  const wholeAccount = allow({ Principal: { AWS: `arn:aws:iam::${foreign}:root` } });
  expect(await deny(user('may'), null)).toMatch(/because no resource-based policy allows/);
  expect(await deny(user('may'), wholeAccount)).toBeUndefined();
  expect(await deny(user('may not'), wholeAccount)).toMatch(/because no identity-based policy allows/);
  expect(await deny(root, null)).toMatch(/because no resource-based policy allows/);
  expect(await deny(root, wholeAccount)).toBeUndefined();
  expect(await deny(root, allow({ Principal: { AWS: '222222222222' } }))).toMatch(/no resource-based policy allows/);
  expect(await deny(root, 'nonsense')).toMatch(/no resource-based policy allows/);
  // Its own root needs no policy.
  expect(await deny({ ...root, account }, null)).toBeUndefined();
});
