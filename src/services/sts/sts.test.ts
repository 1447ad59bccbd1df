import { CloudWatchLogsClient, CreateLogGroupCommand, DescribeLogGroupsCommand } from '@aws-sdk/client-cloudwatch-logs';
import {
  AttachUserPolicyCommand,
  CreateAccessKeyCommand,
  CreateRoleCommand,
  CreateUserCommand,
  GetUserCommand,
  IAMClient,
  PutRolePolicyCommand,
  PutUserPolicyCommand,
  UpdateAccessKeyCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam';
import {
  AssumeRoleCommand,
  AssumeRoleWithWebIdentityCommand,
  type Credentials,
  DecodeAuthorizationMessageCommand,
  GetAccessKeyInfoCommand,
  GetCallerIdentityCommand,
  GetSessionTokenCommand,
  STSClient,
} from '@aws-sdk/client-sts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';

const account = '000000000000';
const trustOf = (Principal: object, Condition?: object): string =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Principal, Action: 'sts:AssumeRole', ...(Condition === undefined ? {} : { Condition }) },
    ],
  });
const document = (Action: string, Resource = '*', Effect = 'Allow'): string =>
  JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect, Action, Resource }] });

type ClientType<C> = new (config: TestCloud['clientConfig'] & { credentials: object }) => C;

function as<C>(
  cloud: TestCloud,
  Client: ClientType<C>,
  credentials: {
    AccessKeyId?: string | undefined;
    SecretAccessKey?: string | undefined;
    SessionToken?: string | undefined;
  },
): C {
  const { AccessKeyId = '', SecretAccessKey = '', SessionToken } = credentials;
  return new Client({
    ...cloud.clientConfig,
    credentials: {
      accessKeyId: AccessKeyId,
      secretAccessKey: SecretAccessKey,
      ...(SessionToken === undefined ? {} : { sessionToken: SessionToken }),
    },
  });
}

