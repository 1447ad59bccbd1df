import { ApiGatewayV2Client, GetRoutesCommand } from '@aws-sdk/client-apigatewayv2';
import { IAMClient, ListRolesCommand } from '@aws-sdk/client-iam';
import { InvokeCommand, LambdaClient, ListVersionsByFunctionCommand } from '@aws-sdk/client-lambda';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { describe, expect, it } from 'vitest';
import type { WireRequest } from './message.ts';
import type { Protocol } from './model.ts';
import { basicDate } from './signature.ts';
import { parseSignature, sign, verify } from './sigv4.ts';
import type { Exchange } from './test-support.ts';
import { rawRequest, wired } from './test-support.ts';

const SECRET = 'secret';
const NOW_MS = Date.UTC(2024, 0, 2, 3, 4, 5);
const MINUTE_MS = 60_000;

/** A request that the stock SDK signed, and the moment at which it did. */
async function signedBySdk(
  send: (settings: ReturnType<typeof wired>) => Promise<unknown>,
): Promise<[WireRequest, number]> {
  const seen: Exchange[] = [];
  await send(wired(() => ({}), seen));
  const { request } = seen[0]!;
  const [, year, month, day, hour, minute, second] = /^(....)(..)(..)T(..)(..)(..)Z$/
    .exec(request.headers['x-amz-date']!)!
    .map(Number);
  return [request, Date.UTC(year!, month! - 1, day, hour, minute, second)];
}

function outcome(request: WireRequest, nowMs: number, protocol: Protocol = 'awsJson1_0', secret = SECRET) {
  const verified = verify(request, secret, nowMs, protocol);
  return verified.ok
    ? 'ok'
    : { code: verified.error.code, status: verified.error.status, message: verified.error.message };
}

describe('requests signed by the stock SDK', () => {
  const QueueUrl = 'http://127.0.0.1:4566/123456789012/jobs';
  const cases: [string, (settings: ReturnType<typeof wired>) => Promise<unknown>][] = [
    [
      'sqs',
      (settings) =>
        new SQSClient({ ...settings, md5: false }).send(new SendMessageCommand({ QueueUrl, MessageBody: 'é' })),
    ],
    ['iam', (settings) => new IAMClient(settings).send(new ListRolesCommand({ PathPrefix: '/a+c=(x)/' }))],
    [
      'lambda',
      (settings) =>
        new LambdaClient(settings).send(
          new InvokeCommand({
            FunctionName: 'arn:aws:lambda:eu-central-1:123456789012:function:f',
            Payload: Buffer.from('{}'),
          }),
        ),
    ],
    [
      'lambda',
      (settings) =>
        new LambdaClient(settings).send(
          new ListVersionsByFunctionCommand({ FunctionName: 'f', Marker: 'a+/=*', MaxItems: 3 }),
        ),
    ],
    [
      'apigateway',
      (settings) => new ApiGatewayV2Client(settings).send(new GetRoutesCommand({ ApiId: 'a1', NextToken: 'x y' })),
    ],
  ];

  it.each(cases)('%s: scope, verification, tampering', async (service, send) => {
    const [request, signedMs] = await signedBySdk(send);
    expect(parseSignature(request)).toMatchObject({
      form: 'header',
      accessKeyId: '123456789012',
      region: 'eu-central-1',
      service,
    });
    expect(outcome(request, signedMs)).toBe('ok');
    expect(outcome(request, signedMs, 'awsJson1_0', 'other')).toMatchObject({
      code: 'InvalidSignatureException',
      status: 400,
    });
    expect(outcome(request, signedMs, 'query', 'other')).toMatchObject({ code: 'SignatureDoesNotMatch', status: 403 });
    const changed = { ...request, body: Buffer.concat([request.body, Buffer.from(' ')]) };
    expect(outcome(changed, signedMs)).toMatchObject({ code: 'InvalidSignatureException' });
    expect(outcome({ ...request, query: `${request.query}&z=1` }, signedMs)).toMatchObject({
      code: 'InvalidSignatureException',
    });
  });
});

