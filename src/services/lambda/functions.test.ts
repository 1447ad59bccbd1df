import {
  AddPermissionCommand,
  CreateAliasCommand,
  CreateFunctionCommand,
  type CreateFunctionCommandInput,
  DeleteAliasCommand,
  DeleteFunctionCommand,
  DeleteFunctionConcurrencyCommand,
  DeleteFunctionEventInvokeConfigCommand,
  GetAccountSettingsCommand,
  GetAliasCommand,
  GetFunctionCommand,
  GetFunctionConcurrencyCommand,
  GetFunctionConfigurationCommand,
  GetFunctionEventInvokeConfigCommand,
  GetPolicyCommand,
  InvokeCommand,
  LambdaClient,
  ListAliasesCommand,
  ListFunctionEventInvokeConfigsCommand,
  ListFunctionsCommand,
  ListTagsCommand,
  ListVersionsByFunctionCommand,
  PublishVersionCommand,
  PutFunctionConcurrencyCommand,
  PutFunctionEventInvokeConfigCommand,
  RemovePermissionCommand,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateAliasCommand,
  UpdateFunctionCodeCommand,
  UpdateFunctionConfigurationCommand,
  UpdateFunctionEventInvokeConfigCommand,
  waitUntilFunctionActiveV2,
  waitUntilFunctionUpdatedV2,
} from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { FakeCompute, FakeLogs } from './fake-compute.test-support.ts';
import { zipFiles } from './rules/package.ts';

const role = 'arn:aws:iam::000000000000:role/service-role/worker';
const zip = zipFiles({ 'index.js': 'exports.handler = async (event) => event;' });
const account = '000000000000';

let test: TestCloud;
let client: LambdaClient;
let compute: FakeCompute;

beforeAll(async () => {
  test = await startTestCloud({ services: ['lambda', 'sqs', 'iam', 'sts'] });
  compute = FakeCompute.into(test.cloud.platform);
  FakeLogs.into(test.cloud.platform);
  client = new LambdaClient(test.clientConfig);
});
afterAll(() => test.close());

async function create(name: string, more: Partial<CreateFunctionCommandInput> = {}) {
  const made = await client.send(
    new CreateFunctionCommand({
      FunctionName: name,
      Runtime: 'nodejs20.x',
      Handler: 'index.handler',
      Role: role,
      Code: { ZipFile: zip },
      ...more,
    }),
  );
  await waitUntilFunctionActiveV2({ client, maxWaitTime: 10, minDelay: 0.01, maxDelay: 0.05 }, { FunctionName: name });
  return made;
}

function updated(name: string) {
  return waitUntilFunctionUpdatedV2(
    { client, maxWaitTime: 10, minDelay: 0.01, maxDelay: 0.05 },
    { FunctionName: name },
  );
}

function failure(sent: Promise<unknown>) {
  return sent.then(
    () => {
      throw new Error('the call should have failed');
    },
    (error: { name: string; message: string; $metadata: { httpStatusCode: number } }) => ({
      code: error.name,
      message: error.message,
      status: error.$metadata.httpStatusCode,
    }),
  );
}

