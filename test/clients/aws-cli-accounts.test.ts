import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AwsCli, type ClientCloud, startClientCloud } from './support.ts';

const trust = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { AWS: '*' }, Action: 'sts:AssumeRole' }],
});

let cloud: ClientCloud;
/** The root of the default account. */
let root: AwsCli;

beforeAll(async () => {
  cloud = await startClientCloud({ auth: 'enforced', services: ['iam', 'sts', 'sqs', 'dynamodb'] });
  const { accessKeyId, secretAccessKey } = await cloud.cloud.platform.credentials.root();
  root = new AwsCli(cloud, { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey });
});
afterAll(() => cloud?.close());

describe('where IAM is enforced', () => {
  it('knows who calls', async () => {
    expect(await root.json('sts', 'get-caller-identity')).toMatchObject({
      Account: '000000000000',
      Arn: 'arn:aws:iam::000000000000:root',
    });
    expect((await new AwsCli(cloud).error('sts', 'get-caller-identity')).code).toBe('InvalidClientTokenId');
    const wrong = new AwsCli(cloud, {
      AWS_ACCESS_KEY_ID: (await cloud.cloud.platform.credentials.root()).accessKeyId,
      AWS_SECRET_ACCESS_KEY: 'guessed',
    });
    expect((await wrong.error('sts', 'get-caller-identity')).code).toBe('SignatureDoesNotMatch');
    expect((await wrong.error('dynamodb', 'list-tables')).code).toBe('InvalidSignatureException');
  });

  it('lets a user do what the policy says and nothing else', async () => {
    await root.json('sqs', 'create-queue', '--queue-name', 'allowed');
    await root.json('sqs', 'create-queue', '--queue-name', 'closed');
    expect(await root.json('iam', 'create-user', '--user-name', 'narrow')).toMatchObject({
      User: { UserName: 'narrow', Arn: 'arn:aws:iam::000000000000:user/narrow' },
    });
    const policy = {
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Action: ['sqs:SendMessage', 'sqs:GetQueueUrl'],
          Resource: 'arn:aws:sqs:us-east-1:000000000000:allowed',
        },
      ],
    };
    await writeFile(join(cloud.folder, 'policy.json'), JSON.stringify(policy));
    await root.text(
      ...['iam', 'put-user-policy', '--user-name', 'narrow', '--policy-name', 'send'],
      ...['--policy-document', 'file://policy.json'],
    );
    const { AccessKey } = await root.json<{ AccessKey: { AccessKeyId: string; SecretAccessKey: string } }>(
      ...['iam', 'create-access-key', '--user-name', 'narrow'],
    );
    const narrow = new AwsCli(cloud, {
      AWS_ACCESS_KEY_ID: AccessKey.AccessKeyId,
      AWS_SECRET_ACCESS_KEY: AccessKey.SecretAccessKey,
    });
    const send = (queue: string) => [
      ...['sqs', 'send-message', '--message-body', 'x', '--queue-url', `${cloud.endpoint}/000000000000/${queue}`],
    ];
    expect(await narrow.json(...send('allowed'))).toHaveProperty('MessageId');
    const refused = await narrow.error(...send('closed'));
    expect(refused.code).toBe('AccessDenied');
    expect(refused.message).toMatch(
      /^User: arn:aws:iam::000000000000:user\/narrow is not authorized to perform: sqs:sendmessage on resource: arn:aws:sqs:us-east-1:000000000000:closed because no identity-based policy allows the sqs:sendmessage action$/i,
    );
    expect((await narrow.error('dynamodb', 'list-tables')).code).toBe('AccessDeniedException');
    expect((await narrow.error('iam', 'list-users')).code).toBe('AccessDenied');
    expect(await narrow.json('sts', 'get-caller-identity')).toMatchObject({
      Arn: 'arn:aws:iam::000000000000:user/narrow',
    });
  });

  it('gives temporary credentials for a role', async () => {
    await writeFile(join(cloud.folder, 'trust.json'), trust);
    const { Role } = await root.json<{ Role: { Arn: string } }>(
      ...['iam', 'create-role', '--role-name', 'reader', '--assume-role-policy-document', 'file://trust.json'],
    );
    await root.text(
      ...['iam', 'put-role-policy', '--role-name', 'reader', '--policy-name', 'list', '--policy-document'],
      '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"dynamodb:ListTables","Resource":"*"}]}',
    );
    await root.text('iam', 'wait', 'role-exists', '--role-name', 'reader');
    // Root may not assume roles, on AWS too: a user does.
    await root.text(
      ...['iam', 'put-user-policy', '--user-name', 'narrow', '--policy-name', 'assume', '--policy-document'],
      `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"${Role.Arn}"}]}`,
    );
    const key = await root.json<{ AccessKey: { AccessKeyId: string; SecretAccessKey: string } }>(
      ...['iam', 'create-access-key', '--user-name', 'narrow'],
    );
    const config = `[profile user]\nregion = us-east-1\naws_access_key_id = ${key.AccessKey.AccessKeyId}\naws_secret_access_key = ${key.AccessKey.SecretAccessKey}\n[profile reader]\nregion = us-east-1\nrole_arn = ${Role.Arn}\nsource_profile = user\nrole_session_name = s1\n`;
    await writeFile(join(cloud.folder, 'config'), config);
    const reader = new AwsCli(cloud, {
      AWS_CONFIG_FILE: join(cloud.folder, 'config'),
      AWS_PROFILE: 'reader',
      AWS_ACCESS_KEY_ID: '',
      AWS_SECRET_ACCESS_KEY: '',
    });
    expect(await reader.json('dynamodb', 'list-tables', '--profile', 'reader')).toEqual({ TableNames: [] });
    expect(await reader.json('sts', 'get-caller-identity', '--profile', 'reader')).toMatchObject({
      Arn: 'arn:aws:sts::000000000000:assumed-role/reader/s1',
    });
    expect((await reader.error('iam', 'list-roles', '--profile', 'reader')).code).toBe('AccessDenied');
  });

  it('pages through roles and prints the codes of its errors', async () => {
    for (const name of ['page-a', 'page-b', 'page-c']) {
      await root.json(
        'iam',
        'create-role',
        '--role-name',
        name,
        '--path',
        '/paged/',
        '--assume-role-policy-document',
        trust,
      );
    }
    const roles = await root.json<string[]>(
      ...['iam', 'list-roles', '--path-prefix', '/paged/', '--page-size', '2', '--query', 'Roles[].RoleName'],
    );
    expect(roles).toEqual(['page-a', 'page-b', 'page-c']);
    expect((await root.error('iam', 'get-role', '--role-name', 'nobody')).code).toBe('NoSuchEntity');
    expect(
      (await root.error('iam', 'create-role', '--role-name', 'page-a', '--assume-role-policy-document', trust)).code,
    ).toBe('EntityAlreadyExists');
    expect(
      (await root.error('iam', 'create-role', '--role-name', 'bad', '--assume-role-policy-document', '{"Version":1}'))
        .code,
    ).toBe('MalformedPolicyDocument');
  });
});
