import { describe, expect, it } from 'vitest';
import { encodeError } from './codec.ts';
import type { AwsError } from './errors.ts';
import { hintOf, identify } from './route.ts';
import { REQUEST_ID, rawRequest } from './test-support.ts';

const FORM = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' };
const signedFor = (service: string) => ({
  authorization: `AWS4-HMAC-SHA256 Credential=123456789012/20240102/eu-west-1/${service}/aws4_request, SignedHeaders=host, Signature=00`,
});

function refusal(request: ReturnType<typeof rawRequest>) {
  try {
    identify(request);
  } catch (error) {
    const { code, status } = error as AwsError;
    return { code, status, response: encodeError(error, { ...hintOf(request), requestId: REQUEST_ID }) };
  }
  throw new Error('the request was identified');
}

describe('identify', () => {
  it('by target', () => {
    const headers = { 'x-amz-target': 'DynamoDB_20120810.GetItem', 'content-type': 'application/x-amz-json-1.0' };
    expect(identify(rawRequest({ headers }))).toEqual({
      service: 'dynamodb',
      operation: 'GetItem',
      protocol: 'awsJson1_0',
    });
    const logs = { 'x-amz-target': 'Logs_20140328.PutLogEvents' };
    expect(identify(rawRequest({ headers: logs }))).toMatchObject({ service: 'logs', protocol: 'awsJson1_1' });
  });

  it('by action, in a form or in the query string, signed or not', () => {
    const body = 'Action=ListRoles&Version=2010-05-08';
    expect(identify(rawRequest({ headers: FORM, body }))).toEqual({
      service: 'iam',
      operation: 'ListRoles',
      protocol: 'query',
    });
    const query = 'Action=GetCallerIdentity&Version=2011-06-15';
    expect(identify(rawRequest({ method: 'GET', query }))).toMatchObject({ service: 'sts' });
    // SQS clients of old post to the queue's own path, and some send no version.
    const queueUrl = '/123456789012/jobs';
    expect(identify(rawRequest({ path: queueUrl, headers: FORM, body: 'Action=SendMessage&MessageBody=a' }))).toEqual({
      service: 'sqs',
      operation: 'SendMessage',
      protocol: 'query',
    });
    const scoped = rawRequest({ headers: { ...FORM, ...signedFor('cloudformation') }, body: 'Action=DescribeStacks' });
    expect(identify(scoped)).toMatchObject({ service: 'cloudformation', operation: 'DescribeStacks' });
  });

  it('by path, signed or not', () => {
    const path = '/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A1%3Afunction%3Af/invocations';
    const invoke = { service: 'lambda', operation: 'Invoke', protocol: 'restJson' };
    expect(identify(rawRequest({ path }))).toEqual(invoke);
    expect(identify(rawRequest({ path, headers: signedFor('lambda') }))).toEqual(invoke);
    expect(identify(rawRequest({ method: 'GET', path: '/2015-03-31/functions/' }))).toMatchObject({
      operation: 'ListFunctions',
    });
    const routes = rawRequest({ method: 'GET', path: '/v2/apis/a1/routes', headers: signedFor('apigateway') });
    expect(identify(routes)).toMatchObject({ service: 'apigatewayv2', operation: 'GetRoutes' });
  });

  it('refuses an unknown operation in its protocol', () => {
    const target = refusal(rawRequest({ headers: { 'x-amz-target': 'AmazonSQS.Nothing' } }));
    expect(target).toMatchObject({ code: 'UnknownOperationException', status: 400 });
    expect(JSON.parse(String(target.response.body))).toEqual({
      __type: 'com.amazon.coral.service#UnknownOperationException',
    });
    const action = refusal(
      rawRequest({ headers: { ...FORM, ...signedFor('iam') }, body: 'Action=Nothing&Version=2010-05-08' }),
    );
    expect(action).toMatchObject({ code: 'InvalidAction', status: 400 });
    expect(String(action.response.body)).toContain(
      '<Code>InvalidAction</Code><Message>Could not find operation Nothing for version 2010-05-08</Message>',
    );
    const path = refusal(rawRequest({ path: '/2015-03-31/nothing', headers: signedFor('lambda') }));
    expect(path).toMatchObject({ code: 'UnknownOperationException', status: 404 });
    expect(path.response.headers['x-amzn-ErrorType']).toBe('UnknownOperationException');
    expect(refusal(rawRequest({ headers: signedFor('iam') }))).toMatchObject({ code: 'MissingAction' });
  });

  it('names a service that is not built', () => {
    const { status, response } = refusal(rawRequest({ path: '/b', headers: signedFor('s3') }));
    expect(status).toBe(501);
    expect(String(response.body)).toContain('The service s3 is not built');
    expect(refusal(rawRequest({ headers: { 'x-amz-target': 'Nobody.Nothing' } })).response.status).toBe(400);
    expect(refusal(rawRequest({ headers: { 'x-amz-target': '__proto__' } })).code).toBe('UnknownOperationException');
  });
});
