import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { zipFiles } from '../../src/services/lambda/rules/package.ts';
import { AwsCli, type ClientCloud, startClientCloud } from './support.ts';

const role = 'arn:aws:iam::000000000000:role/worker';
const source = `
exports.handler = async (event) => {
  console.log('asked', JSON.stringify(event.n ?? event.rawPath));
  if (event.fail) throw new TypeError('as asked');
  if (event.requestContext) {
    return { statusCode: 201, headers: { 'x-from': 'function' }, body: event.requestContext.http.method + ' ' + event.rawPath };
  }
  return { twice: event.n * 2, greeting: process.env.GREETING };
};`;

let cloud: ClientCloud;
let aws: AwsCli;

beforeAll(async () => {
  cloud = await startClientCloud({ services: ['lambda', 'logs', 'apigatewayv2', 'iam', 'sts', 'sqs'] });
  aws = new AwsCli(cloud);
  await writeFile(join(cloud.folder, 'code.zip'), zipFiles({ 'index.js': source }));
});
afterAll(() => cloud?.close());

const answer = async (name: string): Promise<unknown> => JSON.parse(await readFile(join(cloud.folder, name), 'utf8'));

describe('aws lambda', () => {
  it('makes a function from a zip and waits until it is active', async () => {
    const create = [
      ...['lambda', 'create-function', '--function-name', 'double', '--runtime', 'nodejs20.x', '--role', role],
      ...['--handler', 'index.handler', '--environment', 'Variables={GREETING=hello}', '--timeout', '5'],
    ];
    const refused = await aws.error(...create, '--zip-file', 'fileb://code.zip', '--role', 'worker');
    expect(refused.code).toBe('ValidationException');
    expect(refused.message).toMatch(
      /^1 validation error detected: Value 'worker' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:/,
    );
    const made = await aws.json<{ FunctionArn: string; State: string }>(...create, '--zip-file', 'fileb://code.zip');
    expect(made.FunctionArn).toBe('arn:aws:lambda:us-east-1:000000000000:function:double');
    await aws.text('lambda', 'wait', 'function-active-v2', '--function-name', 'double');
    expect((await aws.error(...create, '--zip-file', 'fileb://code.zip')).code).toBe('ResourceConflictException');
    const found = await aws.json<{ Configuration: Record<string, unknown>; Code: { Location: string } }>(
      ...['lambda', 'get-function', '--function-name', 'double'],
    );
    expect(found.Configuration).toMatchObject({ State: 'Active', Handler: 'index.handler', Timeout: 5 });
    const code = await fetch(found.Code.Location);
    expect(Buffer.from(await code.arrayBuffer())).toEqual(await readFile(join(cloud.folder, 'code.zip')));
  });

  it('invokes it: payload, log tail, an error of the function, an event', async () => {
    const invoked = await aws.json<{ StatusCode: number; LogResult: string; ExecutedVersion: string }>(
      ...['lambda', 'invoke', '--function-name', 'double', '--payload', '{"n": 21}', '--log-type', 'Tail', 'out.json'],
    );
    expect(invoked).toMatchObject({ StatusCode: 200, ExecutedVersion: '$LATEST' });
    expect(await answer('out.json')).toEqual({ twice: 42, greeting: 'hello' });
    const tail = Buffer.from(invoked.LogResult, 'base64').toString('utf8');
    expect(tail).toMatch(/^START RequestId: [\s\S]*asked 21[\s\S]*END RequestId: [\s\S]*REPORT RequestId: /);
    const failed = await aws.json<{ FunctionError: string }>(
      ...['lambda', 'invoke', '--function-name', 'double', '--payload', '{"fail": true}', 'out.json'],
    );
    expect(failed.FunctionError).toBe('Unhandled');
    expect(await answer('out.json')).toMatchObject({ errorType: 'TypeError', errorMessage: 'as asked' });
    const event = await aws.json<{ StatusCode: number }>(
      ...['lambda', 'invoke', '--function-name', 'double', '--invocation-type', 'Event', '--payload', '{"n": 4}'],
      'out.json',
    );
    expect(event.StatusCode).toBe(202);
    expect((await aws.error('lambda', 'invoke', '--function-name', 'nobody', 'out.json')).code).toBe(
      'ResourceNotFoundException',
    );
    expect(
      (await aws.error('lambda', 'invoke', '--function-name', 'double', '--payload', 'no json', 'out.json')).code,
    ).toBe('InvalidRequestContentException');
  });

  it('changes its configuration and code, and waits for each', async () => {
    await aws.json(
      ...['lambda', 'update-function-configuration', '--function-name', 'double'],
      ...['--environment', 'Variables={GREETING=hi}'],
    );
    await aws.text('lambda', 'wait', 'function-updated-v2', '--function-name', 'double');
    const published = await aws.json<{ Version: string }>('lambda', 'publish-version', '--function-name', 'double');
    expect(published.Version).toBe('1');
    await aws.json(
      ...['lambda', 'invoke', '--function-name', 'double', '--qualifier', '1', '--payload', '{"n": 1}', 'out.json'],
    );
    expect(await answer('out.json')).toEqual({ twice: 2, greeting: 'hi' });
  });

  it('lists by pages', async () => {
    for (const name of ['page-a', 'page-b']) {
      await aws.json(
        ...['lambda', 'create-function', '--function-name', name, '--runtime', 'nodejs20.x', '--role', role],
        ...['--handler', 'index.handler', '--zip-file', 'fileb://code.zip'],
      );
    }
    const names = await aws.json<string[]>(
      ...['lambda', 'list-functions', '--page-size', '1', '--query', 'Functions[].FunctionName'],
    );
    expect(names.sort()).toEqual(['double', 'page-a', 'page-b']);
  });
});

