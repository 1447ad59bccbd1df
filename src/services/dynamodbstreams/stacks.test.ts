import { CloudFormationClient, CreateStackCommand, DescribeStacksCommand } from '@aws-sdk/client-cloudformation';
import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { DynamoDBStreamsClient } from '@aws-sdk/client-dynamodb-streams';
import { expect, it } from 'vitest';
import { startTestCloud } from '../../../test/support/cloud.ts';
import { recordsOf } from './test-support.ts';

const template = {
  Transform: 'AWS::Serverless-2016-10-31',
  Resources: {
    Source: {
      Type: 'AWS::DynamoDB::Table',
      Properties: {
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
        KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
        StreamSpecification: { StreamViewType: 'NEW_AND_OLD_IMAGES' },
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
        ResourcePolicy: {
          PolicyDocument: {
            Version: '2012-10-17',
            Statement: [
              {
                Effect: 'Allow',
                Principal: { AWS: { 'Fn::Sub': '${AWS::AccountId}' } },
                Action: 'dynamodb:GetItem',
                Resource: '*',
              },
            ],
          },
        },
      },
    },
    Simple: { Type: 'AWS::Serverless::SimpleTable', Properties: { PrimaryKey: { Name: 'id', Type: 'Number' } } },
    Global: {
      Type: 'AWS::DynamoDB::GlobalTable',
      Properties: {
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
        KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
        Replicas: [{ Region: { Ref: 'AWS::Region' } }],
      },
    },
  },
  Outputs: {
    Stream: { Value: { 'Fn::GetAtt': ['Source', 'StreamArn'] } },
    Name: { Value: { Ref: 'Source' } },
    GlobalId: { Value: { 'Fn::GetAtt': ['Global', 'TableId'] } },
    SimpleArn: { Value: { 'Fn::GetAtt': ['Simple', 'Arn'] } },
  },
};

it('gives a stack the stream of its table', async () => {
  const cloud = await startTestCloud({
    services: ['cloudformation', 'dynamodb', 'dynamodbstreams', 'iam', 'sts', 'lambda', 'logs'],
  });
  const stacks = new CloudFormationClient(cloud.clientConfig);
  const client = new DynamoDBClient(cloud.clientConfig);
  const streams = new DynamoDBStreamsClient(cloud.clientConfig);
  await stacks.send(
    new CreateStackCommand({
      StackName: 'streams',
      TemplateBody: JSON.stringify(template),
      Capabilities: ['CAPABILITY_AUTO_EXPAND', 'CAPABILITY_IAM'],
    }),
  );
  const stack = async () => (await stacks.send(new DescribeStacksCommand({ StackName: 'streams' }))).Stacks![0]!;
  await expect
    .poll(async () => (await stack()).StackStatus, { timeout: 20_000, interval: 100 })
    .not.toBe('CREATE_IN_PROGRESS');
  const { StackStatus, StackStatusReason, Outputs = [] } = await stack();
  expect(StackStatus, StackStatusReason).toBe('CREATE_COMPLETE');
  const output = (key: string) => Outputs.find(({ OutputKey }) => OutputKey === key)!.OutputValue!;
  await client.send(new PutItemCommand({ TableName: output('Name'), Item: { pk: { S: 'a' } } }));
  expect(await recordsOf(streams, output('Stream'))).toMatchObject([{ eventName: 'INSERT' }]);
  expect(output('GlobalId')).toMatch(/^[0-9a-f-]{36}$/);
  expect(output('SimpleArn')).toContain(':table/streams-Simple-');
  for (const each of [stacks, client, streams]) each.destroy();
  await cloud.close();
}, 40_000);
