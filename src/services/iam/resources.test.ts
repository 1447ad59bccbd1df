import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { type Call, serviceCaller } from '../../platform/context.ts';
import type { ResourceContext, ResourceType } from '../../platform/resource-type.ts';

let cloud: TestCloud;
const account = '000000000000';
const caller = serviceCaller('cloudformation', account, 'us-east-1');

beforeAll(async () => {
  cloud = await startTestCloud({ services: ['iam', 'logs'] });
});
afterAll(() => cloud.close());

const call: Call = (service, operation, input) => cloud.cloud.platform.bus.call(caller, service, operation, input);

function contextOf(logicalId: string, stackName = 'stack'): ResourceContext {
  return {
    caller,
    bus: cloud.cloud.platform.bus,
    stackName,
    stackId: `arn:aws:cloudformation:us-east-1:${account}:stack/${stackName}/1`,
    logicalId,
    clientToken: `${stackName}-${logicalId}`,
    generatedName: ({ maxLength, suffix = '' }) => `${stackName}-${logicalId}-ABC123`.slice(0, maxLength) + suffix,
    sleep: async () => {},
  };
}

function type(name: string): ResourceType {
  const found = cloud.cloud.platform.resourceTypes.get(name);
  if (found === undefined) throw new Error(`no type ${name}`);
  return found;
}

const trust = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { Service: 'lambda.amazonaws.com' }, Action: 'sts:AssumeRole' }],
};
const document = (Action: string) => ({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action, Resource: '*' }],
});
const basic = 'arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole';
const queues = 'arn:aws:iam::aws:policy/AmazonSQSFullAccess';

describe('AWS::IAM::Role', () => {
  test('is created once, however often it is tried, updated and deleted with its policies', async () => {
    const role = type('AWS::IAM::Role');
    const context = contextOf('Role');
    const first = {
      AssumeRolePolicyDocument: trust,
      ManagedPolicyArns: [basic],
      Policies: [{ PolicyName: 'one', PolicyDocument: document('sqs:*') }],
      Tags: [{ Key: 'a', Value: '1' }],
    };
    const made = await role.create(context, first);
    expect(made).toEqual({
      physicalId: 'stack-Role-ABC123',
      attributes: {
        Arn: `arn:aws:iam::${account}:role/stack-Role-ABC123`,
        RoleId: expect.stringMatching(/^AROA/),
      },
    });
    expect(await role.create(context, first)).toEqual(made);
    await expect(role.create(contextOf('Other'), { ...first, RoleName: 'stack-Role-ABC123' })).rejects.toMatchObject({
      code: 'EntityAlreadyExistsException',
    });

    const second = {
      AssumeRolePolicyDocument: trust,
      Description: 'changed',
      MaxSessionDuration: '7200',
      ManagedPolicyArns: [queues],
      Policies: [{ PolicyName: 'two', PolicyDocument: document('s3:*') }],
      Tags: [{ Key: 'b', Value: '2' }],
    };
    await role.update(context, made.physicalId, second, first);
    const of = { RoleName: made.physicalId };
    const { Role } = await call('iam', 'GetRole', of);
    expect(Role).toMatchObject({ Description: 'changed', MaxSessionDuration: 7200 });
    expect(Role.Tags?.filter(({ Key }) => !Key.startsWith('aws:'))).toEqual([{ Key: 'b', Value: '2' }]);
    expect((await call('iam', 'ListRolePolicies', of)).PolicyNames).toEqual(['two']);
    expect((await call('iam', 'ListAttachedRolePolicies', of)).AttachedPolicies?.map((one) => one.PolicyArn)).toEqual([
      queues,
    ]);

    await role.delete(context, made.physicalId, second);
    await role.delete(context, made.physicalId, second);
    await expect(call('iam', 'GetRole', of)).rejects.toMatchObject({ code: 'NoSuchEntityException' });
  });
});

