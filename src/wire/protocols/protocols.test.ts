import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { codecFor, encodeError } from '../codec.ts';
import { AwsError, notImplemented } from '../errors.ts';
import { loadModel } from '../model.ts';
import { RawJson } from '../raw-json.ts';
import { REQUEST_ID, rawRequest } from '../test-support.ts';

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

function decodeError(service: string, operation: string, body: string): string {
  try {
    codecFor(service, operation, loadModel(service).protocols[0]!).decode(rawRequest({ body }));
  } catch (error) {
    const { code, message } = error as AwsError;
    return `${code}: ${message}`;
  }
  return 'accepted';
}

describe('AWS JSON', () => {
  it('refuses what is not JSON and wrong JSON types', () => {
    expect(decodeError('sqs', 'SendMessage', '{"a":')).toBe('SerializationException: ');
    expect(decodeError('dynamodb', 'GetItem', '')).toBe('SerializationException: ');
    expect(decodeError('sqs', 'SendMessage', '[]')).toBe(
      'SerializationException: Start of list found where not expected',
    );
    expect(decodeError('sqs', 'ReceiveMessage', '{"MaxNumberOfMessages":"x"}')).toBe(
      'SerializationException: STRING_VALUE can not be converted to an Integer',
    );
    expect(decodeError('dynamodb', 'GetItem', '{"TableName":23}')).toBe(
      'SerializationException: NUMBER_VALUE cannot be converted to String',
    );
    expect(decodeError('dynamodb', 'GetItem', '{"TableName":[]}')).toBe(
      'SerializationException: Unrecognized collection type class java.lang.String',
    );
    expect(decodeError('dynamodb', 'GetItem', '{"AttributesToGet":"a"}')).toBe(
      'SerializationException: Unexpected field type',
    );
    expect(decodeError('dynamodb', 'GetItem', '{"ConsistentRead":2}')).toBe(
      'SerializationException: NUMBER_VALUE cannot be converted to Boolean',
    );
    expect(decodeError('sqs', 'SendMessage', '{"MessageAttributes":{"a":{"BinaryValue":"abc"}}}')).toBe(
      'SerializationException: Base64 encoded length is expected a multiple of 4 bytes but found: 3',
    );
  });

  it('drops nulls and what the model does not know, and leaves __proto__ a key', () => {
    const { decode } = codecFor('sqs', 'TagQueue', 'awsJson1_0');
    const input = decode(
      rawRequest({ body: '{"QueueUrl":"q","Tags":{"__proto__":"x","a":null},"More":1,"__proto__":{"b":1}}' }),
    ) as {
      Tags: object;
    };
    expect(Object.keys(input)).toEqual(['QueueUrl', 'Tags']);
    expect(Object.entries(input.Tags)).toEqual([['__proto__', 'x']]);
    expect(Object.getPrototypeOf(input.Tags)).toBe(Object.prototype);
  });

  it('answers DynamoDB with a checksum, and RawJson as it stands', () => {
    const { encode } = codecFor('dynamodb', 'GetItem', 'awsJson1_0');
    const { headers, body } = encode({ Item: new RawJson('{ "a":{"S":"é"}}'), Unknown: 1 }, REQUEST_ID);
    expect(String(body)).toBe('{"Item":{ "a":{"S":"é"}}}');
    expect(headers).toEqual({
      'x-amzn-RequestId': REQUEST_ID,
      'x-amz-crc32': String(crc32(body)),
      'content-type': 'application/x-amz-json-1.0',
    });
  });

  it('names errors as each service does', () => {
    const render = (service: string, error: unknown) => {
      const { status, headers, body } = encodeError(error, {
        service,
        protocol: loadModel(service).protocols[0]!,
        requestId: REQUEST_ID,
      });
      return { status, query: headers['x-amzn-query-error'], body: JSON.parse(String(body)) };
    };
    expect(render('sqs', new AwsError('QueueDoesNotExist', 'no'))).toEqual({
      status: 400,
      query: 'AWS.SimpleQueueService.NonExistentQueue;Sender',
      body: { __type: 'com.amazonaws.sqs#QueueDoesNotExist', message: 'no' },
    });
    expect(render('dynamodb', new AwsError('ValidationException', 'no')).body.__type).toBe(
      'com.amazon.coral.validate#ValidationException',
    );
    expect(render('dynamodb', new AwsError('ResourceNotFoundException', 'no')).body.__type).toBe(
      'com.amazonaws.dynamodb.v20120810#ResourceNotFoundException',
    );
    expect(render('dynamodb', new AwsError('SerializationException', 'no')).body).toEqual({
      __type: 'com.amazon.coral.service#SerializationException',
      Message: 'no',
    });
    expect(render('logs', new AwsError('ResourceNotFoundException', 'no')).body).toEqual({
      __type: 'ResourceNotFoundException',
      message: 'no',
    });
    expect(render('lambda', new AwsError('ResourceNotFoundException', 'no'))).toMatchObject({
      status: 404,
      body: { Type: 'User', Message: 'no' },
    });
    expect(render('dynamodb', new AwsError('InternalServerError', 'no'))).toMatchObject({ status: 500 });
    expect(render('sqs', notImplemented('sqs', 'AddPermission'))).toMatchObject({
      status: 501,
      query: 'NotImplemented;Receiver',
    });
  });

  it('tells nothing of an unknown error', () => {
    const { status, body } = encodeError(new Error('secret at /home'), {
      service: 'sqs',
      protocol: 'awsJson1_0',
      requestId: REQUEST_ID,
    });
    expect(status).toBe(500);
    expect(String(body)).toContain('InternalServerError');
    expect(String(body)).not.toContain('secret');
  });
});

