import {
  ApiGatewayV2Client,
  CreateApiCommand,
  CreateAuthorizerCommand,
  CreateDeploymentCommand,
  CreateIntegrationCommand,
  CreateRouteCommand,
  CreateStageCommand,
  CreateVpcLinkCommand,
  DeleteApiCommand,
  DeleteCorsConfigurationCommand,
  DeleteDeploymentCommand,
  DeleteIntegrationCommand,
  DeleteRouteCommand,
  DeleteRouteSettingsCommand,
  DeleteStageCommand,
  GetApiCommand,
  GetApisCommand,
  type GetApisCommandOutput,
  GetDeploymentsCommand,
  GetIntegrationCommand,
  GetIntegrationsCommand,
  GetRouteCommand,
  GetRoutesCommand,
  GetStageCommand,
  GetTagsCommand,
  ImportApiCommand,
  ReimportApiCommand,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateApiCommand,
  UpdateAuthorizerCommand,
  UpdateIntegrationCommand,
  UpdateRouteCommand,
  UpdateStageCommand,
} from '@aws-sdk/client-apigatewayv2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';

const functionArn = 'arn:aws:lambda:us-east-1:000000000000:function:hello';
const lambdaProxy = { IntegrationType: 'AWS_PROXY', IntegrationUri: functionArn, PayloadFormatVersion: '2.0' } as const;

let cloud: TestCloud;
let client: ApiGatewayV2Client;

beforeAll(async () => {
  cloud = await startTestCloud({ services: ['apigatewayv2'] });
  client = new ApiGatewayV2Client(cloud.clientConfig);
});

afterAll(async () => {
  client.destroy();
  await cloud.close();
});

async function newApi(name = 'api'): Promise<string> {
  return (await client.send(new CreateApiCommand({ Name: name, ProtocolType: 'HTTP' }))).ApiId!;
}

async function newIntegration(ApiId: string): Promise<string> {
  return (await client.send(new CreateIntegrationCommand({ ApiId, ...lambdaProxy }))).IntegrationId!;
}

function refusal(promise: Promise<unknown>): Promise<{ name: string; message: string; status: number | undefined }> {
  return promise.then(
    () => expect.fail('was not refused'),
    (error: { name: string; message: string; $metadata: { httpStatusCode?: number } }) => ({
      name: error.name,
      message: error.message,
      status: error.$metadata.httpStatusCode,
    }),
  );
}