describe('functions', () => {
  it('are created Pending, become Active, and are described as AWS does', async () => {
    const made = await create('described', { Environment: { Variables: { STAGE: '1' } }, Tags: { team: 'x' } });
    expect(made).toMatchObject({ State: 'Pending', StateReasonCode: 'Creating', Version: '$LATEST', MemorySize: 128 });
    expect(made.LastUpdateStatus).toBeUndefined();
    const { Configuration, Code, Tags } = await client.send(new GetFunctionCommand({ FunctionName: 'described' }));
    expect(Configuration).toMatchObject({
      FunctionName: 'described',
      FunctionArn: `arn:aws:lambda:us-east-1:${account}:function:described`,
      State: 'Active',
      LastUpdateStatus: 'Successful',
      Timeout: 3,
      EphemeralStorage: { Size: 512 },
      Environment: { Variables: { STAGE: '1' } },
      LoggingConfig: { LogFormat: 'Text', LogGroup: '/aws/lambda/described' },
      TracingConfig: { Mode: 'PassThrough' },
      PackageType: 'Zip',
    });
    expect(Configuration?.RevisionId).not.toBe(made.RevisionId);
    expect(Tags).toEqual({ team: 'x' });
    const fetched = await fetch(Code!.Location!);
    expect(Buffer.from(await fetched.arrayBuffer()).equals(zip)).toBe(true);
    expect((await fetch(`${Code!.Location!.slice(0, -4)}0000`)).status).toBe(404);
  });

  it('refuse a second one of the same name, and what cannot be built', async () => {
    await create('twice');
    expect(await failure(create('twice'))).toEqual({
      code: 'ResourceConflictException',
      message: 'Function already exist: twice',
      status: 409,
    });
    const FileSystemConfigs = [
      {
        Arn: `arn:aws:elasticfilesystem:us-east-1:${account}:access-point/fsap-0123456789abcdef0`,
        LocalMountPath: '/mnt/a',
      },
    ];
    expect((await failure(create('mounted', { FileSystemConfigs }))).status).toBe(501);
  });

  it.each([
    [{ Runtime: 'nodejs12.x' as const }, 'InvalidParameterValueException', 'no longer supported'],
    [
      { Runtime: 'PYTHON3.9' as 'python3.9' },
      'InvalidParameterValueException',
      "Value PYTHON3.9 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [nodejs20.x, python3.14,",
    ],
    [{ Timeout: 901 }, 'ValidationException', "Value '901' at 'timeout'"],
    [{ MemorySize: 10241 }, 'ValidationException', "Value '10241' at 'memorySize'"],
    [{ Role: 'r1' }, 'ValidationException', "Value 'r1' at 'role' failed to satisfy constraint"],
    [{ Code: { ZipFile: Buffer.from('no zip') } }, 'InvalidParameterValueException', 'Could not unzip uploaded file.'],
    [{ Code: {} }, 'InvalidParameterValueException', 'Please provide a source for function code.'],
    [{ Environment: { Variables: { AWS_REGION: 'x' } } }, 'InvalidParameterValueException', 'request: AWS_REGION'],
    [
      { Environment: { Variables: { LONG: 'x'.repeat(4096) } } },
      'InvalidParameterValueException',
      'exceeded the 4KB limit',
    ],
    [{ FunctionName: 'a'.repeat(65) }, 'InvalidParameterValueException', 'less than or equal to 64'],
  ])('refuse bad settings %#', async (more, code, words) => {
    const refused = await failure(create('bad-settings', more));
    expect(refused.code).toBe(code);
    expect(refused.message).toContain(words);
  });

  it('name each other by name, partial ARN and ARN', async () => {
    await create('named');
    for (const name of ['named', `${account}:function:named`, `arn:aws:lambda:us-east-1:${account}:function:named`]) {
      const shown = await client.send(new GetFunctionConfigurationCommand({ FunctionName: name }));
      expect(shown.FunctionName).toBe('named');
    }
    const elsewhere = `arn:aws:lambda:ap-southeast-1:${account}:function:named`;
    expect(await failure(client.send(new GetFunctionCommand({ FunctionName: elsewhere })))).toMatchObject({
      code: 'ResourceNotFoundException',
      message: "Functions from 'ap-southeast-1' are not reachable in this region ('us-east-1')",
    });
    expect(
      await failure(client.send(new GetFunctionCommand({ FunctionName: 'named:one', Qualifier: 'two' }))),
    ).toMatchObject({
      message: 'The derived qualifier from the function name does not match the specified qualifier.',
    });
    expect(await failure(client.send(new GetFunctionCommand({ FunctionName: 'nobody' })))).toEqual({
      code: 'ResourceNotFoundException',
      message: `Function not found: arn:aws:lambda:us-east-1:${account}:function:nobody`,
      status: 404,
    });
  });

  it('are updated in progress, by revision, and recycle their environments', async () => {
    await create('updated');
    await client.send(new InvokeCommand({ FunctionName: 'updated', Payload: '{}' }));
    const before = compute.sandboxes.at(-1)!;
    const changed = await client.send(
      new UpdateFunctionConfigurationCommand({ FunctionName: 'updated', Timeout: 9, Description: 'new' }),
    );
    expect(changed).toMatchObject({ LastUpdateStatus: 'InProgress', Timeout: 9, State: 'Active' });
    await updated('updated');
    expect(before.closedFor).toBe('spindown');
    expect(
      await failure(
        client.send(new UpdateFunctionCodeCommand({ FunctionName: 'updated', ZipFile: zip, RevisionId: 'old' })),
      ),
    ).toMatchObject({ code: 'PreconditionFailedException', status: 412 });
    const other = zipFiles({ 'index.js': 'exports.handler = async () => 2;' });
    const dry = await client.send(
      new UpdateFunctionCodeCommand({ FunctionName: 'updated', ZipFile: other, DryRun: true }),
    );
    const { RevisionId, CodeSha256 } = await client.send(
      new GetFunctionConfigurationCommand({ FunctionName: 'updated' }),
    );
    expect(dry.CodeSha256).not.toBe(CodeSha256);
    const recoded = await client.send(
      new UpdateFunctionCodeCommand({ FunctionName: 'updated', ZipFile: other, RevisionId, Publish: true }),
    );
    expect(recoded.Version).toBe('1');
    await updated('updated');
  });

  it('whose runtime cannot run here end as Failed, with the reason', async () => {
    compute.unsupported = 'no ruby on this machine; install it';
    await expect(create('unsupported', { Runtime: 'ruby3.4' })).rejects.toThrow();
    compute.unsupported = undefined;
    const shown = await client.send(new GetFunctionConfigurationCommand({ FunctionName: 'unsupported' }));
    expect(shown).toMatchObject({ State: 'Failed', StateReason: 'no ruby on this machine; install it' });
    const refused = await failure(client.send(new InvokeCommand({ FunctionName: 'unsupported' })));
    expect(refused).toMatchObject({ code: 'ResourceConflictException', status: 409 });
  });

  it('are listed in pages and deleted with all that is theirs', async () => {
    await create('gone', { Publish: true });
    await client.send(new CreateAliasCommand({ FunctionName: 'gone', Name: 'live', FunctionVersion: '1' }));
    const first = await client.send(new ListFunctionsCommand({ MaxItems: 1 }));
    expect(first.Functions).toHaveLength(1);
    expect(first.NextMarker).toBeDefined();
    const all = await client.send(new ListFunctionsCommand({ FunctionVersion: 'ALL' }));
    expect(all.Functions?.filter(({ FunctionName }) => FunctionName === 'gone').map(({ Version }) => Version)).toEqual([
      '$LATEST',
      '1',
    ]);
    expect(
      await failure(client.send(new DeleteFunctionCommand({ FunctionName: 'gone', Qualifier: '1' }))),
    ).toMatchObject({ code: 'ResourceConflictException' });
    const before = await client.send(new GetAccountSettingsCommand({}));
    await client.send(new DeleteFunctionCommand({ FunctionName: 'gone' }));
    const after = await client.send(new GetAccountSettingsCommand({}));
    expect(before.AccountUsage!.FunctionCount! - after.AccountUsage!.FunctionCount!).toBe(1);
    expect(before.AccountUsage!.TotalCodeSize! - after.AccountUsage!.TotalCodeSize!).toBe(2 * zip.length);
    expect(
      await failure(client.send(new GetFunctionCommand({ FunctionName: 'gone', Qualifier: 'live' }))),
    ).toMatchObject({
      status: 404,
    });
    expect(await failure(client.send(new DeleteFunctionCommand({ FunctionName: 'gone' })))).toMatchObject({
      status: 404,
    });
  });
});

