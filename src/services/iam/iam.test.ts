import {
  AddUserToGroupCommand,
  AttachRolePolicyCommand,
  AttachUserPolicyCommand,
  CreateAccessKeyCommand,
  CreateGroupCommand,
  CreateInstanceProfileCommand,
  CreatePolicyCommand,
  CreatePolicyVersionCommand,
  CreateRoleCommand,
  CreateUserCommand,
  DeleteAccessKeyCommand,
  DeleteGroupCommand,
  DeletePolicyCommand,
  DeletePolicyVersionCommand,
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  DeleteUserCommand,
  DetachRolePolicyCommand,
  GetGroupCommand,
  GetPolicyCommand,
  GetPolicyVersionCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  GetUserCommand,
  IAMClient,
  ListAccessKeysCommand,
  ListAttachedRolePoliciesCommand,
  ListEntitiesForPolicyCommand,
  ListGroupsForUserCommand,
  ListPolicyVersionsCommand,
  ListRolePoliciesCommand,
  ListRolesCommand,
  ListRoleTagsCommand,
  PutRolePermissionsBoundaryCommand,
  PutRolePolicyCommand,
  PutUserPolicyCommand,
  RemoveUserFromGroupCommand,
  TagRoleCommand,
  UntagRoleCommand,
  UpdateAssumeRolePolicyCommand,
  UpdateRoleCommand,
  UpdateUserCommand,
} from '@aws-sdk/client-iam';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';

let cloud: TestCloud;
let client: IAMClient;

const account = '000000000000';
const trust = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { Service: 'lambda.amazonaws.com' }, Action: 'sts:AssumeRole' }],
});
const document = (Action = 'sqs:SendMessage'): string =>
  JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action, Resource: '*' }] });
const basic = 'arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole';

beforeAll(async () => {
  cloud = await startTestCloud({ services: ['iam'] });
  client = new IAMClient(cloud.clientConfig);
});

afterAll(async () => {
  client.destroy();
  await cloud.close();
});

function newRole(RoleName: string) {
  return client.send(new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: trust }));
}