describe('APIs', () => {
  it('are created, read, changed, listed and deleted', async () => {
    const made = await client.send(
      new CreateApiCommand({
        Name: 'shop',
        ProtocolType: 'HTTP',
        Description: 'sells',
        CorsConfiguration: { AllowOrigins: ['https://shop.example'], MaxAge: 60 },
        Tags: { team: 'blue' },
      }),
    );
    expect(made.ApiId).toMatch(/^[a-z0-9]{10}$/);
    expect(made.ApiEndpoint).toBe(`http://${made.ApiId}.execute-api.localhost:${new URL(cloud.endpoint).port}`);
    expect(made).toMatchObject({
      ProtocolType: 'HTTP',
      RouteSelectionExpression: '$request.method $request.path',
      ApiKeySelectionExpression: '$request.header.x-api-key',
      DisableExecuteApiEndpoint: false,
      CorsConfiguration: { AllowOrigins: ['https://shop.example'], MaxAge: 60 },
      Tags: { team: 'blue' },
    });
    expect(made.CreatedDate).toBeInstanceOf(Date);
    const ApiId = made.ApiId!;
    const updated = await client.send(new UpdateApiCommand({ ApiId, Description: '', Name: 'store' }));
    expect(updated.Name).toBe('store');
    expect(updated.Description).toBeUndefined();
    await client.send(new DeleteCorsConfigurationCommand({ ApiId }));
    const read = await client.send(new GetApiCommand({ ApiId }));
    expect(read.CorsConfiguration).toBeUndefined();
    const { Items } = await client.send(new GetApisCommand({}));
    expect(Items?.map((api) => api.ApiId)).toContain(ApiId);
    await client.send(new DeleteApiCommand({ ApiId }));
    expect(await refusal(client.send(new GetApiCommand({ ApiId })))).toEqual({
      name: 'NotFoundException',
      message: `Invalid API identifier specified 000000000000:${ApiId}`,
      status: 404,
    });
  });

  it('are listed in pages', async () => {
    const account = new ApiGatewayV2Client({
      ...cloud.clientConfig,
      credentials: { accessKeyId: '111122223333', secretAccessKey: 'x' },
    });
    for (let count = 0; count < 5; count++)
      await account.send(new CreateApiCommand({ Name: `a${count}`, ProtocolType: 'HTTP' }));
    const seen: string[] = [];
    let token: string | undefined;
    do {
      const page: GetApisCommandOutput = await account.send(new GetApisCommand({ MaxResults: '2', NextToken: token }));
      expect(page.Items!.length).toBeLessThanOrEqual(2);
      seen.push(...page.Items!.map((api) => api.ApiId!));
      token = page.NextToken;
    } while (token !== undefined);
    expect(new Set(seen).size).toBe(5);
    account.destroy();
  });

  it('belong to their account and region', async () => {
    const ApiId = await newApi();
    const other = new ApiGatewayV2Client({ ...cloud.clientConfig, region: 'eu-west-1' });
    expect((await refusal(other.send(new GetApiCommand({ ApiId })))).name).toBe('NotFoundException');
    other.destroy();
  });

  it('made by quick create have a route, an integration and a stage', async () => {
    const { ApiId } = await client.send(
      new CreateApiCommand({ Name: 'quick', ProtocolType: 'HTTP', Target: functionArn, RouteKey: 'GET /hi' }),
    );
    const { Items: routes } = await client.send(new GetRoutesCommand({ ApiId }));
    expect(routes).toMatchObject([{ RouteKey: 'GET /hi', ApiGatewayManaged: true, AuthorizationType: 'NONE' }]);
    const { Items: integrations } = await client.send(new GetIntegrationsCommand({ ApiId }));
    expect(integrations).toMatchObject([
      { IntegrationType: 'AWS_PROXY', PayloadFormatVersion: '2.0', TimeoutInMillis: 30_000, ApiGatewayManaged: true },
    ]);
    const stage = await client.send(new GetStageCommand({ ApiId, StageName: '$default' }));
    expect(stage).toMatchObject({ AutoDeploy: true, ApiGatewayManaged: true });
    expect(stage.LastDeploymentStatusMessage).toBe(
      `Successfully deployed stage with deployment ID '${stage.DeploymentId}'`,
    );
    await client.send(new UpdateApiCommand({ ApiId, RouteKey: '$default' }));
    const { Items: after } = await client.send(new GetRoutesCommand({ ApiId }));
    expect(after?.[0]?.RouteKey).toBe('$default');
  });

  it.each([
    [{ Name: '', ProtocolType: 'HTTP' as const }, 400, 'Invalid API name specified'],
    [{ Name: 'ws', ProtocolType: 'WEBSOCKET' as const, RouteSelectionExpression: '$request.body.a' }, 501, 'WEBSOCKET'],
    [
      { Name: 'x', ProtocolType: 'HTTP' as const, RouteSelectionExpression: '$request.body.a' },
      400,
      'Route selection expression is currently limited to "',
    ],
    [
      { Name: 'x', ProtocolType: 'HTTP' as const, CorsConfiguration: { AllowCredentials: true, AllowOrigins: ['*'] } },
      400,
      "allow-credentials is not supported if 'allow-origin' is *",
    ],
  ])('that are not acceptable are refused: %j', async (input, status, message) => {
    const refused = await refusal(client.send(new CreateApiCommand(input)));
    expect(refused.status).toBe(status);
    expect(refused.message).toContain(message);
  });
});