describe('with authentication off', () => {
  let cloud: TestCloud;
  let iam: IAMClient;
  let sts: STSClient;
  beforeAll(async () => {
    cloud = await startTestCloud({ services: ['iam', 'sts'], clock: 'virtual', engine: 'lmdb' });
    iam = new IAMClient(cloud.clientConfig);
    sts = new STSClient(cloud.clientConfig);
  });
  afterAll(() => cloud.close());

  const newRole = (RoleName: string, more: object = {}) =>
    iam.send(
      new CreateRoleCommand({
        RoleName,
        AssumeRolePolicyDocument: trustOf({ Service: 'lambda.amazonaws.com' }),
        ...more,
      }),
    );
  const assume = (input: Partial<ConstructorParameters<typeof AssumeRoleCommand>[0]>) =>
    sts.send(new AssumeRoleCommand({ RoleArn: `arn:aws:iam::${account}:role/r`, RoleSessionName: 'one', ...input }));

  test('a caller is the root of the account that its key names', async () => {
    expect(await sts.send(new GetCallerIdentityCommand({}))).toMatchObject({
      Account: account,
      UserId: account,
      Arn: `arn:aws:iam::${account}:root`,
    });
    const other = as(cloud, STSClient, { AccessKeyId: '123456789012', SecretAccessKey: 'x' });
    expect((await other.send(new GetCallerIdentityCommand({}))).Arn).toBe('arn:aws:iam::123456789012:root');
  });

  test('a user and an assumed role are who they are, also after a restart, until the end', async () => {
    await iam.send(new CreateUserCommand({ UserName: 'ann', Path: '/team/' }));
    const { AccessKey = {} } = await iam.send(new CreateAccessKeyCommand({ UserName: 'ann' }));
    const user = as(cloud, STSClient, AccessKey);
    expect((await user.send(new GetCallerIdentityCommand({}))).Arn).toBe(`arn:aws:iam::${account}:user/team/ann`);
    const { Role } = await newRole('r', { Path: '/app/' });
    const RoleArn = Role?.Arn ?? '';
    const { Credentials, AssumedRoleUser } = await assume({ RoleArn, DurationSeconds: 900 });
    expect(AssumedRoleUser).toEqual({
      AssumedRoleId: `${Role?.RoleId}:one`,
      Arn: `arn:aws:sts::${account}:assumed-role/r/one`,
    });
    expect(Credentials?.AccessKeyId).toMatch(/^ASIA[A-Z2-7]{16}$/);
    expect(Math.abs((Credentials?.Expiration?.getTime() ?? 0) - cloud.clock.now() - 900_000)).toBeLessThan(5_000);
    const identity = { Account: account, UserId: `${Role?.RoleId}:one`, Arn: AssumedRoleUser?.Arn };
    expect(await as(cloud, STSClient, Credentials ?? {}).send(new GetCallerIdentityCommand({}))).toMatchObject(
      identity,
    );
    expect(await sts.send(new GetAccessKeyInfoCommand({ AccessKeyId: Credentials?.AccessKeyId ?? '' }))).toMatchObject({
      Account: account,
    });

    cloud = await cloud.restart();
    iam = new IAMClient(cloud.clientConfig);
    sts = new STSClient(cloud.clientConfig);
    expect(await as(cloud, STSClient, Credentials ?? {}).send(new GetCallerIdentityCommand({}))).toMatchObject(
      identity,
    );
    expect(await cloud.cloud.platform.credentials.find(Credentials?.AccessKeyId ?? '')).toMatchObject({
      secretAccessKey: Credentials?.SecretAccessKey,
      sessionToken: Credentials?.SessionToken,
      principal: { roleArn: RoleArn },
    });
    await cloud.clock.advance(3 * 3_600_000);
    cloud = await cloud.restart();
    iam = new IAMClient(cloud.clientConfig);
    sts = new STSClient(cloud.clientConfig);
    expect(await cloud.cloud.platform.credentials.find(Credentials?.AccessKeyId ?? '')).toBeUndefined();
  });

  test('AssumeRole refuses what does not fit', async () => {
    await newRole('short');
    const RoleArn = `arn:aws:iam::${account}:role/short`;
    await expect(assume({ RoleArn: 'nothing-valid-in-here' })).rejects.toMatchObject({
      name: 'ValidationError',
      message: 'nothing-valid-in-here is invalid',
    });
    await expect(assume({ RoleArn: `arn:aws:iam::${account}:role/missing` })).rejects.toMatchObject({
      name: 'AccessDenied',
      message: `User: arn:aws:iam::${account}:root is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::${account}:role/missing`,
      $metadata: { httpStatusCode: 403 },
    });
    await expect(assume({ RoleArn, DurationSeconds: 3601 })).rejects.toMatchObject({
      message: 'The requested DurationSeconds exceeds the MaxSessionDuration set for this role.',
    });
    await expect(assume({ RoleArn, DurationSeconds: 899 })).rejects.toMatchObject({
      message: expect.stringContaining("at 'durationSeconds' failed to satisfy constraint"),
    });
    await expect(assume({ RoleArn, RoleSessionName: 'a:b' })).rejects.toMatchObject({
      message: expect.stringContaining("Value 'a:b' at 'roleSessionName' failed to satisfy constraint"),
    });
    await expect(assume({ RoleArn, Policy: '{' })).rejects.toMatchObject({ name: 'MalformedPolicyDocumentException' });
    const long = JSON.stringify({
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Action: 's3:*', Resource: `arn:aws:s3:::${'x'.repeat(2100)}` }],
    });
    await expect(assume({ RoleArn, Policy: long })).rejects.toMatchObject({ name: 'PackedPolicyTooLargeException' });
    await expect(assume({ RoleArn, Tags: [{ Key: 'a', Value: '1' }], TransitiveTagKeys: ['b'] })).rejects.toMatchObject(
      { message: 'The specified transitive tag key must be included in the requested tags.' },
    );
    const small = await assume({ RoleArn, Policy: document('s3:*') });
    expect(small.PackedPolicySize).toBeGreaterThan(0);
  });

  test('GetSessionToken stands for its caller; what is not built says so', async () => {
    const { Credentials = {} as Credentials } = await sts.send(new GetSessionTokenCommand({}));
    const again = as(cloud, STSClient, Credentials);
    expect((await again.send(new GetCallerIdentityCommand({}))).Arn).toBe(`arn:aws:iam::${account}:root`);
    await expect(again.send(new GetSessionTokenCommand({}))).rejects.toMatchObject({
      message: 'Cannot call GetSessionToken with session credentials',
    });
    for (const call of [
      () => sts.send(new DecodeAuthorizationMessageCommand({ EncodedMessage: 'x' })),
      () =>
        sts.send(
          new AssumeRoleWithWebIdentityCommand({
            RoleArn: `arn:aws:iam::${account}:role/r`,
            RoleSessionName: 'one',
            WebIdentityToken: 'abcde',
          }),
        ),
    ])
      await expect(call()).rejects.toMatchObject({ name: 'NotImplemented' });
  });
});

