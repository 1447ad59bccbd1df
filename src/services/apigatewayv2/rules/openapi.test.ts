import { describe, expect, it } from 'vitest';
import { type Imported, importOpenApi } from './openapi.ts';

const functionArn = 'arn:aws:lambda:us-east-1:000000000000:function:f';

function imported(body: string | object, basepath?: string): Imported {
  let count = 0;
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return importOpenApi({ body: text, basepath, newId: () => `id${count++}` });
}

const integration = { type: 'aws_proxy', payloadFormatVersion: '2.0', uri: functionArn };
const operation = { 'x-amazon-apigateway-integration': integration };

function documentOf(paths: object, more: object = {}): object {
  return { openapi: '3.0.1', info: { title: 't', version: '1' }, paths, ...more };
}

function keys(result: Imported): string[] {
  return Object.values(result.configuration.routes).map((route) => route.RouteKey);
}

describe('importOpenApi', () => {
  it('reads YAML, with a version that YAML takes for a number', () => {
    const result = imported(`
openapi: "3.0.1"
info: { title: yaml, description: d, version: 1.0 }
servers:
  - url: /
    x-amazon-apigateway-endpoint-configuration: { disableExecuteApiEndpoint: true }
paths:
  /a:
    get:
      operationId: getA
      x-amazon-apigateway-integration:
        type: aws_proxy
        payloadFormatVersion: 2.0
        timeoutInMillis: 3000
        uri: ${functionArn}
`);
    expect(result).toMatchObject({ name: 'yaml', description: 'd', disableExecuteApiEndpoint: true, warnings: [] });
    expect(Object.values(result.configuration.integrations)).toMatchObject([
      { PayloadFormatVersion: '2.0', TimeoutInMillis: 3000, IntegrationUri: functionArn },
    ]);
    expect(Object.values(result.configuration.routes)).toMatchObject([{ RouteKey: 'GET /a', OperationName: 'getA' }]);
  });

  it('knows $default in both spellings, and ANY', () => {
    const any = { 'x-amazon-apigateway-any-method': operation };
    expect(keys(imported(documentOf({ $default: any })))).toEqual(['$default']);
    expect(keys(imported(documentOf({ '/$default': any, '/x': any })))).toEqual(['$default', 'ANY /x']);
  });

  it.each([
    [undefined, 'GET /a'],
    ['ignore', 'GET /a'],
    ['prepend', 'GET /v1/shop/a'],
    ['split', 'GET /shop/a'],
  ])('treats the base path as asked: %s', (mode, key) => {
    const servers = [{ url: 'https://x.example/{base}/shop', variables: { base: { default: 'v1' } } }];
    expect(keys(imported(documentOf({ '/a': { get: operation } }, { servers }), mode))).toEqual([key]);
  });

  it('follows a reference to a shared integration', () => {
    const shared = { components: { 'x-amazon-apigateway-integrations': { one: integration } } };
    const reference = {
      'x-amazon-apigateway-integration': { $ref: '#/components/x-amazon-apigateway-integrations/one' },
    };
    const result = imported(documentOf({ '/a': { get: reference } }, shared));
    expect(Object.values(result.configuration.integrations)).toHaveLength(1);
    expect(() => imported(documentOf({ '/a': { get: reference } }))).toThrow('Unable to resolve the reference');
  });

  it('warns of a route without integration', () => {
    expect(imported(documentOf({ '/a': { get: {} } })).warnings).toEqual([
      'No integration is defined for the route GET /a',
    ]);
  });

  it('makes JWT authorizers, and secures the routes that name them', () => {
    const jwt = {
      type: 'oauth2',
      'x-amazon-apigateway-authorizer': {
        type: 'jwt',
        identitySource: '$request.header.Authorization',
        jwtConfiguration: { issuer: 'https://issuer.example', audience: ['a'] },
      },
    };
    const secured = { ...operation, security: [{ J: ['read'] }] };
    const result = imported(
      documentOf(
        { '/a': { get: secured, post: { ...operation, security: [{ NONE: [] }] } } },
        { components: { securitySchemes: { J: jwt } } },
      ),
    );
    const [id] = Object.keys(result.configuration.authorizers);
    expect(Object.values(result.configuration.routes)).toMatchObject([
      { RouteKey: 'GET /a', AuthorizationType: 'JWT', AuthorizerId: id, AuthorizationScopes: ['read'] },
      { RouteKey: 'POST /a', AuthorizationType: 'NONE' },
    ]);
  });

  it('never leaves a route open that the document secures', () => {
    const named = documentOf({ '/a': { get: { ...operation, security: [{ Unknown: [] }] } } });
    expect(() => imported(named)).toThrow('Unable to find the authorizer Unknown');
    const iam = documentOf(
      { '/a': { get: { ...operation, security: [{ AWS_IAM: [] }] } } },
      { components: { securitySchemes: { AWS_IAM: { type: 'apiKey', 'x-amazon-apigateway-authtype': 'awsSigv4' } } } },
    );
    expect(() => imported(iam)).toThrow('AWS_IAM is not built');
  });

  it.each(['', '[]', '{"openapi":"3.0.1"}', '{"swagger":"2.0","info":{"title":"x"}}', '{"openapi":"3.0.1", "info": {'])(
    'refuses %j',
    (body) => {
      expect(() => imported(body)).toThrow();
    },
  );
});