describe('routes', () => {
  it('are created, changed, listed and deleted', async () => {
    const ApiId = await newApi();
    const IntegrationId = await newIntegration(ApiId);
    const made = await client.send(
      new CreateRouteCommand({ ApiId, RouteKey: 'GET /pets/{id}', Target: `integrations/${IntegrationId}` }),
    );
    expect(made).toMatchObject({ RouteKey: 'GET /pets/{id}', AuthorizationType: 'NONE', ApiKeyRequired: false });
    const RouteId = made.RouteId!;
    await client.send(new UpdateRouteCommand({ ApiId, RouteId, OperationName: 'getPet' }));
    const read = await client.send(new GetRouteCommand({ ApiId, RouteId }));
    expect(read).toMatchObject({ OperationName: 'getPet', Target: `integrations/${IntegrationId}` });
    await client.send(new DeleteRouteCommand({ ApiId, RouteId }));
    expect((await refusal(client.send(new GetRouteCommand({ ApiId, RouteId })))).status).toBe(404);
  });

  it.each(['GET', '/items', 'FETCH /items', 'GET items', '$connect', 'get /items'])(
    'with the malformed key %j are refused',
    async (RouteKey) => {
      const ApiId = await newApi();
      expect(await refusal(client.send(new CreateRouteCommand({ ApiId, RouteKey })))).toEqual({
        name: 'BadRequestException',
        message:
          'The provided route key is not formatted properly for HTTP protocol. Format should be "<HTTP METHOD> /<RESOURCE PATH>" or "$default"',
        status: 400,
      });
    },
  );

  it('conflict by key and by the place of variables', async () => {
    const ApiId = await newApi();
    await client.send(new CreateRouteCommand({ ApiId, RouteKey: 'GET /a/{x}' }));
    expect(await refusal(client.send(new CreateRouteCommand({ ApiId, RouteKey: 'GET /a/{x}' })))).toEqual({
      name: 'ConflictException',
      message: 'Route with key GET /a/{x} already exists for this API',
      status: 409,
    });
    expect((await refusal(client.send(new CreateRouteCommand({ ApiId, RouteKey: 'GET /a/{y}' })))).message).toBe(
      'The provided route key "GET /a/{y}" has a conflicting variable on the same hierarchical level as "GET /a/{x}"',
    );
    await client.send(new CreateRouteCommand({ ApiId, RouteKey: 'POST /a/{y}' }));
  });

  it('name integrations and authorizers that exist', async () => {
    const ApiId = await newApi();
    const refused = async (input: object): Promise<string> =>
      (await refusal(client.send(new CreateRouteCommand({ ApiId, RouteKey: 'GET /x', ...input })))).message;
    expect(await refused({ Target: 'nowhere' })).toBe(
      'Unexpected or malformed target in route. Correct format should be integrations/<integration_id>.',
    );
    expect(await refused({ Target: 'integrations/abcdefg' })).toContain('Invalid Integration identifier specified');
    expect(await refused({ AuthorizationType: 'JWT' })).toBe(
      'Setting the authorization type to JWT requires a valid JWT authorizer.',
    );
    expect(await refused({ ApiKeyRequired: true })).toBe('ApiKeyRequired is not currently supported for HTTP APIs.');
    expect(await refused({ AuthorizationScopes: ['a'] })).toContain('Authorization Scopes are only valid');
    expect(await refused({ AuthorizationType: 'AWS_IAM' })).toContain('is not built');
  });

  it('keep the 300 of AWS', async () => {
    const ApiId = await newApi();
    const paths = Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`/p${n}`, { get: {} }]));
    const Body = JSON.stringify({ openapi: '3.0.1', info: { title: 'many' }, paths });
    await client.send(new ReimportApiCommand({ ApiId, Body }));
    const refused = await refusal(client.send(new CreateRouteCommand({ ApiId, RouteKey: 'GET /more' })));
    expect(refused).toMatchObject({ name: 'TooManyRequestsException', status: 429 });
    expect(refused.message).toContain('Maximum number of Routes for this API has been reached.');
  });
});