describe('sign', () => {
  it('signs what verify takes, with a session token and odd paths', () => {
    const request = rawRequest({
      path: '/a%20b/../c/',
      query: 'b=2&a=1&a=%2F',
      headers: { 'x-extra': ' two   spaces ' },
      body: '{}',
    });
    const credentials = { accessKeyId: 'AKIA', secretAccessKey: SECRET, sessionToken: 'token' };
    for (const service of ['execute-api', 's3']) {
      const headers = {
        ...request.headers,
        ...sign(request, credentials, { region: 'us-east-1', service, nowMs: NOW_MS }),
      };
      expect(parseSignature({ ...request, headers })).toMatchObject({
        service,
        sessionToken: 'token',
        signedAt: '20240102T030405Z',
      });
      expect(outcome({ ...request, headers }, NOW_MS)).toBe('ok');
    }
  });

  it("knows AWS's published example of a presigned request", () => {
    // https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    const signedMs = Date.UTC(2013, 4, 24);
    const request = rawRequest({
      method: 'GET',
      path: '/test.txt',
      headers: { host: 'examplebucket.s3.amazonaws.com' },
      query:
        'X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
    });
    const secret = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
    expect(parseSignature(request)).toMatchObject({
      form: 'presigned',
      expiresS: 86_400,
      region: 'us-east-1',
      service: 's3',
    });
    expect(outcome(request, signedMs, 'restXml', secret)).toBe('ok');
    expect(outcome(request, signedMs + 86_400_000, 'restXml', secret)).toBe('ok');
    expect(outcome(request, signedMs + 86_401_000, 'restXml', secret)).toMatchObject({
      message: expect.stringContaining('Signature expired'),
    });
    expect(outcome({ ...request, path: '/other.txt' }, signedMs, 'restXml', secret)).toMatchObject({
      code: 'SignatureDoesNotMatch',
    });
  });
});

describe('what AWS refuses', () => {
  const request = rawRequest({ body: '{}' });
  const signed = (nowMs: number) => ({
    ...request,
    headers: {
      ...request.headers,
      ...sign(request, { accessKeyId: 'AKIA', secretAccessKey: SECRET }, { region: 'r', service: 'sqs', nowMs }),
    },
  });

  it('a clock more than five minutes off', () => {
    expect(outcome(signed(NOW_MS), NOW_MS + 5 * MINUTE_MS)).toBe('ok');
    expect(outcome(signed(NOW_MS), NOW_MS + 5 * MINUTE_MS + 1000)).toEqual({
      code: 'InvalidSignatureException',
      status: 400,
      message: 'Signature expired: 20240102T030405Z is now earlier than 20240102T030406Z (20240102T030906Z - 5 min.)',
    });
    expect(outcome(signed(NOW_MS), NOW_MS - 6 * MINUTE_MS)).toMatchObject({
      message: expect.stringContaining('not yet current'),
    });
  });

  it('missing and malformed authorization', () => {
    const withAuthorization = (authorization: string) => ({
      ...request,
      headers: { ...request.headers, authorization },
    });
    expect(outcome(request, NOW_MS)).toEqual({
      code: 'MissingAuthenticationTokenException',
      status: 400,
      message: 'Request is missing Authentication Token',
    });
    expect(outcome(request, NOW_MS, 'query')).toMatchObject({ code: 'MissingAuthenticationToken', status: 403 });
    const bare = 'AWS4-HMAC-SHA256 Credential=a/b/c/d';
    expect(outcome(withAuthorization(bare), NOW_MS)).toEqual({
      code: 'IncompleteSignatureException',
      status: 400,
      message: `Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=${bare}`,
    });
    expect(outcome(withAuthorization('AWS4-HMAC-SHA25 x'), NOW_MS)).toMatchObject({
      code: 'IncompleteSignatureException',
    });
    const short = {
      ...signed(NOW_MS).headers,
      authorization: 'AWS4-HMAC-SHA256 Credential=a/b/c/d, SignedHeaders=host, Signature=x',
    };
    expect(outcome({ ...request, headers: short }, NOW_MS)).toMatchObject({
      message: expect.stringContaining("got 'a/b/c/d'"),
    });
    expect(parseSignature(withAuthorization('Basic abc'))).toBeUndefined();
    expect(parseSignature(withAuthorization('AWS4-HMAC-SHA256 ,,='))).toBeUndefined();
  });

  it('a half presigned request, and both forms at once', () => {
    const half = rawRequest({ method: 'GET', query: 'X-Amz-Algorithm=AWS4-HMAC-SHA256' });
    expect(outcome(half, NOW_MS)).toMatchObject({
      code: 'IncompleteSignatureException',
      message: expect.stringContaining("must include 'X-Amz-Credential'"),
    });
    const both = { ...signed(NOW_MS), query: 'X-Amz-Algorithm=AWS4-HMAC-SHA256' };
    expect(outcome(both, NOW_MS)).toMatchObject({ message: expect.stringContaining('Found both') });
  });

  it("a digest header that is not the body's", () => {
    const bucket = rawRequest({ path: '/b/k', body: 'data' });
    const headers = {
      ...bucket.headers,
      ...sign(bucket, { accessKeyId: 'A', secretAccessKey: SECRET }, { region: 'r', service: 's3', nowMs: NOW_MS }),
    };
    expect(outcome({ ...bucket, headers }, NOW_MS)).toBe('ok');
    expect(outcome({ ...bucket, headers, body: Buffer.from('date') }, NOW_MS)).toMatchObject({
      code: 'InvalidSignatureException',
    });
  });
});

it('basicDate', () => {
  expect(basicDate(NOW_MS)).toBe('20240102T030405Z');
});