describe('query', () => {
  const decode = (operation: string, body: string, path = '/') =>
    codecFor('sqs', operation, 'query').decode(
      rawRequest({ path, headers: { ...FORM, host: 'localhost:4566' }, body }),
    );

  it('reads flattened lists, maps and batches, and the queue from the path', () => {
    const body =
      'Action=SendMessage&MessageBody=a+b%26&MessageAttribute.1.Name=n&MessageAttribute.1.Value.DataType=Binary&MessageAttribute.1.Value.BinaryValue=AQI%3D';
    expect(decode('SendMessage', body, '/123456789012/jobs')).toEqual({
      QueueUrl: 'http://localhost:4566/123456789012/jobs',
      MessageBody: 'a b&',
      MessageAttributes: { n: { DataType: 'Binary', BinaryValue: Buffer.from([1, 2]) } },
    });
    expect(decode('GetQueueAttributes', 'QueueUrl=q&AttributeName.2=B&AttributeName.1=A&AttributeName.10=C')).toEqual({
      QueueUrl: 'q',
      AttributeNames: ['A', 'B', 'C'],
    });
    expect(
      decode('CreateQueue', 'QueueName=q&Attribute.1.Name=DelaySeconds&Attribute.1.Value=5&Tag.1.Key=k&Tag.1.Value=v'),
    ).toEqual({
      QueueName: 'q',
      Attributes: { DelaySeconds: '5' },
      tags: { k: 'v' },
    });
    expect(decode('DeleteMessageBatch', 'QueueUrl=q')).toEqual({ QueueUrl: 'q', Entries: [] });
    const entries =
      'SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.MessageBody=x&SendMessageBatchRequestEntry.1.DelaySeconds=3';
    expect(decode('SendMessageBatch', `QueueUrl=q&${entries}`)).toEqual({
      QueueUrl: 'q',
      Entries: [{ Id: 'a', MessageBody: 'x', DelaySeconds: 3 }],
    });
  });

  it('writes the result wrapper, flattened lists and maps', () => {
    const { encode } = codecFor('sqs', 'ReceiveMessage', 'query');
    const Messages = [{ MessageId: 'm', Body: '<a>&\r', Attributes: { SenderId: 's' } }];
    expect(encode({ Messages }, REQUEST_ID).body).toBe(
      `<ReceiveMessageResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><ReceiveMessageResult><Message><MessageId>m</MessageId><Body>&lt;a&gt;&amp;&#xD;</Body><Attribute><Name>SenderId</Name><Value>s</Value></Attribute></Message></ReceiveMessageResult><ResponseMetadata><RequestId>${REQUEST_ID}</RequestId></ResponseMetadata></ReceiveMessageResponse>`,
    );
    expect(codecFor('sqs', 'DeleteMessage', 'query').encode(undefined, REQUEST_ID).body).toBe(
      `<DeleteMessageResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><ResponseMetadata><RequestId>${REQUEST_ID}</RequestId></ResponseMetadata></DeleteMessageResponse>`,
    );
  });

  it('writes errors by their query code', () => {
    const context = { service: 'sqs', protocol: 'query', requestId: REQUEST_ID } as const;
    const gone = encodeError(new AwsError('QueueDoesNotExist', 'a<b'), context);
    expect(gone.status).toBe(400);
    expect(gone.body).toContain(
      '<Error><Type>Sender</Type><Code>AWS.SimpleQueueService.NonExistentQueue</Code><Message>a&lt;b</Message></Error>',
    );
    const missing = encodeError(new AwsError('MissingRequiredParameterException', 'm'), context);
    expect(missing.body).toContain('<Code>MissingParameter</Code>');
    expect(encodeError(new Error('x'), context).body).toContain('<Type>Receiver</Type><Code>InternalFailure</Code>');
  });

  it('refuses numbers that are none and names nested without end', () => {
    expect(() => decode('ReceiveMessage', 'QueueUrl=q&MaxNumberOfMessages=x')).toThrow(AwsError);
    expect(() => decode('ReceiveMessage', `QueueUrl=q&${'a.'.repeat(1000)}=1`)).toThrow('nested too deep');
  });
});

describe('REST JSON', () => {
  it('refuses a body that is not JSON and a query parameter of the wrong type', () => {
    expect(decodeError('lambda', 'CreateFunction', '{')).toBe('SerializationException: ');
    const { decode } = codecFor('lambda', 'ListFunctions', 'restJson');
    const request = rawRequest({ method: 'GET', path: '/2015-03-31/functions', query: 'MaxItems=many' });
    expect(() => decode(request)).toThrow('STRING_VALUE can not be converted to an Integer');
  });

  it('compiles every operation of every service in every protocol it has', () => {
    for (const service of ['apigatewayv2', 'cloudformation', 'dynamodb', 'iam', 'lambda', 'logs', 'sqs', 'sts']) {
      const model = loadModel(service);
      for (const operation of Object.keys(model.operations)) {
        for (const protocol of model.protocols)
          expect(codecFor(service, operation, protocol).decode).toBeTypeOf('function');
      }
    }
  });
});