describe('integrations', () => {
  it('are changed in part, and kept while a route uses them', async () => {
    const ApiId = await newApi();
    const { IntegrationId } = await client.send(
      new CreateIntegrationCommand({
        ApiId,
        ...lambdaProxy,
        RequestParameters: { 'append:header.a': '1', 'overwrite:header.b': '$context.stage' },
      }),
    );
    await client.send(
      new UpdateIntegrationCommand({
        ApiId,
        IntegrationId,
        TimeoutInMillis: 5_000,
        RequestParameters: { 'append:header.a': '' },
      }),
    );
    const read = await client.send(new GetIntegrationCommand({ ApiId, IntegrationId }));
    expect(read).toMatchObject({ TimeoutInMillis: 5_000, IntegrationMethod: 'POST', ConnectionType: 'INTERNET' });
    expect(read.RequestParameters).toEqual({ 'overwrite:header.b': '$context.stage' });
    await client.send(new CreateRouteCommand({ ApiId, RouteKey: '$default', Target: `integrations/${IntegrationId}` }));
    expect((await refusal(client.send(new DeleteIntegrationCommand({ ApiId, IntegrationId })))).name).toBe(
      'ConflictException',
    );
  });

  it.each([
    [{ IntegrationType: 'AWS' }, 400, 'may only be associated with proxy integrations (AWS_PROXY, HTTP_PROXY)'],
    [{ IntegrationType: 'MOCK' }, 400, 'may only be associated with proxy integrations'],
    [{ ...lambdaProxy, PayloadFormatVersion: '3.0' }, 400, 'Unsupported PayloadFormatVersion: 3.0'],
    [{ ...lambdaProxy, PayloadFormatVersion: undefined }, 400, 'PayloadFormatVersion is a required parameter'],
    [{ ...lambdaProxy, TimeoutInMillis: 40_000 }, 400, '30000'],
    [{ ...lambdaProxy, IntegrationUri: 'arn:aws:sqs:us-east-1:000000000000:q' }, 400, 'Invalid Integration URI'],
    [
      {
        IntegrationType: 'HTTP_PROXY',
        IntegrationUri: 'http://x.example',
        IntegrationMethod: 'GET',
        PayloadFormatVersion: '2.0',
      },
      400,
      'PayloadFormatVersion 2.0 is not supported for integration of type HTTP_PROXY',
    ],
    [
      { IntegrationType: 'HTTP_PROXY', IntegrationUri: 'ftp://x', IntegrationMethod: 'GET' },
      400,
      'valid HTTP or HTTPS URL',
    ],
    [{ ...lambdaProxy, RequestParameters: { 'set:header.a': '1' } }, 400, 'Invalid Request Actioned Parameter'],
    [{ ...lambdaProxy, ResponseParameters: { '100': {} } }, 400, 'Status Code 100 is not valid'],
    [{ ...lambdaProxy, IntegrationSubtype: 'SQS-SendMessage' }, 501, 'IntegrationSubtype SQS-SendMessage is not built'],
    [{ ...lambdaProxy, ConnectionType: 'VPC_LINK', ConnectionId: 'x' }, 501, 'VPC_LINK is not built'],
  ])('that are not acceptable are refused: %j', async (input, status, message) => {
    const ApiId = await newApi();
    const refused = await refusal(client.send(new CreateIntegrationCommand({ ApiId, ...input } as never)));
    expect(refused.status).toBe(status);
    expect(refused.message).toContain(message);
  });
});

