import { describe, expect, it } from 'vitest';
import type { HttpRequest } from '../../../platform/http/request.ts';
import { type EventScope, proxyEventV1, proxyEventV2 } from './event.ts';

const scope: EventScope = {
  accountId: '000000000000',
  apiId: 'abcdefghij',
  stage: '$default',
  routeKey: 'POST /my/{id}',
  pathParameters: { id: 'path' },
  stageVariables: undefined,
  authorizer: undefined,
};

function request(patch: Partial<HttpRequest> = {}): HttpRequest {
  return {
    method: 'POST',
    path: '/my/path',
    query: 'a=1&a=2&b=x%20y&c',
    rawHeaders: [
      'Host',
      'h.localhost:4566',
      'User-Agent',
      'agent',
      'X-A',
      '1',
      'x-a',
      '2',
      'Content-Type',
      'text/plain',
    ],
    sourceIp: '127.0.0.1',
    protocol: 'HTTP/1.1',
    body: Buffer.from('hello'),
    domainName: 'abcdefghij.execute-api.localhost',
    port: '4566',
    requestId: 'JKJaXmPLvHcESHA=',
    timeMs: Date.UTC(2026, 10, 21, 23, 0, 0, 7),
    traceHeader: 'Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e',
    ...patch,
  };
}

describe('payload format 2.0', () => {
  it('has the keys that AWS documents', () => {
    const event = proxyEventV2(
      request({ rawHeaders: [...request().rawHeaders, 'Cookie', 'c1=1; c2=2', 'cookie', 'c3=3'] }),
      scope,
    );
    expect(event).toEqual({
      version: '2.0',
      routeKey: 'POST /my/{id}',
      rawPath: '/my/path',
      rawQueryString: 'a=1&a=2&b=x%20y&c',
      cookies: ['c1=1', 'c2=2', 'c3=3'],
      headers: {
        host: 'h.localhost:4566',
        'user-agent': 'agent',
        'x-a': '1,2',
        'content-type': 'text/plain',
        'content-length': '5',
        'x-amzn-trace-id': 'Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e',
        'x-forwarded-for': '127.0.0.1',
        'x-forwarded-port': '4566',
        'x-forwarded-proto': 'http',
      },
      queryStringParameters: { a: '1,2', b: 'x y', c: '' },
      requestContext: {
        accountId: '000000000000',
        apiId: 'abcdefghij',
        domainName: 'abcdefghij.execute-api.localhost',
        domainPrefix: 'abcdefghij',
        http: { method: 'POST', path: '/my/path', protocol: 'HTTP/1.1', sourceIp: '127.0.0.1', userAgent: 'agent' },
        requestId: 'JKJaXmPLvHcESHA=',
        routeKey: 'POST /my/{id}',
        stage: '$default',
        time: '21/Nov/2026:23:00:00 +0000',
        timeEpoch: Date.UTC(2026, 10, 21, 23, 0, 0, 7),
      },
      pathParameters: { id: 'path' },
      body: 'hello',
      isBase64Encoded: false,
    });
  });

  it('leaves out what is absent', () => {
    const bare = request({ query: '', body: Buffer.alloc(0), rawHeaders: [] });
    const event = proxyEventV2(bare, { ...scope, pathParameters: undefined });
    expect(Object.keys(event).sort()).toEqual(
      ['headers', 'isBase64Encoded', 'rawPath', 'rawQueryString', 'requestContext', 'routeKey', 'version'].sort(),
    );
  });

  it.each([
    ['application/json; charset=utf-8', false],
    ['application/vnd.api+json', false],
    ['text/html', false],
    ['application/xml', false],
    ['application/x-www-form-urlencoded', true],
    ['multipart/form-data; boundary=x', true],
    ['image/png', true],
  ])('encodes a body of %s: %s', (type, encoded) => {
    const event = proxyEventV2(request({ rawHeaders: ['content-type', type] }), scope);
    expect(event['isBase64Encoded']).toBe(encoded);
    expect(event['body']).toBe(encoded ? 'aGVsbG8=' : 'hello');
  });

  it('survives names that objects inherit', () => {
    const event = proxyEventV2(
      request({ query: 'constructor=1&__proto__=2&toString=3', rawHeaders: ['constructor', 'x'] }),
      scope,
    );
    const text = JSON.parse(JSON.stringify(event)) as {
      queryStringParameters: object;
      headers: Record<string, string>;
    };
    expect(Object.entries(text.queryStringParameters)).toEqual([
      ['constructor', '1'],
      ['__proto__', '2'],
      ['toString', '3'],
    ]);
    expect(text.headers['constructor']).toBe('x');
  });

  it('carries what an authorizer said', () => {
    const jwt = proxyEventV2(request(), {
      ...scope,
      authorizer: { kind: 'jwt', claims: { sub: 'me' }, scopes: ['a'] },
    });
    expect(jwt['requestContext']).toMatchObject({ authorizer: { jwt: { claims: { sub: 'me' }, scopes: ['a'] } } });
    const lambda = proxyEventV2(request(), { ...scope, authorizer: { kind: 'lambda', context: { n: 1 } } });
    expect(lambda['requestContext']).toMatchObject({ authorizer: { lambda: { n: 1 } } });
  });
});

describe('payload format 1.0', () => {
  it('has multi-value maps, header case as sent, and null for what is absent', () => {
    const event = proxyEventV1(request(), scope);
    expect(event).toMatchObject({
      version: '1.0',
      resource: '/my/{id}',
      path: '/my/path',
      httpMethod: 'POST',
      headers: { 'X-A': '1', 'x-a': '2', Host: 'h.localhost:4566', 'Content-Length': '5', 'X-Forwarded-Port': '4566' },
      multiValueHeaders: { Host: ['h.localhost:4566'] },
      queryStringParameters: { a: '2', b: 'x y', c: '' },
      multiValueQueryStringParameters: { a: ['1', '2'], b: ['x y'], c: [''] },
      pathParameters: { id: 'path' },
      stageVariables: null,
      body: 'hello',
      isBase64Encoded: false,
      requestContext: {
        extendedRequestId: 'JKJaXmPLvHcESHA=',
        httpMethod: 'POST',
        identity: { sourceIp: '127.0.0.1', userAgent: 'agent', accountId: null },
        requestTime: '21/Nov/2026:23:00:00 +0000',
        resourceId: 'POST /my/{id}',
        resourcePath: '/my/{id}',
        stage: '$default',
      },
    });
    const bare = proxyEventV1(request({ query: '', body: Buffer.alloc(0) }), { ...scope, pathParameters: undefined });
    expect(bare).toMatchObject({
      queryStringParameters: null,
      multiValueQueryStringParameters: null,
      pathParameters: null,
      body: null,
    });
  });
});
