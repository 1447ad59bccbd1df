import {
  ApiGatewayV2Client,
  CreateApiCommand,
  GetRoutesCommand,
  TagResourceCommand,
} from '@aws-sdk/client-apigatewayv2';
import { CloudFormationClient, CreateStackCommand, DescribeStacksCommand } from '@aws-sdk/client-cloudformation';
import { CloudWatchLogsClient, CreateLogGroupCommand, PutLogEventsCommand } from '@aws-sdk/client-cloudwatch-logs';
import { DynamoDBClient, GetItemCommand, PutItemCommand, QueryCommand } from '@aws-sdk/client-dynamodb';
import { CreateRoleCommand, IAMClient, ListRolesCommand } from '@aws-sdk/client-iam';
import {
  CreateFunctionCommand,
  DeleteFunctionCommand,
  InvokeCommand,
  LambdaClient,
  ListFunctionsCommand,
} from '@aws-sdk/client-lambda';
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { describe, expect, it } from 'vitest';
import { AwsError, notImplemented } from './errors.ts';
import { RawJson } from './raw-json.ts';
import type { Exchange } from './test-support.ts';
import { REQUEST_ID, wired } from './test-support.ts';

const TIME_MS = Date.UTC(2024, 4, 6, 7, 8, 9, 250);
const QueueUrl = 'http://127.0.0.1:4566/123456789012/jobs';

describe('SQS (AWS JSON 1.0)', () => {
  it('decodes blobs and answers lists, maps and blobs', async () => {
    const seen: Exchange[] = [];
    const client = new SQSClient({
      ...wired(({ identified }) => {
        if (identified.operation === 'SendMessage')
          return { MessageId: 'm-1', MD5OfMessageBody: '5d41402abc4b2a76b9719d911017c592' };
        const MessageAttributes = { raw: { DataType: 'Binary', BinaryValue: Buffer.from([1, 2, 3]) } };
        return {
          Messages: [{ MessageId: 'm-1', Body: 'hello', Attributes: { SentTimestamp: '5' }, MessageAttributes }],
        };
      }, seen),
      md5: false,
    });
    const input = {
      QueueUrl,
      MessageBody: 'hello',
      MessageAttributes: { raw: { DataType: 'Binary', BinaryValue: new Uint8Array([1, 2, 3]) } },
    };
    const sent = await client.send(new SendMessageCommand(input));
    expect(sent.MessageId).toBe('m-1');
    expect(sent.$metadata.requestId).toBe(REQUEST_ID);
    expect(seen[0]!.identified).toEqual({ service: 'sqs', operation: 'SendMessage', protocol: 'awsJson1_0' });
    const decoded = seen[0]!.input as typeof input;
    expect(Buffer.from(decoded.MessageAttributes.raw.BinaryValue)).toEqual(Buffer.from([1, 2, 3]));
    const received = await client.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }));
    expect(received.Messages![0]!.MessageAttributes!['raw']!.BinaryValue).toEqual(new Uint8Array([1, 2, 3]));
    expect(received.Messages![0]!.Attributes).toEqual({ SentTimestamp: '5' });
  });

  it('answers an operation without output', async () => {
    const client = new SQSClient(wired(() => undefined));
    const answer = await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: 'r' }));
    expect(answer.$metadata.httpStatusCode).toBe(200);
  });

  it('lets the client see both names of an error', async () => {
    const missing = 'The specified queue does not exist.';
    const client = new SQSClient(
      wired(() => {
        throw new AwsError('QueueDoesNotExist', missing);
      }),
    );
    const error = await client.send(new SendMessageCommand({ QueueUrl, MessageBody: 'x' })).catch((caught) => caught);
    expect(error).toMatchObject({
      name: 'QueueDoesNotExist',
      message: missing,
      Code: 'AWS.SimpleQueueService.NonExistentQueue',
    });
    expect(error.Error).toMatchObject({ Type: 'Sender' });
  });

  it('refuses in the words of SQS what is missing or out of range', async () => {
    const client = new SQSClient(wired(() => ({})));
    const empty = await client.send(new SendMessageCommand({ QueueUrl, MessageBody: '' })).catch((caught) => caught);
    expect(empty.message).toBe('The request must contain the parameter MessageBody.');
    const many = await client
      .send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 11 }))
      .catch((caught) => caught);
    expect(many.message).toBe(
      'Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.',
    );
    expect(many.Code).toBe('InvalidParameterValue');
  });

  it('leaves unknown attributes to the service', async () => {
    const seen: Exchange[] = [];
    const client = new SQSClient(wired(() => ({ QueueUrl }), seen));
    const Attributes = { Nonsense: '1' } as Record<string, string>;
    await client.send(new CreateQueueCommand({ QueueName: 'jobs', Attributes, tags: { a: 'b' } }));
    expect(seen[0]!.input).toEqual({ QueueName: 'jobs', Attributes, tags: { a: 'b' } });
  });
});

