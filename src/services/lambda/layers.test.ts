import {
  AddLayerVersionPermissionCommand,
  type CreateFunctionCommandInput,
  DeleteLayerVersionCommand,
  GetAccountSettingsCommand,
  GetFunctionConfigurationCommand,
  GetLayerVersionByArnCommand,
  GetLayerVersionCommand,
  GetLayerVersionPolicyCommand,
  InvokeCommand,
  LambdaClient,
  ListLayersCommand,
  ListLayerVersionsCommand,
  PublishLayerVersionCommand,
  type PublishLayerVersionCommandInput,
  RemoveLayerVersionPermissionCommand,
  UpdateFunctionCodeCommand,
  UpdateFunctionConfigurationCommand,
  waitUntilFunctionUpdatedV2,
} from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { FakeCompute, FakeLogs } from './fake-compute.test-support.ts';
import { account, createFunction, failure, waiting } from './functions.test-support.ts';
import { zipFiles } from './rules/package.ts';

const content = zipFiles({ 'nodejs/node_modules/a/index.js': 'module.exports = 1;' });
const arn = (name: string, version?: number): string =>
  `arn:aws:lambda:us-east-1:${account}:layer:${name}${version === undefined ? '' : `:${version}`}`;

let test: TestCloud;
let client: LambdaClient;
let stranger: LambdaClient;
let compute: FakeCompute;

beforeAll(async () => {
  test = await startTestCloud({ services: ['lambda', 'iam', 'sts'] });
  compute = FakeCompute.into(test.cloud.platform);
  FakeLogs.into(test.cloud.platform);
  client = new LambdaClient(test.clientConfig);
  // An access key of twelve digits is an account of its own.
  const credentials = { accessKeyId: '111122223333', secretAccessKey: 'test' };
  stranger = new LambdaClient({ ...test.clientConfig, credentials });
});
afterAll(() => test.close());

function publish(LayerName: string, more: Partial<PublishLayerVersionCommandInput> = {}, by = client) {
  return by.send(new PublishLayerVersionCommand({ LayerName, Content: { ZipFile: content }, ...more }));
}

function create(FunctionName: string, more: Partial<CreateFunctionCommandInput> = {}, by = client) {
  return createFunction(by, FunctionName, more);
}

function configure(FunctionName: string, Layers: string[]) {
  return client.send(new UpdateFunctionConfigurationCommand({ FunctionName, Layers }));
}