describe('roles', () => {
  test('are made, shown, changed and deleted', async () => {
    const { Role } = await client.send(
      new CreateRoleCommand({
        RoleName: 'Worker',
        Path: '/app/',
        AssumeRolePolicyDocument: trust,
        Tags: [{ Key: 'team', Value: 'blue' }],
      }),
    );
    expect(Role).toMatchObject({
      RoleName: 'Worker',
      Path: '/app/',
      Arn: `arn:aws:iam::${account}:role/app/Worker`,
      RoleId: expect.stringMatching(/^AROA[A-Z2-7]{17}$/),
      Tags: [{ Key: 'team', Value: 'blue' }],
    });
    expect(decodeURIComponent(Role?.AssumeRolePolicyDocument ?? '')).toBe(trust);
    await expect(newRole('worker')).rejects.toMatchObject({
      name: 'EntityAlreadyExistsException',
      message: 'Role with name worker already exists.',
      $metadata: { httpStatusCode: 409 },
    });
    await client.send(new UpdateRoleCommand({ RoleName: 'Worker', Description: 'works', MaxSessionDuration: 7200 }));
    const got = await client.send(new GetRoleCommand({ RoleName: 'WORKER' }));
    expect(got.Role).toMatchObject({ Description: 'works', MaxSessionDuration: 7200, RoleName: 'Worker' });
    await client.send(
      new TagRoleCommand({
        RoleName: 'Worker',
        Tags: [
          { Key: 'Team', Value: 'red' },
          { Key: 'x', Value: '' },
        ],
      }),
    );
    await client.send(new UntagRoleCommand({ RoleName: 'Worker', TagKeys: ['x'] }));
    const { Tags } = await client.send(new ListRoleTagsCommand({ RoleName: 'Worker' }));
    expect(Tags).toEqual([{ Key: 'Team', Value: 'red' }]);
    await client.send(new DeleteRoleCommand({ RoleName: 'Worker' }));
    await expect(client.send(new GetRoleCommand({ RoleName: 'Worker' }))).rejects.toMatchObject({
      name: 'NoSuchEntityException',
      message: 'The role with name Worker cannot be found.',
      $metadata: { httpStatusCode: 404 },
    });
  });

  test('are listed by path and page', async () => {
    for (const name of ['p1', 'P2', 'p3'])
      await client.send(new CreateRoleCommand({ RoleName: name, Path: '/page/', AssumeRolePolicyDocument: trust }));
    const first = await client.send(new ListRolesCommand({ PathPrefix: '/page/', MaxItems: 2 }));
    expect(first.Roles?.map(({ RoleName }) => RoleName)).toEqual(['p1', 'P2']);
    expect(first.IsTruncated).toBe(true);
    const rest = await client.send(new ListRolesCommand({ PathPrefix: '/page/', MaxItems: 2, Marker: first.Marker }));
    expect(rest.Roles?.map(({ RoleName }) => RoleName)).toEqual(['p3']);
    expect(rest.IsTruncated).toBe(false);
  });

  test('a broken trust policy is refused in AWS’s words', async () => {
    const create = (AssumeRolePolicyDocument: string) =>
      client.send(new CreateRoleCommand({ RoleName: 'bad', AssumeRolePolicyDocument }));
    await expect(create('{bad')).rejects.toMatchObject({
      name: 'MalformedPolicyDocumentException',
      message: 'This policy contains invalid Json',
    });
    await newRole('trusting');
    await expect(
      client.send(new UpdateAssumeRolePolicyCommand({ RoleName: 'trusting', PolicyDocument: document() })),
    ).rejects.toMatchObject({ message: 'Has prohibited field Resource' });
    const long = JSON.stringify({
      Version: '2012-10-17',
      Statement: Array.from({ length: 30 }, (_, index) => ({ ...JSON.parse(trust).Statement[0], Sid: `s${index}` })),
    });
    await expect(create(long)).rejects.toMatchObject({
      name: 'LimitExceededException',
      message: 'Cannot exceed quota for ACLSizePerRole: 2048',
    });
  });

  test('inline policies are kept as written, bounded in sum, and hinder deletion', async () => {
    await newRole('inline');
    const spaced =
      '{ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::a%3A*" } }';
    await client.send(new PutRolePolicyCommand({ RoleName: 'inline', PolicyName: 'one', PolicyDocument: spaced }));
    await client.send(new PutRolePolicyCommand({ RoleName: 'inline', PolicyName: 'two', PolicyDocument: document() }));
    const got = await client.send(new GetRolePolicyCommand({ RoleName: 'inline', PolicyName: 'one' }));
    expect(decodeURIComponent(got.PolicyDocument ?? '')).toBe(spaced);
    const { PolicyNames } = await client.send(new ListRolePoliciesCommand({ RoleName: 'inline' }));
    expect(PolicyNames).toEqual(['one', 'two']);
    await expect(client.send(new DeleteRoleCommand({ RoleName: 'inline' }))).rejects.toMatchObject({
      name: 'DeleteConflictException',
      message: 'Cannot delete entity, must delete policies first.',
      $metadata: { httpStatusCode: 409 },
    });
    const long = JSON.stringify({
      Version: '2012-10-17',
      Statement: Array.from({ length: 120 }, (_, index) => ({
        Effect: 'Allow',
        Action: 'sqs:SendMessage',
        Resource: `arn:aws:sqs:us-east-1:${account}:queue-with-a-long-name-${index}`,
      })),
    });
    await expect(
      client.send(new PutRolePolicyCommand({ RoleName: 'inline', PolicyName: 'long', PolicyDocument: long })),
    ).rejects.toMatchObject({
      name: 'LimitExceededException',
      message: 'Maximum policy size of 10240 bytes exceeded for role inline',
    });
    await client.send(new DeleteRolePolicyCommand({ RoleName: 'inline', PolicyName: 'one' }));
    await expect(
      client.send(new DeleteRolePolicyCommand({ RoleName: 'inline', PolicyName: 'one' })),
    ).rejects.toMatchObject({ message: 'The role policy with name one cannot be found.' });
  });

  test('managed policies are attached, AWS’s among them, up to ten', async () => {
    await newRole('attached');
    const attach = (PolicyArn: string) => client.send(new AttachRolePolicyCommand({ RoleName: 'attached', PolicyArn }));
    await attach(basic);
    await attach(basic);
    await expect(attach('name-only-no-arn-at-all')).rejects.toMatchObject({
      name: 'ValidationError',
      message: 'Invalid ARN:  Could not be parsed!',
    });
    const missing = `arn:aws:iam::${account}:policy/missing`;
    await expect(attach(missing)).rejects.toMatchObject({
      name: 'NoSuchEntityException',
      message: `Policy ${missing} does not exist or is not attachable.`,
    });
    const { AttachedPolicies } = await client.send(new ListAttachedRolePoliciesCommand({ RoleName: 'attached' }));
    expect(AttachedPolicies).toEqual([{ PolicyName: 'AWSLambdaBasicExecutionRole', PolicyArn: basic }]);
    const version = await client.send(new GetPolicyVersionCommand({ PolicyArn: basic, VersionId: 'v1' }));
    expect(JSON.parse(decodeURIComponent(version.PolicyVersion?.Document ?? ''))).toMatchObject({
      Statement: [{ Action: ['logs:CreateLogGroup', 'logs:CreateLogStream', 'logs:PutLogEvents'] }],
    });
    await expect(client.send(new DeleteRoleCommand({ RoleName: 'attached' }))).rejects.toMatchObject({
      message: 'Cannot delete entity, must detach all policies first.',
    });
    for (let index = 0; index < 9; index++) await attach(`arn:aws:iam::aws:policy/Extra${index}`);
    await expect(attach('arn:aws:iam::aws:policy/OneMore')).rejects.toMatchObject({
      name: 'LimitExceededException',
      message: 'Cannot exceed quota for PoliciesPerRole: 10',
    });
    await client.send(new DetachRolePolicyCommand({ RoleName: 'attached', PolicyArn: basic }));
    await expect(
      client.send(new DetachRolePolicyCommand({ RoleName: 'attached', PolicyArn: basic })),
    ).rejects.toMatchObject({ message: `Policy ${basic} was not found.` });
  });
});