describe('policies', () => {
  test('AWS::IAM::Policy and AWS::IAM::ManagedPolicy follow their entities', async () => {
    for (const RoleName of ['a', 'b'])
      await call('iam', 'CreateRole', { RoleName, AssumeRolePolicyDocument: JSON.stringify(trust) });
    const inline = type('AWS::IAM::Policy');
    const first = { PolicyName: 'p', PolicyDocument: document('sqs:*'), Roles: ['a'] };
    const made = await inline.create(contextOf('Inline'), first);
    await inline.update(contextOf('Inline'), made.physicalId, { ...first, Roles: ['b'] }, first);
    expect((await call('iam', 'ListRolePolicies', { RoleName: 'a' })).PolicyNames).toEqual([]);
    expect((await call('iam', 'ListRolePolicies', { RoleName: 'b' })).PolicyNames).toEqual(['p']);
    await inline.delete(contextOf('Inline'), made.physicalId, { ...first, Roles: ['b'] });
    expect((await call('iam', 'ListRolePolicies', { RoleName: 'b' })).PolicyNames).toEqual([]);
    await expect(inline.create(contextOf('None'), { ...first, Roles: [] })).rejects.toMatchObject({
      message: 'At least one of [Groups,Roles,Users] must be non-empty.',
    });

    const managed = type('AWS::IAM::ManagedPolicy');
    let properties: Record<string, unknown> = { PolicyDocument: document('sqs:*'), Roles: ['a'] };
    const policy = await managed.create(contextOf('Managed'), properties);
    expect(await managed.create(contextOf('Managed'), properties)).toEqual(policy);
    expect(policy.physicalId).toBe(`arn:aws:iam::${account}:policy/stack-Managed-ABC123`);
    for (let round = 0; round < 6; round++) {
      const next = { PolicyDocument: document(`sqs:Send${round}`), Roles: ['b'] };
      await managed.update(contextOf('Managed'), policy.physicalId, next, properties);
      properties = next;
    }
    const { Policy } = await call('iam', 'GetPolicy', { PolicyArn: policy.physicalId });
    expect(Policy).toMatchObject({ DefaultVersionId: 'v7', AttachmentCount: 1 });
    await managed.delete(contextOf('Managed'), policy.physicalId, properties);
    await managed.delete(contextOf('Managed'), policy.physicalId, properties);
    await expect(call('iam', 'GetPolicy', { PolicyArn: policy.physicalId })).rejects.toMatchObject({
      code: 'NoSuchEntityException',
    });
  });
});

test('AWS::IAM::User, Group and AccessKey', async () => {
  const group = await type('AWS::IAM::Group').create(contextOf('Group'), {});
  const properties = { Groups: [group.physicalId], ManagedPolicyArns: [queues] };
  const user = await type('AWS::IAM::User').create(contextOf('User'), properties);
  expect(await type('AWS::IAM::User').create(contextOf('User'), properties)).toEqual(user);
  const keyType = type('AWS::IAM::AccessKey');
  const key = await keyType.create(contextOf('Key'), { UserName: user.physicalId });
  expect(key.attributes['SecretAccessKey']).toMatch(/^\S{40}$/);
  const changed = { UserName: user.physicalId, Status: 'Inactive' };
  expect(await keyType.update(contextOf('Key'), key.physicalId, changed, {})).toEqual(key);
  expect(await cloud.cloud.platform.credentials.find(key.physicalId)).toBeUndefined();
  await keyType.delete(contextOf('Key'), key.physicalId, changed);
  const updated = await type('AWS::IAM::User').update(contextOf('User'), user.physicalId, { Path: '/x/' }, properties);
  expect(updated.attributes['Arn']).toBe(`arn:aws:iam::${account}:user/x/${user.physicalId}`);
  await type('AWS::IAM::User').delete(contextOf('User'), user.physicalId, {});
  await type('AWS::IAM::Group').delete(contextOf('Group'), group.physicalId, {});
  await expect(call('iam', 'GetGroup', { GroupName: group.physicalId })).rejects.toMatchObject({
    code: 'NoSuchEntityException',
  });
});