describe('layers', () => {
  it('are published, shown, downloaded, listed and deleted; numbers never come twice', async () => {
    const before = await client.send(new GetAccountSettingsCommand({}));
    const made = await publish('tools', {
      Description: 'first',
      LicenseInfo: 'MIT',
      CompatibleRuntimes: ['python3.12'],
      CompatibleArchitectures: ['arm64'],
    });
    expect(made).toMatchObject({
      Version: 1,
      LayerArn: arn('tools'),
      LayerVersionArn: arn('tools', 1),
      Description: 'first',
      LicenseInfo: 'MIT',
      CompatibleRuntimes: ['python3.12'],
      CompatibleArchitectures: ['arm64'],
      CreatedDate: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*\+0000$/),
      Content: { CodeSize: content.length },
    });
    const fetched = await fetch(made.Content!.Location!);
    expect(Buffer.from(await fetched.arrayBuffer()).equals(content)).toBe(true);
    const second = await publish('tools', { CompatibleRuntimes: [], CompatibleArchitectures: [] });
    expect(second).toMatchObject({ Version: 2, CompatibleRuntimes: [], CompatibleArchitectures: [], Description: '' });
    expect(second.Content!.CodeSha256).toBe(made.Content!.CodeSha256);

    const shown = await client.send(new GetLayerVersionCommand({ LayerName: arn('tools'), VersionNumber: 1 }));
    expect(shown).toMatchObject({ Version: 1, Content: { CodeSha256: made.Content!.CodeSha256 } });
    const byArn = await client.send(new GetLayerVersionByArnCommand({ Arn: arn('tools', 1) }));
    expect(byArn).toMatchObject({ Version: 1, LayerVersionArn: arn('tools', 1) });

    const all = await client.send(new ListLayerVersionsCommand({ LayerName: 'tools' }));
    expect(all.LayerVersions?.map(({ Version }) => Version)).toEqual([2, 1]);
    const python = await client.send(
      new ListLayerVersionsCommand({ LayerName: 'tools', CompatibleRuntime: 'python3.12' }),
    );
    expect(python.LayerVersions?.map(({ Version }) => Version)).toEqual([1]);
    await publish('other', { CompatibleArchitectures: ['x86_64'] });
    const page = await client.send(new ListLayersCommand({ MaxItems: 1 }));
    expect(page.Layers).toHaveLength(1);
    const rest = await client.send(new ListLayersCommand({ Marker: page.NextMarker! }));
    expect([...page.Layers!, ...rest.Layers!].map(({ LayerName }) => LayerName).sort()).toEqual(['other', 'tools']);
    const arm = await client.send(new ListLayersCommand({ CompatibleArchitecture: 'arm64' }));
    expect(arm.Layers).toMatchObject([
      { LayerName: 'tools', LayerArn: arn('tools'), LatestMatchingVersion: { Version: 1 } },
    ]);

    const between = await client.send(new GetAccountSettingsCommand({}));
    expect(between.AccountUsage!.TotalCodeSize! - before.AccountUsage!.TotalCodeSize!).toBe(3 * content.length);
    for (const VersionNumber of [1, 2, 2, 7])
      await client.send(new DeleteLayerVersionCommand({ LayerName: 'tools', VersionNumber }));
    expect((await fetch(made.Content!.Location!)).status).toBe(404);
    expect((await client.send(new ListLayerVersionsCommand({ LayerName: 'tools' }))).LayerVersions).toEqual([]);
    const left = await client.send(new ListLayersCommand({}));
    expect(left.Layers?.map(({ LayerName }) => LayerName)).toEqual(['other']);
    const after = await client.send(new GetAccountSettingsCommand({}));
    expect(after.AccountUsage!.TotalCodeSize! - before.AccountUsage!.TotalCodeSize!).toBe(content.length);
    expect((await publish('tools')).Version).toBe(3);
  });

  it('take packages from the blob bucket', async () => {
    const S3Key = await test.cloud.platform.blobs.put(content);
    const made = await publish('stored', { Content: { S3Bucket: 'unkai-blobs', S3Key } });
    expect(made.Content!.CodeSha256).toBe(Buffer.from(S3Key, 'hex').toString('base64'));
    const missing = publish('stored', { Content: { S3Bucket: 'unkai-blobs', S3Key: '0'.repeat(64) } });
    expect(await failure(missing)).toMatchObject({ code: 'InvalidParameterValueException' });
  });

  it('are refused with AWS’s words', async () => {
    await publish('plain');
    const get = (LayerName: string, VersionNumber: number) =>
      failure(client.send(new GetLayerVersionCommand({ LayerName, VersionNumber })));
    const notThere = {
      code: 'ResourceNotFoundException',
      message: 'The resource you requested does not exist.',
      status: 404,
    };
    const below = {
      code: 'InvalidParameterValueException',
      message: 'Layer Version Cannot be less than 1',
      status: 400,
    };
    expect(await get('nobody', 1)).toMatchObject(notThere);
    expect(await get('plain', 2)).toMatchObject(notThere);
    expect(await get('plain', 0)).toMatchObject(below);
    expect(await get('plain', -1)).toMatchObject(below);
    const gone = new DeleteLayerVersionCommand({ LayerName: 'plain', VersionNumber: -1 });
    expect(await failure(client.send(gone))).toMatchObject(below);
    expect(await failure(client.send(new GetLayerVersionByArnCommand({ Arn: arn('plain', 9) })))).toMatchObject(
      notThere,
    );
    expect((await failure(client.send(new GetLayerVersionByArnCommand({ Arn: arn('plain') })))).code).toBe(
      'ValidationException',
    );
    expect(await failure(publish('bad', { Content: { ZipFile: Buffer.from('no zip') } }))).toMatchObject({
      message: 'Could not unzip uploaded file. Please check your file, then try to upload again.',
    });
    const wrong = { CompatibleRuntimes: ['cobol' as 'nodejs20.x'], CompatibleArchitectures: ['vax' as 'arm64'] };
    expect(await failure(publish('bad', wrong))).toMatchObject({
      code: 'ValidationException',
      message: expect.stringContaining('2 validation errors detected'),
    });
  });

  it('have policies', async () => {
    await publish('shared');
    const of = { LayerName: 'shared', VersionNumber: 1 };
    const add = (StatementId: string, more = {}) =>
      client.send(
        new AddLayerVersionPermissionCommand({
          ...of,
          StatementId,
          Action: 'lambda:GetLayerVersion',
          Principal: '*',
          ...more,
        }),
      );
    const policy = () => client.send(new GetLayerVersionPolicyCommand(of));
    const nothing = { code: 'ResourceNotFoundException', message: 'No policy is associated with the given resource.' };
    expect(await failure(policy())).toMatchObject(nothing);
    const added = await add('s1');
    const statement = { Sid: 's1', Effect: 'Allow', Principal: '*', Action: 'lambda:GetLayerVersion' };
    expect(JSON.parse(added.Statement!)).toEqual({ ...statement, Resource: arn('shared', 1) });
    expect(await failure(add('s1'))).toMatchObject({ code: 'ResourceConflictException', status: 409 });
    expect(await failure(add('s2', { Action: '*' }))).toMatchObject({
      message:
        "1 validation error detected: Value '*' at 'action' failed to satisfy constraint: Member must satisfy regular expression pattern: lambda:GetLayerVersion",
    });
    expect(await failure(add('s2', { RevisionId: 'wrong' }))).toMatchObject({
      code: 'PreconditionFailedException',
      message:
        'The Revision Id provided does not match the latest Revision Id. Call the GetLayerPolicy API to retrieve the latest Revision Id',
      status: 412,
    });
    await add('s2', { RevisionId: added.RevisionId, OrganizationId: 'o-a1b2c3d4e5' });
    const { Policy, RevisionId } = await policy();
    expect(JSON.parse(Policy!)).toMatchObject({
      Version: '2012-10-17',
      Id: 'default',
      Statement: [{ Sid: 's1' }, { Sid: 's2', Condition: { StringEquals: { 'aws:PrincipalOrgID': 'o-a1b2c3d4e5' } } }],
    });
    const remove = (StatementId: string, more = {}) =>
      client.send(new RemoveLayerVersionPermissionCommand({ ...of, StatementId, ...more }));
    expect(await failure(remove('none'))).toMatchObject({ message: 'Statement none is not found in resource policy.' });
    expect(await failure(remove('s2', { RevisionId: 'wrong' }))).toMatchObject({ status: 412 });
    await remove('s2', { RevisionId });
    await remove('s1');
    expect(await failure(policy())).toMatchObject(nothing);
    const unknown = { message: `Layer version ${arn('shared', 2)} does not exist.`, status: 404 };
    expect(await failure(add('s', { VersionNumber: 2 }))).toMatchObject(unknown);
    expect(await failure(remove('s', { VersionNumber: 2 }))).toMatchObject(unknown);
    expect(await failure(client.send(new GetLayerVersionPolicyCommand({ ...of, VersionNumber: 2 })))).toMatchObject(
      unknown,
    );
  });

  it('of other accounts are had where their policy says so', async () => {
    await publish('lent');
    const get = () => stranger.send(new GetLayerVersionByArnCommand({ Arn: arn('lent', 1) }));
    expect(await failure(get())).toMatchObject({
      code: 'AccessDeniedException',
      message: `User: arn:aws:iam::111122223333:root is not authorized to perform: lambda:GetLayerVersion on resource: ${arn('lent', 1)} because no resource-based policy allows the lambda:GetLayerVersion action`,
      status: 403,
    });
    expect(await failure(create('borrower', { Layers: [arn('lent', 1)] }, stranger))).toMatchObject({
      code: 'AccessDeniedException',
    });
    const grant = { LayerName: 'lent', VersionNumber: 1, StatementId: 's', Action: 'lambda:GetLayerVersion' };
    await client.send(new AddLayerVersionPermissionCommand({ ...grant, Principal: '111122223333' }));
    expect((await get()).Version).toBe(1);
    await create('borrower', { Layers: [arn('lent', 1)] }, stranger);
    const listed = await stranger.send(new ListLayerVersionsCommand({ LayerName: arn('lent') }));
    expect(listed.LayerVersions).toHaveLength(1);
    const takeover = new DeleteLayerVersionCommand({ LayerName: arn('lent'), VersionNumber: 1 });
    expect((await failure(stranger.send(takeover))).status).toBe(403);
  });
});