describe('managed policies', () => {
  test('have versions, one of them in force', async () => {
    const { Policy } = await client.send(
      new CreatePolicyCommand({ PolicyName: 'versioned', PolicyDocument: document(), Description: 'd' }),
    );
    const PolicyArn = Policy?.Arn ?? '';
    expect(Policy).toMatchObject({
      Arn: `arn:aws:iam::${account}:policy/versioned`,
      PolicyId: expect.stringMatching(/^ANPA[A-Z2-7]{17}$/),
      AttachmentCount: 0,
      DefaultVersionId: 'v1',
      IsAttachable: true,
    });
    await expect(
      client.send(new CreatePolicyCommand({ PolicyName: 'versioned', PolicyDocument: document() })),
    ).rejects.toMatchObject({
      name: 'EntityAlreadyExistsException',
      message: 'A policy called versioned already exists. Duplicate names are not allowed.',
    });
    for (let index = 0; index < 4; index++)
      await client.send(
        new CreatePolicyVersionCommand({
          PolicyArn,
          PolicyDocument: document('s3:GetObject'),
          SetAsDefault: index === 1,
        }),
      );
    await expect(
      client.send(new CreatePolicyVersionCommand({ PolicyArn, PolicyDocument: document() })),
    ).rejects.toMatchObject({ name: 'LimitExceededException' });
    const { Versions } = await client.send(new ListPolicyVersionsCommand({ PolicyArn }));
    expect(Versions?.map(({ VersionId, IsDefaultVersion }) => [VersionId, IsDefaultVersion])).toEqual([
      ['v5', false],
      ['v4', false],
      ['v3', true],
      ['v2', false],
      ['v1', false],
    ]);
    await expect(client.send(new DeletePolicyVersionCommand({ PolicyArn, VersionId: 'v3' }))).rejects.toMatchObject({
      message: 'Cannot delete the default version of a policy.',
    });
    await expect(client.send(new DeletePolicyCommand({ PolicyArn }))).rejects.toMatchObject({
      message: expect.stringContaining('This policy has more than one version.'),
    });
    for (const VersionId of ['v1', 'v2', 'v4', 'v5'])
      await client.send(new DeletePolicyVersionCommand({ PolicyArn, VersionId }));
    await newRole('holder');
    await client.send(new AttachRolePolicyCommand({ RoleName: 'holder', PolicyArn }));
    await client.send(new PutRolePermissionsBoundaryCommand({ RoleName: 'holder', PermissionsBoundary: PolicyArn }));
    const used = await client.send(new GetPolicyCommand({ PolicyArn }));
    expect(used.Policy).toMatchObject({ AttachmentCount: 1, PermissionsBoundaryUsageCount: 1, Description: 'd' });
    const entities = await client.send(new ListEntitiesForPolicyCommand({ PolicyArn }));
    expect(entities.PolicyRoles?.map(({ RoleName }) => RoleName)).toEqual(['holder']);
    await expect(client.send(new DeletePolicyCommand({ PolicyArn }))).rejects.toMatchObject({
      name: 'DeleteConflictException',
      message: 'Cannot delete a policy attached to entities.',
    });
    await client.send(new DetachRolePolicyCommand({ RoleName: 'holder', PolicyArn }));
    await client.send(new DeleteRoleCommand({ RoleName: 'holder' }));
    await client.send(new DeletePolicyCommand({ PolicyArn }));
    await expect(client.send(new GetPolicyCommand({ PolicyArn }))).rejects.toMatchObject({
      name: 'NoSuchEntityException',
      message: `Policy ${PolicyArn} was not found.`,
    });
  });

  test('deleting and attaching at once never leaves a role with a policy that is gone', async () => {
    await newRole('racer');
    for (let round = 0; round < 10; round++) {
      const { Policy } = await client.send(
        new CreatePolicyCommand({ PolicyName: `race${round}`, PolicyDocument: document() }),
      );
      const PolicyArn = Policy?.Arn ?? '';
      await Promise.allSettled([
        client.send(new AttachRolePolicyCommand({ RoleName: 'racer', PolicyArn })),
        client.send(new DeletePolicyCommand({ PolicyArn })),
      ]);
      const { AttachedPolicies } = await client.send(new ListAttachedRolePoliciesCommand({ RoleName: 'racer' }));
      const attached = AttachedPolicies?.some((policy) => policy.PolicyArn === PolicyArn) ?? false;
      const exists = await client.send(new GetPolicyCommand({ PolicyArn })).then(
        () => true,
        () => false,
      );
      expect(exists).toBe(attached);
      if (attached) await client.send(new DetachRolePolicyCommand({ RoleName: 'racer', PolicyArn }));
    }
  });
});