describe('DynamoDB (AWS JSON 1.0)', () => {
  it('passes attribute values as they came, answers RawJson, and the SDK accepts the checksum', async () => {
    const seen: Exchange[] = [];
    const Item = {
      id: { S: 'a' },
      bin: { B: new Uint8Array([255]) },
      deep: { M: { list: { L: [{ N: '1' }, { NULL: true as const }] } } },
    };
    const stored = '{"id":{"S":"a"},"bin":{"B":"/w=="}}';
    const client = new DynamoDBClient(
      wired(({ identified }) => {
        if (identified.operation === 'PutItem') return {};
        if (identified.operation === 'Query') return { Items: [new RawJson(stored), { id: { S: 'b' } }], Count: 2 };
        return { Item: new RawJson(stored) };
      }, seen),
    );
    await client.send(new PutItemCommand({ TableName: 'inventory', Item }));
    expect(seen[0]!.input).toEqual({
      TableName: 'inventory',
      Item: { id: { S: 'a' }, bin: { B: '/w==' }, deep: { M: { list: { L: [{ N: '1' }, { NULL: true }] } } } },
    });
    const got = await client.send(new GetItemCommand({ TableName: 'inventory', Key: { id: { S: 'a' } } }));
    expect(got.Item).toEqual({ id: { S: 'a' }, bin: { B: new Uint8Array([255]) } });
    const found = await client.send(new QueryCommand({ TableName: 'inventory' }));
    expect(found.Items!.map((item) => item['id']!.S)).toEqual(['a', 'b']);
  });

  it('carries the members of an error', async () => {
    const client = new DynamoDBClient(
      wired(() => {
        throw new AwsError('ConditionalCheckFailedException', 'The conditional request failed', {
          fields: { Item: { id: { S: 'a' } } },
        });
      }),
    );
    const error = await client.send(new PutItemCommand({ TableName: 'inventory', Item: {} })).catch((caught) => caught);
    expect(error).toMatchObject({ name: 'ConditionalCheckFailedException', Item: { id: { S: 'a' } } });
  });

  it('validates with the constraints of the model', async () => {
    const client = new DynamoDBClient(wired(() => ({})));
    const ReturnValues = 'EVERYTHING' as 'NONE';
    const error = await client
      .send(new PutItemCommand({ TableName: 't', Item: {}, ReturnValues }))
      .catch((caught) => caught);
    expect(error.name).toBe('ValidationException');
    expect(error.message).toBe(
      "1 validation error detected: Value 'EVERYTHING' at 'returnValues' failed to satisfy constraint: Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]",
    );
  });
});

describe('Logs (AWS JSON 1.1)', () => {
  it('round trip, empty answer and its own validation code', async () => {
    const seen: Exchange[] = [];
    const client = new CloudWatchLogsClient(
      wired(
        ({ identified }) => (identified.operation === 'PutLogEvents' ? { nextSequenceToken: 't' } : undefined),
        seen,
      ),
    );
    await client.send(new CreateLogGroupCommand({ logGroupName: '/aws/lambda/f' }));
    const logEvents = [{ timestamp: TIME_MS, message: 'a "line"\n' }];
    const put = await client.send(new PutLogEventsCommand({ logGroupName: 'g', logStreamName: 's', logEvents }));
    expect(put.nextSequenceToken).toBe('t');
    expect(seen.map(({ identified }) => identified.protocol)).toEqual(['awsJson1_1', 'awsJson1_1']);
    expect(seen[1]!.input).toEqual({ logGroupName: 'g', logStreamName: 's', logEvents });
    const bad = await client.send(new CreateLogGroupCommand({ logGroupName: 'a b' })).catch((caught) => caught);
    expect(bad.name).toBe('InvalidParameterException');
    expect(bad.message).toBe(
      "1 validation error detected: Value 'a b' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+",
    );
  });
});