describe('aws logs', () => {
  it('has what the function printed', async () => {
    const groups = await aws.json<{ logGroups: { logGroupName: string }[] }>(
      ...['logs', 'describe-log-groups', '--log-group-name-prefix', '/aws/lambda/dou'],
    );
    expect(groups.logGroups.map(({ logGroupName }) => logGroupName)).toEqual(['/aws/lambda/double']);
    const found = await aws.json<{ events: { message: string }[] }>(
      ...['logs', 'filter-log-events', '--log-group-name', '/aws/lambda/double', '--filter-pattern', '"asked 21"'],
    );
    expect(found.events).toHaveLength(1);
    const stream = await aws.text(
      ...['logs', 'describe-log-streams', '--log-group-name', '/aws/lambda/double', '--order-by', 'LastEventTime'],
      ...['--query', 'logStreams[0].logStreamName', '--output', 'text'],
    );
    const whole = await aws.text(
      ...['logs', 'get-log-events', '--log-group-name', '/aws/lambda/double', '--log-stream-name', stream],
      ...['--start-from-head', '--query', 'events[].message', '--output', 'text'],
    );
    expect(whole).toContain('REPORT RequestId: ');
  });

  it('takes events, gives them back by pages, and refuses in AWS’s words', async () => {
    await aws.text('logs', 'create-log-group', '--log-group-name', 'mine');
    expect((await aws.error('logs', 'create-log-group', '--log-group-name', 'mine')).code).toBe(
      'ResourceAlreadyExistsException',
    );
    await aws.text('logs', 'create-log-stream', '--log-group-name', 'mine', '--log-stream-name', 's');
    const events = Array.from({ length: 5 }, (_, at) => ({ timestamp: Date.now() - 1000 + at, message: `line ${at}` }));
    await aws.json(
      ...['logs', 'put-log-events', '--log-group-name', 'mine', '--log-stream-name', 's'],
      ...['--log-events', JSON.stringify(events)],
    );
    const messages = await aws.json<string[]>(
      ...['logs', 'filter-log-events', '--log-group-name', 'mine', '--page-size', '2'],
      ...['--query', 'events[].message'],
    );
    expect(messages).toEqual(['line 0', 'line 1', 'line 2', 'line 3', 'line 4']);
    expect(
      (await aws.error('logs', 'get-log-events', '--log-group-name', 'mine', '--log-stream-name', 'none')).code,
    ).toBe('ResourceNotFoundException');
  });
});

describe('aws apigatewayv2', () => {
  it('makes an HTTP API before the function in one command, and the API answers', async () => {
    const api = await aws.json<{ ApiId: string; ApiEndpoint: string; ProtocolType: string }>(
      ...['apigatewayv2', 'create-api', '--name', 'quick', '--protocol-type', 'HTTP'],
      ...['--target', 'arn:aws:lambda:us-east-1:000000000000:function:double'],
    );
    expect(api.ProtocolType).toBe('HTTP');
    await aws.json(
      ...['lambda', 'add-permission', '--function-name', 'double', '--statement-id', 'api'],
      ...['--action', 'lambda:InvokeFunction', '--principal', 'apigateway.amazonaws.com'],
      ...['--source-arn', `arn:aws:execute-api:us-east-1:000000000000:${api.ApiId}/*`],
    );
    const response = await fetch(`${cloud.endpoint}/_aws/execute-api/${api.ApiId}/things/1`, { method: 'PUT' });
    expect([response.status, response.headers.get('x-from'), await response.text()]).toEqual([
      201,
      'function',
      'PUT /things/1',
    ]);
    const routes = await aws.json<{ Items: { RouteKey: string }[] }>(
      'apigatewayv2',
      'get-routes',
      '--api-id',
      api.ApiId,
    );
    expect(routes.Items.map(({ RouteKey }) => RouteKey)).toEqual(['$default']);
    await aws.text('apigatewayv2', 'delete-api', '--api-id', api.ApiId);
    expect((await aws.error('apigatewayv2', 'get-api', '--api-id', api.ApiId)).code).toBe('NotFoundException');
  });
});