describe('versions and aliases', () => {
  it('publish what changed, and route by weight', async () => {
    await create('versioned');
    const one = await client.send(new PublishVersionCommand({ FunctionName: 'versioned', Description: 'first' }));
    expect(one).toMatchObject({ Version: '1', Description: 'first', State: 'Active' });
    expect(one.FunctionArn).toMatch(/:versioned:1$/);
    expect((await client.send(new PublishVersionCommand({ FunctionName: 'versioned' }))).Version).toBe('1');
    await client.send(new UpdateFunctionConfigurationCommand({ FunctionName: 'versioned', MemorySize: 256 }));
    await updated('versioned');
    expect((await client.send(new PublishVersionCommand({ FunctionName: 'versioned' }))).Version).toBe('2');
    const { Versions } = await client.send(new ListVersionsByFunctionCommand({ FunctionName: 'versioned' }));
    expect(Versions?.map(({ Version }) => Version)).toEqual(['$LATEST', '1', '2']);

    const alias = await client.send(
      new CreateAliasCommand({
        FunctionName: 'versioned',
        Name: 'live',
        FunctionVersion: '1',
        RoutingConfig: { AdditionalVersionWeights: { '2': 0.5 } },
      }),
    );
    const served = new Set<string>();
    for (let count = 0; count < 40; count++) {
      const done = await client.send(new InvokeCommand({ FunctionName: 'versioned', Qualifier: 'live' }));
      served.add(done.ExecutedVersion!);
    }
    expect([...served].sort()).toEqual(['1', '2']);
    expect(
      await failure(
        client.send(new UpdateAliasCommand({ FunctionName: 'versioned', Name: 'live', FunctionVersion: '2' })),
      ),
    ).toMatchObject({ message: expect.stringContaining('already included in routing configuration') });
    const moved = await client.send(
      new UpdateAliasCommand({
        FunctionName: 'versioned',
        Name: 'live',
        FunctionVersion: '2',
        RoutingConfig: {},
        RevisionId: alias.RevisionId,
      }),
    );
    expect(moved).toMatchObject({ FunctionVersion: '2' });
    expect(moved.RoutingConfig).toBeUndefined();
    const { Aliases } = await client.send(new ListAliasesCommand({ FunctionName: 'versioned' }));
    expect(Aliases).toHaveLength(1);
    await client.send(new DeleteAliasCommand({ FunctionName: 'versioned', Name: 'live' }));
    expect(await failure(client.send(new GetAliasCommand({ FunctionName: 'versioned', Name: 'live' })))).toMatchObject({
      message: `Cannot find alias arn: arn:aws:lambda:us-east-1:${account}:function:versioned:live`,
    });
  });
});