describe('stages and deployments', () => {
  it('deploy by themselves, or what they are told', async () => {
    const ApiId = await newApi();
    const Target = `integrations/${await newIntegration(ApiId)}`;
    expect((await refusal(client.send(new CreateDeploymentCommand({ ApiId })))).message).toBe(
      'At least one route is required before deploying the Api.',
    );
    const auto = await client.send(new CreateStageCommand({ ApiId, StageName: '$default', AutoDeploy: true }));
    expect(auto.LastDeploymentStatusMessage).toContain('At least one route is required');
    await client.send(new CreateRouteCommand({ ApiId, RouteKey: 'GET /', Target }));
    const first = await client.send(new GetStageCommand({ ApiId, StageName: '$default' }));
    expect(first.DeploymentId).toMatch(/^[a-z0-9]+$/);
    const { DeploymentId } = await client.send(new CreateDeploymentCommand({ ApiId, Description: 'one' }));
    const dev = await client.send(
      new CreateStageCommand({ ApiId, StageName: 'dev', DeploymentId, StageVariables: { color: 'red', size: 'l' } }),
    );
    expect(dev).toMatchObject({ AutoDeploy: false, DeploymentId, StageVariables: { color: 'red' } });
    const patched = await client.send(
      new UpdateStageCommand({ ApiId, StageName: 'dev', StageVariables: { color: '' }, Description: 'd' }),
    );
    expect(patched.StageVariables).toEqual({ size: 'l' });
    expect((await refusal(client.send(new DeleteDeploymentCommand({ ApiId, DeploymentId })))).message).toBe(
      'Active stages pointing to this deployment must be moved or deleted',
    );
    await client.send(new DeleteStageCommand({ ApiId, StageName: 'dev' }));
    await client.send(new DeleteDeploymentCommand({ ApiId, DeploymentId }));
    const { Items } = await client.send(new GetDeploymentsCommand({ ApiId }));
    expect(Items).toMatchObject([
      { DeploymentId: first.DeploymentId, AutoDeployed: true, DeploymentStatus: 'DEPLOYED' },
    ]);
  });

  it('refuse what does not fit', async () => {
    const ApiId = await newApi();
    const refused = async (input: object): Promise<string> =>
      (await refusal(client.send(new CreateStageCommand({ ApiId, StageName: 'dev', ...input })))).message;
    expect(await refused({ StageName: 'bad name!' })).toContain('Stage name only allows a-zA-Z0-9_');
    expect(await refused({ RouteSettings: { 'GET /x': { ThrottlingRateLimit: 1 } } })).toBe(
      'Unable to find Route by key GET /x within the provided RouteSettings',
    );
    expect(await refused({ StageVariables: { 'a-b': 'x' } })).toBe(
      'Invalid stage variable name: a-b. Please use names with only word characters.',
    );
    expect(await refused({ DefaultRouteSettings: { LoggingLevel: 'INFO' } })).toBe(
      'Execution logs are not supported on protocolType HTTP',
    );
    await client.send(new CreateStageCommand({ ApiId, StageName: 'dev' }));
    expect(await refused({})).toBe('Stage already exists');
    expect((await refusal(client.send(new GetStageCommand({ ApiId, StageName: 'no' })))).status).toBe(404);
  });

  it('lose the settings of one route', async () => {
    const ApiId = await newApi();
    await client.send(new CreateRouteCommand({ ApiId, RouteKey: 'GET /x' }));
    await client.send(
      new CreateStageCommand({ ApiId, StageName: 'dev', RouteSettings: { 'GET /x': { ThrottlingBurstLimit: 5 } } }),
    );
    await client.send(new DeleteRouteSettingsCommand({ ApiId, StageName: 'dev', RouteKey: 'GET /x' }));
    expect((await client.send(new GetStageCommand({ ApiId, StageName: 'dev' }))).RouteSettings).toEqual({});
  });
});