describe('Lambda (REST JSON)', () => {
  it('binds labels, headers, query strings, bodies and payloads', async () => {
    const seen: Exchange[] = [];
    const client = new LambdaClient(
      wired(({ identified }) => {
        if (identified.operation === 'Invoke')
          return { StatusCode: 202, FunctionError: 'Unhandled', LogResult: 'bG9n', Payload: Buffer.from('{"a":1}') };
        if (identified.operation === 'ListFunctions')
          return { Functions: [{ FunctionName: 'f', Environment: { Variables: { A: 'b' } } }] };
        return { FunctionName: 'f', State: 'Pending' };
      }, seen),
    );
    const Role = 'arn:aws:iam::123456789012:role/r';
    const ZipFile = new Uint8Array([80, 75]);
    const created = await client.send(
      new CreateFunctionCommand({
        FunctionName: 'f',
        Role,
        Runtime: 'nodejs20.x',
        Handler: 'index.handler',
        Code: { ZipFile },
      }),
    );
    expect(created).toMatchObject({ FunctionName: 'f', State: 'Pending', $metadata: { httpStatusCode: 201 } });
    expect(seen[0]!.input).toMatchObject({ FunctionName: 'f', Role, Code: { ZipFile: Buffer.from([80, 75]) } });
    const Payload = new TextEncoder().encode('{"x":"é"}');
    const FunctionName = 'arn:aws:lambda:eu-central-1:123456789012:function:f';
    const invoked = await client.send(
      new InvokeCommand({ FunctionName, InvocationType: 'Event', Qualifier: '1', Payload }),
    );
    expect(seen[1]!.input).toEqual({
      FunctionName,
      InvocationType: 'Event',
      Qualifier: '1',
      Payload: Buffer.from(Payload),
    });
    expect(invoked).toMatchObject({ StatusCode: 202, FunctionError: 'Unhandled', LogResult: 'bG9n' });
    expect(Buffer.from(invoked.Payload!).toString()).toBe('{"a":1}');
    const listed = await client.send(new ListFunctionsCommand({ MaxItems: 5 }));
    expect(seen[2]!.input).toEqual({ MaxItems: 5 });
    expect(listed.Functions![0]!.Environment!.Variables).toEqual({ A: 'b' });
  });

  it('tells errors by header and body', async () => {
    const client = new LambdaClient(
      wired(({ identified }) => {
        throw identified.operation === 'Invoke'
          ? new AwsError('TooManyRequestsException', 'Rate Exceeded.', {
              fields: { retryAfterSeconds: '3', Reason: 'ReservedFunctionConcurrentInvocationLimitExceeded' },
            })
          : notImplemented('lambda', identified.operation);
      }),
    );
    const throttled = await client.send(new InvokeCommand({ FunctionName: 'f' })).catch((caught) => caught);
    expect(throttled).toMatchObject({
      name: 'TooManyRequestsException',
      retryAfterSeconds: '3',
      Reason: 'ReservedFunctionConcurrentInvocationLimitExceeded',
      $metadata: { httpStatusCode: 429 },
    });
    const missing = await client.send(new DeleteFunctionCommand({ FunctionName: 'f' })).catch((caught) => caught);
    expect(missing).toMatchObject({ name: 'NotImplemented', $metadata: { httpStatusCode: 501 } });
    expect(missing.message).toContain('DeleteFunction');
  });
});

describe('API Gateway v2 (REST JSON with renamed members)', () => {
  it('round trip', async () => {
    const seen: Exchange[] = [];
    const client = new ApiGatewayV2Client(
      wired(({ identified }) => {
        if (identified.operation === 'CreateApi')
          return { ApiId: 'a1', Name: 'n', CreatedDate: TIME_MS, CorsConfiguration: { AllowOrigins: ['*'] } };
        return identified.operation === 'GetRoutes' ? { Items: [{ RouteId: 'r', RouteKey: 'GET /' }] } : {};
      }, seen),
    );
    const created = await client.send(
      new CreateApiCommand({ Name: 'n', ProtocolType: 'HTTP', CorsConfiguration: { AllowOrigins: ['*'], MaxAge: 5 } }),
    );
    expect(created).toMatchObject({
      ApiId: 'a1',
      CreatedDate: new Date(Math.floor(TIME_MS)),
      CorsConfiguration: { AllowOrigins: ['*'] },
    });
    expect(seen[0]!.input).toEqual({
      Name: 'n',
      ProtocolType: 'HTTP',
      CorsConfiguration: { AllowOrigins: ['*'], MaxAge: 5 },
    });
    const routes = await client.send(new GetRoutesCommand({ ApiId: 'a1', MaxResults: '7' }));
    expect(seen[1]!.input).toEqual({ ApiId: 'a1', MaxResults: '7' });
    expect(routes.Items![0]!.RouteKey).toBe('GET /');
    const ResourceArn = 'arn:aws:apigateway:eu-central-1::/apis/a1';
    await client.send(new TagResourceCommand({ ResourceArn, Tags: { a: 'b' } }));
    expect(seen[2]!.input).toEqual({ ResourceArn, Tags: { a: 'b' } });
  });
});