describe('what belongs to a function', () => {
  it('permissions', async () => {
    await create('permitted');
    const { Statement } = await client.send(
      new AddPermissionCommand({
        FunctionName: 'permitted',
        StatementId: 'api',
        Action: 'lambda:InvokeFunction',
        Principal: 'apigateway.amazonaws.com',
        SourceArn: 'arn:aws:execute-api:us-east-1:000000000000:abc/*/GET/x',
      }),
    );
    expect(JSON.parse(Statement!)).toEqual({
      Sid: 'api',
      Effect: 'Allow',
      Principal: { Service: 'apigateway.amazonaws.com' },
      Action: 'lambda:InvokeFunction',
      Resource: `arn:aws:lambda:us-east-1:${account}:function:permitted`,
      Condition: { ArnLike: { 'AWS:SourceArn': 'arn:aws:execute-api:us-east-1:000000000000:abc/*/GET/x' } },
    });
    const invokeAs = (id: string) =>
      test.cloud.platform.bus.call(
        {
          account,
          region: 'us-east-1',
          principal: { kind: 'service', arn: 'apigateway.amazonaws.com', account, id },
        },
        'lambda',
        'Invoke',
        { FunctionName: 'permitted' },
      );
    const allowed = await invokeAs('arn:aws:execute-api:us-east-1:000000000000:abc/dev/GET/x');
    expect(allowed.StatusCode).toBe(200);
    await expect(invokeAs('arn:aws:execute-api:us-east-1:000000000000:other/dev/GET/x')).rejects.toMatchObject({
      code: 'AccessDeniedException',
    });
    const { Policy } = await client.send(new GetPolicyCommand({ FunctionName: 'permitted' }));
    expect(JSON.parse(Policy!).Statement).toHaveLength(1);
    await client.send(new RemovePermissionCommand({ FunctionName: 'permitted', StatementId: 'api' }));
    await expect(invokeAs('arn:aws:execute-api:us-east-1:000000000000:abc/dev/GET/x')).rejects.toMatchObject({
      code: 'AccessDeniedException',
    });
    expect(await failure(client.send(new GetPolicyCommand({ FunctionName: 'permitted' })))).toMatchObject({
      status: 404,
    });
  });

  it('tags', async () => {
    await create('tagged');
    const Resource = `arn:aws:lambda:us-east-1:${account}:function:tagged`;
    await client.send(new TagResourceCommand({ Resource, Tags: { a: '1', b: '2' } }));
    await client.send(new UntagResourceCommand({ Resource, TagKeys: ['a'] }));
    expect((await client.send(new ListTagsCommand({ Resource }))).Tags).toEqual({ b: '2' });
  });

  it('reservations', async () => {
    await create('reserved');
    await client.send(
      new PutFunctionConcurrencyCommand({ FunctionName: 'reserved', ReservedConcurrentExecutions: 900 }),
    );
    expect(
      await failure(
        client.send(new PutFunctionConcurrencyCommand({ FunctionName: 'reserved', ReservedConcurrentExecutions: 901 })),
      ),
    ).toMatchObject({
      message:
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100].",
    });
    const { AccountLimit } = await client.send(new GetAccountSettingsCommand({}));
    expect(AccountLimit?.UnreservedConcurrentExecutions).toBe(100);
    await client.send(new DeleteFunctionConcurrencyCommand({ FunctionName: 'reserved' }));
    const shown = await client.send(new GetFunctionConcurrencyCommand({ FunctionName: 'reserved' }));
    expect(shown.ReservedConcurrentExecutions).toBeUndefined();
  });

  it('event invoke configurations', async () => {
    await create('configured');
    const put = await client.send(
      new PutFunctionEventInvokeConfigCommand({ FunctionName: 'configured', MaximumEventAgeInSeconds: 60 }),
    );
    expect(put).toMatchObject({ MaximumEventAgeInSeconds: 60, DestinationConfig: { OnFailure: {}, OnSuccess: {} } });
    const changed = await client.send(
      new UpdateFunctionEventInvokeConfigCommand({ FunctionName: 'configured', MaximumRetryAttempts: 1 }),
    );
    expect(changed).toMatchObject({ MaximumEventAgeInSeconds: 60, MaximumRetryAttempts: 1 });
    const { FunctionEventInvokeConfigs } = await client.send(
      new ListFunctionEventInvokeConfigsCommand({ FunctionName: 'configured' }),
    );
    expect(FunctionEventInvokeConfigs).toHaveLength(1);
    expect(
      await failure(
        client.send(
          new PutFunctionEventInvokeConfigCommand({
            FunctionName: 'configured',
            DestinationConfig: {
              OnSuccess: { Destination: `arn:aws:lambda:us-east-1:${account}:function:configured` },
            },
          }),
        ),
      ),
    ).toMatchObject({ message: "You can't specify the function as a destination for itself." });
    await client.send(new DeleteFunctionEventInvokeConfigCommand({ FunctionName: 'configured' }));
    expect(
      await failure(client.send(new GetFunctionEventInvokeConfigCommand({ FunctionName: 'configured' }))),
    ).toMatchObject({ message: expect.stringContaining("doesn't have an EventInvokeConfig") });
  });
});