describe('authorizers', () => {
  it('are checked by type, and changed', async () => {
    const ApiId = await newApi();
    const refused = async (input: object): Promise<string> =>
      (await refusal(client.send(new CreateAuthorizerCommand({ ApiId, Name: 'a', ...input } as never)))).message;
    expect(await refused({ AuthorizerType: 'JWT', IdentitySource: ['$request.header.Authorization'] })).toBe(
      'JwtConfiguration must not be null for JWT Authorizer',
    );
    expect(await refused({ AuthorizerType: 'REQUEST', IdentitySource: [] })).toBe(
      'AuthorizerUri is a required field in an Authorizer',
    );
    const AuthorizerUri = `arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/${functionArn}/invocations`;
    const request = { AuthorizerType: 'REQUEST', AuthorizerUri, IdentitySource: ['$request.header.X'] } as const;
    expect(await refused(request)).toBe(
      'AuthorizerPayloadFormatVersion is a required parameter for REQUEST authorizer',
    );
    expect(await refused({ ...request, AuthorizerPayloadFormatVersion: '1.0', EnableSimpleResponses: true })).toBe(
      'EnableSimpleResponses can only be set for AuthorizerPayloadFormatVersion "2.0".',
    );
    const { AuthorizerId } = await client.send(
      new CreateAuthorizerCommand({
        ApiId,
        Name: 'a',
        ...request,
        IdentitySource: [...request.IdentitySource],
        AuthorizerPayloadFormatVersion: '2.0',
      }),
    );
    const updated = await client.send(
      new UpdateAuthorizerCommand({ ApiId, AuthorizerId, AuthorizerResultTtlInSeconds: 60 }),
    );
    expect(updated).toMatchObject({ AuthorizerResultTtlInSeconds: 60, EnableSimpleResponses: false, Name: 'a' });
  });
});

describe('tags, imports and what is not built', () => {
  it('tags APIs and stages', async () => {
    const ApiId = await newApi();
    await client.send(new CreateStageCommand({ ApiId, StageName: 'dev', Tags: { a: '1' } }));
    const ResourceArn = `arn:aws:apigateway:us-east-1::/apis/${ApiId}`;
    await client.send(new TagResourceCommand({ ResourceArn, Tags: { x: '1', y: '2' } }));
    await client.send(new UntagResourceCommand({ ResourceArn, TagKeys: ['x'] }));
    expect((await client.send(new GetTagsCommand({ ResourceArn }))).Tags).toEqual({ y: '2' });
    const stage = await client.send(new GetTagsCommand({ ResourceArn: `${ResourceArn}/stages/dev` }));
    expect(stage.Tags).toEqual({ a: '1' });
  });

  it('imports an OpenAPI document, and keeps the ids of routes over a reimport', async () => {
    const integration = { type: 'aws_proxy', httpMethod: 'POST', payloadFormatVersion: '2.0', uri: functionArn };
    const document = (paths: object): string =>
      JSON.stringify({ openapi: '3.0.1', info: { title: 'doc', version: '7' }, paths });
    const get = { 'x-amazon-apigateway-integration': integration };
    const made = await client.send(new ImportApiCommand({ Body: document({ '/a': { get } }) }));
    expect(made).toMatchObject({ Name: 'doc', Version: '7' });
    const ApiId = made.ApiId!;
    const before = (await client.send(new GetRoutesCommand({ ApiId }))).Items!;
    expect(before.map((route) => route.RouteKey)).toEqual(['GET /a']);
    await client.send(
      new ReimportApiCommand({
        ApiId,
        Body: document({ '/a': { get }, $default: { 'x-amazon-apigateway-any-method': get } }),
      }),
    );
    const after = (await client.send(new GetRoutesCommand({ ApiId }))).Items!;
    expect(after.map((route) => route.RouteKey).sort()).toEqual(['$default', 'GET /a']);
    expect(after.find((route) => route.RouteKey === 'GET /a')?.RouteId).toBe(before[0]?.RouteId);
    expect((await refusal(client.send(new ImportApiCommand({ Body: '{"swagger":"2.0"}' })))).status).toBe(400);
  });

  it('answers 501 for what is not built', async () => {
    const refused = await refusal(client.send(new CreateVpcLinkCommand({ Name: 'v', SubnetIds: ['subnet-1'] })));
    expect(refused.status).toBe(501);
  });
});