describe('users and groups', () => {
  test('a user has keys, groups and policies, and a new name takes them along', async () => {
    const { User } = await client.send(new CreateUserCommand({ UserName: 'ann', Path: '/team/' }));
    expect(User).toMatchObject({
      Arn: `arn:aws:iam::${account}:user/team/ann`,
      UserId: expect.stringMatching(/^AIDA[A-Z2-7]{17}$/),
    });
    const { AccessKey } = await client.send(new CreateAccessKeyCommand({ UserName: 'ann' }));
    expect(AccessKey?.AccessKeyId).toMatch(/^AKIA[A-Z2-7]{16}$/);
    expect(AccessKey?.SecretAccessKey).toMatch(/^[A-Za-z0-9+/]{40}$/);
    await client.send(new CreateAccessKeyCommand({ UserName: 'ann' }));
    await expect(client.send(new CreateAccessKeyCommand({ UserName: 'ann' }))).rejects.toMatchObject({
      name: 'LimitExceededException',
      message: 'Cannot exceed quota for AccessKeysPerUser: 2',
    });
    await client.send(new CreateGroupCommand({ GroupName: 'staff' }));
    await client.send(new AddUserToGroupCommand({ GroupName: 'staff', UserName: 'ann' }));
    await client.send(
      new AttachUserPolicyCommand({ UserName: 'ann', PolicyArn: 'arn:aws:iam::aws:policy/AmazonSQSFullAccess' }),
    );
    await client.send(new PutUserPolicyCommand({ UserName: 'ann', PolicyName: 'p', PolicyDocument: document() }));
    await client.send(new UpdateUserCommand({ UserName: 'ann', NewUserName: 'anna' }));

    const asUser = new IAMClient({
      ...cloud.clientConfig,
      credentials: {
        accessKeyId: AccessKey?.AccessKeyId ?? '',
        secretAccessKey: AccessKey?.SecretAccessKey ?? '',
      },
    });
    const self = await asUser.send(new GetUserCommand({}));
    expect(self.User?.UserName).toBe('anna');
    asUser.destroy();
    const { Users } = await client.send(new GetGroupCommand({ GroupName: 'staff' }));
    expect(Users?.map(({ UserName }) => UserName)).toEqual(['anna']);
    const { Groups } = await client.send(new ListGroupsForUserCommand({ UserName: 'anna' }));
    expect(Groups?.map(({ GroupName }) => GroupName)).toEqual(['staff']);
    const entities = await client.send(
      new ListEntitiesForPolicyCommand({ PolicyArn: 'arn:aws:iam::aws:policy/AmazonSQSFullAccess' }),
    );
    expect(entities.PolicyUsers?.map(({ UserName }) => UserName)).toEqual(['anna']);
    await expect(client.send(new DeleteUserCommand({ UserName: 'anna' }))).rejects.toMatchObject({
      name: 'DeleteConflictException',
    });
    await expect(client.send(new DeleteGroupCommand({ GroupName: 'staff' }))).rejects.toMatchObject({
      message: 'Cannot delete entity, must remove users from group first.',
    });
    await client.send(new RemoveUserFromGroupCommand({ GroupName: 'staff', UserName: 'anna' }));
    await client.send(new DeleteGroupCommand({ GroupName: 'staff' }));
    const { AccessKeyMetadata } = await client.send(new ListAccessKeysCommand({ UserName: 'anna' }));
    expect(AccessKeyMetadata).toHaveLength(2);
    for (const { AccessKeyId } of AccessKeyMetadata ?? [])
      await client.send(new DeleteAccessKeyCommand({ UserName: 'anna', AccessKeyId: AccessKeyId ?? '' }));
    await expect(client.send(new GetUserCommand({ UserName: 'ann' }))).rejects.toMatchObject({
      message: 'The user with name ann cannot be found.',
    });
  });

  test('GetUser without a name shows the root to the root', async () => {
    const { User } = await client.send(new GetUserCommand({}));
    expect(User).toMatchObject({ UserId: account, Arn: `arn:aws:iam::${account}:root` });
  });
});

test('what is not built says so', async () => {
  await expect(client.send(new CreateInstanceProfileCommand({ InstanceProfileName: 'x' }))).rejects.toMatchObject({
    name: 'NotImplemented',
    $metadata: { httpStatusCode: 501 },
  });
});