describe('where IAM is enforced', () => {
  let cloud: TestCloud;
  let iam: IAMClient;
  let ann: { AccessKeyId?: string | undefined; SecretAccessKey?: string | undefined };
  const group = { logGroupName: 'g' };
  beforeAll(async () => {
    cloud = await startTestCloud({ services: ['iam', 'sts', 'logs'], auth: 'enforced' });
    const root = await cloud.cloud.platform.credentials.root();
    iam = as(cloud, IAMClient, { AccessKeyId: root.accessKeyId, SecretAccessKey: root.secretAccessKey });
    await iam.send(new CreateUserCommand({ UserName: 'ann' }));
    ann = (await iam.send(new CreateAccessKeyCommand({ UserName: 'ann' }))).AccessKey ?? {};
  });
  afterAll(() => cloud.close());

  test('a user may do what its policies say', async () => {
    const arn = `arn:aws:iam::${account}:user/ann`;
    const logs = as(cloud, CloudWatchLogsClient, ann);
    expect((await as(cloud, STSClient, ann).send(new GetCallerIdentityCommand({}))).Arn).toBe(arn);
    await expect(logs.send(new CreateLogGroupCommand(group))).rejects.toMatchObject({
      name: 'AccessDeniedException',
      message: `User: ${arn} is not authorized to perform: logs:CreateLogGroup on resource: arn:aws:logs:us-east-1:${account}:log-group:g because no identity-based policy allows the logs:CreateLogGroup action`,
    });
    await iam.send(
      new AttachUserPolicyCommand({ UserName: 'ann', PolicyArn: 'arn:aws:iam::aws:policy/CloudWatchLogsFullAccess' }),
    );
    await logs.send(new CreateLogGroupCommand(group));
    await iam.send(
      new PutUserPolicyCommand({
        UserName: 'ann',
        PolicyName: 'no',
        PolicyDocument: document('logs:Describe*', '*', 'Deny'),
      }),
    );
    await expect(logs.send(new DescribeLogGroupsCommand({}))).rejects.toMatchObject({
      message: expect.stringContaining('with an explicit deny in an identity-based policy'),
    });
    await expect(as(cloud, IAMClient, ann).send(new GetUserCommand({}))).rejects.toMatchObject({
      name: 'AccessDenied',
    });
  });

  test('a wrong secret, an unknown and an inactive key are refused', async () => {
    const wrong = as(cloud, STSClient, { ...ann, SecretAccessKey: 'wrong' });
    await expect(wrong.send(new GetCallerIdentityCommand({}))).rejects.toMatchObject({ name: 'SignatureDoesNotMatch' });
    const unknown = as(cloud, STSClient, { AccessKeyId: 'AKIAIOSFODNN7EXAMPLE', SecretAccessKey: 'x' });
    await expect(unknown.send(new GetCallerIdentityCommand({}))).rejects.toMatchObject({
      name: 'InvalidClientTokenId',
    });
    await iam.send(new CreateUserCommand({ UserName: 'bob' }));
    const key = (await iam.send(new CreateAccessKeyCommand({ UserName: 'bob' }))).AccessKey ?? {};
    const bob = as(cloud, STSClient, key as typeof ann);
    await bob.send(new GetCallerIdentityCommand({}));
    await iam.send(
      new UpdateAccessKeyCommand({ UserName: 'bob', AccessKeyId: (key as typeof ann).AccessKeyId, Status: 'Inactive' }),
    );
    await expect(bob.send(new GetCallerIdentityCommand({}))).rejects.toMatchObject({ name: 'InvalidClientTokenId' });
  });

  test('a role is assumed by whom its trust policy names, and limited by the session policy', async () => {
    const RoleArn = `arn:aws:iam::${account}:role/reader`;
    await iam.send(
      new CreateRoleCommand({
        RoleName: 'reader',
        AssumeRolePolicyDocument: trustOf({ Service: 'lambda.amazonaws.com' }),
      }),
    );
    await iam.send(
      new PutRolePolicyCommand({ RoleName: 'reader', PolicyName: 'p', PolicyDocument: document('logs:*') }),
    );
    const sts = as(cloud, STSClient, ann);
    const assume = (more: object = {}) => sts.send(new AssumeRoleCommand({ RoleArn, RoleSessionName: 'one', ...more }));
    await expect(assume()).rejects.toMatchObject({ name: 'AccessDenied' });

    // The account is trusted: then the user's own policies must allow it, too.
    const trust = (PolicyDocument: string) =>
      iam.send(new UpdateAssumeRolePolicyCommand({ RoleName: 'reader', PolicyDocument }));
    await trust(trustOf({ AWS: account }));
    await expect(assume()).rejects.toMatchObject({
      message: expect.stringContaining('because no identity-based policy allows the sts:AssumeRole action'),
    });
    // The user is trusted by name, with an external id.
    await trust(trustOf({ AWS: `arn:aws:iam::${account}:user/ann` }));
    await assume();
    await iam.send(
      new PutUserPolicyCommand({
        UserName: 'ann',
        PolicyName: 'a',
        PolicyDocument: document('sts:AssumeRole', RoleArn),
      }),
    );
    await trust(trustOf({ AWS: account }, { StringEquals: { 'sts:ExternalId': 'secret' } }));
    await expect(assume()).rejects.toMatchObject({ name: 'AccessDenied' });
    const { Credentials = {} as Credentials } = await assume({
      ExternalId: 'secret',
      Policy: document('logs:Describe*'),
    });

    const logs = as(cloud, CloudWatchLogsClient, Credentials);
    const { logGroups } = await logs.send(new DescribeLogGroupsCommand({}));
    expect(logGroups?.length).toBe(1);
    await expect(logs.send(new CreateLogGroupCommand({ logGroupName: 'h' }))).rejects.toMatchObject({
      message: expect.stringContaining('because no session policy allows the logs:CreateLogGroup action'),
    });
    const { SessionToken: _, ...withoutToken } = Credentials;
    await expect(as(cloud, STSClient, withoutToken).send(new GetCallerIdentityCommand({}))).rejects.toMatchObject({
      name: 'InvalidClientTokenId',
    });
  });
});