describe('functions with layers', () => {
  it('have them in their order, and keep versions that are deleted', async () => {
    await publish('base');
    await publish('extra', { Content: { ZipFile: zipFiles({ 'more.txt': 'x' }) } });
    await create('layered', { Layers: [arn('base', 1)] });
    const shown = await client.send(new GetFunctionConfigurationCommand({ FunctionName: 'layered' }));
    expect(shown.Layers).toEqual([{ Arn: arn('base', 1), CodeSize: content.length }]);
    await configure('layered', [arn('extra', 1), arn('base', 1)]);
    await waitUntilFunctionUpdatedV2({ client, ...waiting }, { FunctionName: 'layered' });
    await client.send(new DeleteLayerVersionCommand({ LayerName: 'base', VersionNumber: 1 }));
    await client.send(new InvokeCommand({ FunctionName: 'layered' }));
    const spec = compute.sandboxes.at(-1)!.spec;
    const digests = spec.code.kind === 'zip' ? spec.code.layers : [];
    expect(digests).toHaveLength(2);
    expect(await test.cloud.platform.blobs.get(digests[1]!)).toEqual(content);
    expect(compute.provided.at(-1)).toEqual([expect.any(String), ...digests]);
    const other = zipFiles({ 'index.js': 'exports.handler = async () => 2;' });
    await client.send(new UpdateFunctionCodeCommand({ FunctionName: 'layered', ZipFile: other }));
    await waitUntilFunctionUpdatedV2({ client, ...waiting }, { FunctionName: 'layered' });
    const kept = await client.send(new UpdateFunctionConfigurationCommand({ FunctionName: 'layered', Timeout: 9 }));
    expect(kept.Layers?.map(({ Arn }) => Arn)).toEqual([arn('extra', 1), arn('base', 1)]);
    await waitUntilFunctionUpdatedV2({ client, ...waiting }, { FunctionName: 'layered' });
    expect((await configure('layered', [])).Layers).toBeUndefined();
  });

  it('refuse too many, two of one, missing ones, and those of elsewhere', async () => {
    await create('strict');
    for (let count = 0; count < 6; count++) await publish(`many-${count}`);
    await publish('many-0');
    const six = [0, 1, 2, 3, 4, 5].map((count) => arn(`many-${count}`, 1));
    const refused = async (layers: string[]): Promise<string> => {
      const found = await failure(configure('strict', layers));
      expect(found).toMatchObject({ code: 'InvalidParameterValueException', status: 400 });
      return found.message;
    };
    expect(await refused(six)).toBe('Cannot reference more than 5 layers.');
    const [one, two] = [arn('many-0', 1), arn('many-0', 2)];
    const twice = (other: string): string =>
      `Two different versions of the same layer are not allowed to be referenced in the same function. ${one} and ${other} are versions of the same layer.`;
    expect(await refused([one, two])).toBe(twice(two));
    expect(await refused([one, one])).toBe(twice(one));
    expect(await refused([arn('nobody', 1)])).toBe(`Layer version ${arn('nobody', 1)} does not exist.`);
    expect(await refused([arn('many-0', 9)])).toBe(`Layer version ${arn('many-0', 9)} does not exist.`);
    expect(await refused([one.replace('us-east-1', 'eu-west-1')])).toBe(
      'Layers are not in the same region as the function. Layers are expected to be in region us-east-1.',
    );
    expect((await failure(configure('strict', [arn('many-0')]))).code).toBe('ValidationException');
    expect(await failure(create('created', { Layers: six }))).toMatchObject({
      message: 'Cannot reference more than 5 layers.',
    });
  });

  it('refuse more than 250 MB, unpacked, together', async () => {
    const big = (bytes: number): Uint8Array => zipFiles({ [`unpacked-${bytes}`]: '' });
    await publish('big', { Content: { ZipFile: big(200_000_000) } });
    const message =
      'Function code combined with layers exceeds the maximum allowed size of 262144000 bytes. The actual size is 300000000 bytes.';
    const Code = { ZipFile: big(100_000_000) };
    expect(await failure(create('heavy', { Code, Layers: [arn('big', 1)] }))).toMatchObject({ message });
    await create('heavy', { Layers: [arn('big', 1)] });
    const recoded = client.send(new UpdateFunctionCodeCommand({ FunctionName: 'heavy', ...Code }));
    expect(await failure(recoded)).toMatchObject({ message });
    await create('full', { Code });
    expect(await failure(configure('full', [arn('big', 1)]))).toMatchObject({ message });
  });
});