describe('IAM, STS, CloudFormation (query)', () => {
  it('IAM: lists, timestamps, escapes', async () => {
    const seen: Exchange[] = [];
    const role = {
      Path: '/',
      RoleName: 'r',
      RoleId: 'AROA1',
      Arn: 'arn:aws:iam::123456789012:role/r',
      CreateDate: TIME_MS,
      Description: '<&">',
    };
    const client = new IAMClient(
      wired(
        ({ identified }) =>
          identified.operation === 'CreateRole' ? { Role: role } : { Roles: [role, role], IsTruncated: false },
        seen,
      ),
    );
    const input = { RoleName: 'r', AssumeRolePolicyDocument: '{"a": "é+&="}', Tags: [{ Key: 'k', Value: 'v' }] };
    const created = await client.send(new CreateRoleCommand(input));
    expect(seen[0]).toMatchObject({ identified: { service: 'iam', protocol: 'query' }, input });
    expect(created.Role).toEqual({ ...role, CreateDate: new Date(TIME_MS) });
    const listed = await client.send(new ListRolesCommand({ MaxItems: 2 }));
    expect(listed.Roles).toHaveLength(2);
    expect(seen[1]!.input).toEqual({ MaxItems: 2 });
    const bad = await client.send(new CreateRoleCommand({ ...input, RoleName: 'a b' })).catch((caught) => caught);
    expect(bad.name).toBe('ValidationError');
    expect(bad.message).toContain(
      "at 'roleName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]+",
    );
  });

  it('STS: structures', async () => {
    const Credentials = { AccessKeyId: 'ASIA', SecretAccessKey: 's', SessionToken: 't', Expiration: TIME_MS };
    const client = new STSClient(
      wired(({ identified }) =>
        identified.operation === 'AssumeRole' ? { Credentials } : { Account: '123456789012' },
      ),
    );
    const assumed = await client.send(
      new AssumeRoleCommand({ RoleArn: 'arn:aws:iam::123456789012:role/r', RoleSessionName: 'se' }),
    );
    expect(assumed.Credentials).toEqual({ ...Credentials, Expiration: new Date(TIME_MS) });
    expect((await client.send(new GetCallerIdentityCommand({}))).Account).toBe('123456789012');
  });

  it('CloudFormation: nested lists and modelled error codes', async () => {
    const seen: Exchange[] = [];
    const client = new CloudFormationClient(
      wired(({ identified }) => {
        if (identified.operation === 'CreateStack')
          throw new AwsError('AlreadyExistsException', 'Stack [s] already exists');
        return {
          Stacks: [
            {
              StackName: 's',
              CreationTime: TIME_MS,
              StackStatus: 'CREATE_COMPLETE',
              Outputs: [{ OutputKey: 'k', OutputValue: 'v' }],
            },
          ],
        };
      }, seen),
    );
    const Parameters = [{ ParameterKey: 'P', ParameterValue: '1' }];
    const create = {
      StackName: 's',
      TemplateBody: '{}',
      Parameters,
      Capabilities: ['CAPABILITY_IAM' as const],
      DisableRollback: true,
    };
    const error = await client.send(new CreateStackCommand(create)).catch((caught) => caught);
    expect(error).toMatchObject({
      name: 'AlreadyExistsException',
      $metadata: { httpStatusCode: 400, requestId: REQUEST_ID },
    });
    expect(seen[0]!.input).toEqual(create);
    const described = await client.send(new DescribeStacksCommand({ StackName: 's' }));
    expect(described.Stacks![0]).toMatchObject({
      CreationTime: new Date(TIME_MS),
      Outputs: [{ OutputKey: 'k', OutputValue: 'v' }],
    });
  });
});
