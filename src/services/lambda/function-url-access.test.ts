import { CreateAccessKeyCommand, CreateUserCommand, IAMClient, PutUserPolicyCommand } from '@aws-sdk/client-iam';
import {
  AddPermissionCommand,
  type AddPermissionCommandInput,
  CreateAliasCommand,
  CreateFunctionUrlConfigCommand,
  type CreateFunctionUrlConfigCommandInput,
  DeleteAliasCommand,
  DeleteFunctionCommand,
  DeleteFunctionUrlConfigCommand,
  GetFunctionUrlConfigCommand,
  GetPolicyCommand,
  ListFunctionUrlConfigsCommand,
  PublishVersionCommand,
  RemovePermissionCommand,
  UpdateFunctionUrlConfigCommand,
} from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { account, ask, forbidden, signed, UrlTest } from './function-urls.test-support.ts';

let urls: UrlTest;
beforeAll(async () => {
  urls = await UrlTest.start();
});
afterAll(() => urls.close());

describe("a URL's configuration", () => {
  it('is made, read, changed, listed and deleted', async () => {
    await urls.create('config', () => 1);
    const FunctionName = 'config';
    const arn = `arn:aws:lambda:us-east-1:${account}:function:config`;
    const made = await urls.client.send(new CreateFunctionUrlConfigCommand({ FunctionName, AuthType: 'NONE' }));
    expect(made.$metadata.httpStatusCode).toBe(201);
    expect(made).toMatchObject({ AuthType: 'NONE', FunctionArn: arn });
    expect(made.FunctionUrl).toMatch(/^http:\/\/[a-z0-9]{32}\.lambda-url\.us-east-1\.localhost:\d+\/$/);
    expect(made.InvokeMode).toBeUndefined();
    const again = urls.client.send(new CreateFunctionUrlConfigCommand({ FunctionName, AuthType: 'NONE' }));
    await expect(again).rejects.toMatchObject({
      name: 'ResourceConflictException',
      message: `Failed to create function url config for [functionArn = ${arn}]. Error message:  FunctionUrlConfig exists for this Lambda function`,
    });
    const read = await urls.client.send(new GetFunctionUrlConfigCommand({ FunctionName }));
    expect(read).toMatchObject({ FunctionUrl: made.FunctionUrl, InvokeMode: 'BUFFERED', AuthType: 'NONE' });
    expect(read.LastModifiedTime).toBe(read.CreationTime);

    const Cors = { AllowOrigins: ['https://a.example'], AllowMethods: ['GET'], MaxAge: 5 };
    const changed = await urls.client.send(
      new UpdateFunctionUrlConfigCommand({ FunctionName, AuthType: 'AWS_IAM', Cors, InvokeMode: 'RESPONSE_STREAM' }),
    );
    expect(changed).toMatchObject({ AuthType: 'AWS_IAM', Cors, InvokeMode: 'RESPONSE_STREAM' });
    const kept = await urls.client.send(new UpdateFunctionUrlConfigCommand({ FunctionName }));
    expect(kept).toMatchObject({ AuthType: 'AWS_IAM', Cors, InvokeMode: 'RESPONSE_STREAM' });
    const cleared = await urls.client.send(new UpdateFunctionUrlConfigCommand({ FunctionName, Cors: {} }));
    expect(cleared.Cors).toBeUndefined();

    await urls.client.send(new PublishVersionCommand({ FunctionName }));
    await urls.client.send(new CreateAliasCommand({ FunctionName, Name: 'live', FunctionVersion: '1' }));
    const ofAlias = await urls.client.send(
      new CreateFunctionUrlConfigCommand({ FunctionName, Qualifier: 'live', AuthType: 'NONE' }),
    );
    expect(ofAlias.FunctionArn).toBe(`${arn}:live`);
    const first = await urls.client.send(new ListFunctionUrlConfigsCommand({ FunctionName, MaxItems: 1 }));
    expect(first.FunctionUrlConfigs?.map(({ FunctionArn }) => FunctionArn)).toEqual([arn]);
    const second = await urls.client.send(
      new ListFunctionUrlConfigsCommand({ FunctionName, Marker: first.NextMarker! }),
    );
    expect(second.FunctionUrlConfigs).toMatchObject([{ FunctionArn: `${arn}:live`, InvokeMode: 'BUFFERED' }]);

    const gone = await urls.client.send(new DeleteFunctionUrlConfigCommand({ FunctionName }));
    expect(gone.$metadata.httpStatusCode).toBe(204);
    for (const Command of [GetFunctionUrlConfigCommand, DeleteFunctionUrlConfigCommand]) {
      await expect(
        urls.client.send(new Command({ FunctionName }) as GetFunctionUrlConfigCommand),
      ).rejects.toMatchObject({
        name: 'ResourceNotFoundException',
        message: 'The resource you requested does not exist.',
      });
    }
    await urls.client.send(new DeleteFunctionCommand({ FunctionName }));
    expect((await ask(ofAlias.FunctionUrl!)).text).toBe('{"Message":null}');
  });

  it('is refused in the words of AWS', async () => {
    await urls.create('checked', () => 1);
    const make = (more: Partial<CreateFunctionUrlConfigCommandInput>) =>
      urls.client.send(new CreateFunctionUrlConfigCommand({ FunctionName: 'checked', AuthType: 'NONE', ...more }));
    const missing = { name: 'ResourceNotFoundException', message: 'Function does not exist' };
    await expect(make({ FunctionName: 'nobody' })).rejects.toMatchObject(missing);
    await expect(make({ Qualifier: 'no-alias' })).rejects.toMatchObject(missing);
    for (const Qualifier of ['1', '$LATEST']) {
      await expect(make({ Qualifier })).rejects.toMatchObject({
        name: 'ValidationException',
        message: `1 validation error detected: Value '${Qualifier}' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: ((?!^\\d+$)^[0-9a-zA-Z-_]+$)`,
      });
    }
    await expect(make({ FunctionName: 'checked:one', Qualifier: 'two' })).rejects.toMatchObject({
      name: 'InvalidParameterValueException',
      message: 'The derived qualifier from the function name does not match the specified qualifier.',
    });
    await expect(make({ InvokeMode: 'UNKNOWN' as 'BUFFERED' })).rejects.toMatchObject({ name: 'ValidationException' });
    await expect(make({ Cors: { MaxAge: 86_401 } })).rejects.toMatchObject({ name: 'ValidationException' });
    await expect(urls.client.send(new ListFunctionUrlConfigsCommand({ FunctionName: 'nobody' }))).rejects.toMatchObject(
      missing,
    );
  });
});

describe('permissions', () => {
  it('are kept with their conditions', async () => {
    await urls.create('permitted', () => 1);
    await urls.permit('permitted');
    const { Policy } = await urls.client.send(new GetPolicyCommand({ FunctionName: 'permitted' }));
    expect(JSON.parse(Policy!).Statement).toMatchObject([
      {
        Action: 'lambda:InvokeFunctionUrl',
        Principal: '*',
        Condition: { StringEquals: { 'lambda:FunctionUrlAuthType': 'NONE' } },
      },
      { Action: 'lambda:InvokeFunction', Condition: { Bool: { 'lambda:InvokedViaFunctionUrl': 'true' } } },
    ]);
    const wrong = new AddPermissionCommand({
      FunctionName: 'permitted',
      StatementId: 'wrong',
      Principal: '*',
      Action: 'lambda:InvokeFunction',
      FunctionUrlAuthType: 'NONE',
    });
    await expect(urls.client.send(wrong)).rejects.toMatchObject({
      name: 'InvalidParameterValueException',
      message: 'FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action',
    });
  });

  it('are needed, both of them', async () => {
    await urls.create('closed', () => 'in');
    const { FunctionUrl } = await urls.client.send(
      new CreateFunctionUrlConfigCommand({ FunctionName: 'closed', AuthType: 'NONE' }),
    );
    const refused = await ask(FunctionUrl!);
    expect(refused.status).toBe(403);
    expect(refused.headers).toMatchObject({
      'content-type': 'application/json',
      'x-amzn-errortype': 'AccessDeniedException',
    });
    expect(JSON.parse(refused.text)).toEqual(forbidden);
    const add = (more: Partial<AddPermissionCommandInput>) =>
      urls.client.send(
        new AddPermissionCommand({
          FunctionName: 'closed',
          StatementId: 's',
          Principal: '*',
          Action: 'lambda:InvokeFunctionUrl',
          ...more,
        }),
      );
    await add({ FunctionUrlAuthType: 'NONE' });
    expect((await ask(FunctionUrl!)).status).toBe(403);
    await add({ StatementId: 't', Action: 'lambda:InvokeFunction', InvokedViaFunctionUrl: true });
    expect((await ask(FunctionUrl!)).text).toBe('in');
    // They are for everyone without a signature, not for AWS_IAM.
    await urls.client.send(new UpdateFunctionUrlConfigCommand({ FunctionName: 'closed', AuthType: 'AWS_IAM' }));
    expect((await ask(FunctionUrl!)).status).toBe(403);
  });

  it('of an alias are its own, and end with it', async () => {
    await urls.create('aliased', (_event, { invocation }) => invocation.invokedFunctionArn);
    await urls.client.send(new PublishVersionCommand({ FunctionName: 'aliased' }));
    await urls.client.send(new CreateAliasCommand({ FunctionName: 'aliased', Name: 'live', FunctionVersion: '1' }));
    const { FunctionUrl } = await urls.client.send(
      new CreateFunctionUrlConfigCommand({ FunctionName: 'aliased', Qualifier: 'live', AuthType: 'NONE' }),
    );
    await urls.permit('aliased');
    expect((await ask(FunctionUrl!)).status).toBe(403);
    await urls.permit('aliased', { Qualifier: 'live' });
    expect((await ask(FunctionUrl!)).text).toBe(`arn:aws:lambda:us-east-1:${account}:function:aliased:live`);
    await urls.client.send(new DeleteAliasCommand({ FunctionName: 'aliased', Name: 'live' }));
    expect(JSON.parse((await ask(FunctionUrl!)).text)).toEqual(forbidden);
  });
});

describe('AWS_IAM', () => {
  it('demands a signature for lambda in the region, and tells the function who signed', async () => {
    const url = await urls.published('iam', (event) => event, { AuthType: 'AWS_IAM' });
    const unsigned = await ask(url, { method: 'POST' });
    expect(unsigned.status).toBe(403);
    expect(JSON.parse(unsigned.text)).toEqual(forbidden);
    const answer = await ask(url, { method: 'POST', headers: signed(url) });
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.text).requestContext).toMatchObject({
      accountId: account,
      authorizer: {
        iam: { accountId: account, callerId: account, userArn: `arn:aws:iam::${account}:root`, cognitoIdentity: null },
      },
    });
    const wrongService = await ask(url, { method: 'POST', headers: signed(url, { service: 'execute-api' }) });
    expect(wrongService.status).toBe(403);
    expect(wrongService.headers['x-amzn-errortype']).toBe('InvalidSignatureException');
    expect(wrongService.text).toContain("Credential should be scoped to correct service: 'lambda'. ");
    const wrongRegion = await ask(url, { method: 'POST', headers: signed(url, { region: 'eu-west-1' }) });
    expect(wrongRegion.text).toContain("Credential should be scoped to a valid region, not 'eu-west-1'. ");
    // Another account is let in by the function's policy only.
    const foreign = signed(url, { key: '111122223333' });
    expect((await ask(url, { method: 'POST', headers: foreign })).status).toBe(403);
    const grant = { FunctionName: 'iam', Principal: '111122223333' };
    await urls.client.send(
      new AddPermissionCommand({
        ...grant,
        StatementId: 'theirs',
        Action: 'lambda:InvokeFunctionUrl',
        FunctionUrlAuthType: 'AWS_IAM',
      }),
    );
    await urls.client.send(
      new AddPermissionCommand({ ...grant, StatementId: 'theirs2', Action: 'lambda:InvokeFunction' }),
    );
    expect((await ask(url, { method: 'POST', headers: foreign })).status).toBe(200);
  });

  it('verifies what the cloud can: a key that it knows', async () => {
    const url = await urls.published('verified', (event) => event, { AuthType: 'AWS_IAM' });
    const root = await urls.test.cloud.platform.credentials.root();
    const { accessKeyId: key, secretAccessKey: secret } = root;
    expect((await ask(url, { method: 'POST', headers: signed(url, { key, secret }) })).status).toBe(200);
    const forged = await ask(url, { method: 'POST', headers: signed(url, { key, secret: 'guess' }) });
    expect(forged.status).toBe(403);
    expect(forged.text).toContain('The request signature we calculated does not match the signature you provided.');
    const tampered = await ask(url, { method: 'POST', headers: signed(url, { key, secret, body: 'a' }), body: 'b' });
    expect(tampered.status).toBe(403);
  });
});

describe('where IAM decides', () => {
  /** Policies are believed for a second. */
  const settled = () => new Promise((resolve) => setTimeout(resolve, 1_100));

  it("a signer's own policies must allow both actions, unless the function's do", async () => {
    const enforced = await UrlTest.start({ auth: 'enforced' });
    try {
      const { test, client } = enforced;
      const iam = new IAMClient({ ...test.clientConfig, credentials: await test.cloud.platform.credentials.root() });
      const url = await enforced.published('mine', (event) => event, { AuthType: 'AWS_IAM' });
      await client.send(new RemovePermissionCommand({ FunctionName: 'mine', StatementId: 'url' }));
      await client.send(new RemovePermissionCommand({ FunctionName: 'mine', StatementId: 'invoke' }));
      const Resource = `arn:aws:lambda:us-east-1:${account}:function:mine`;
      await iam.send(new CreateUserCommand({ UserName: 'caller' }));
      const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName: 'caller' }));
      const [key, secret] = [AccessKey!.AccessKeyId!, AccessKey!.SecretAccessKey!];
      const asCaller = () => ask(url, { method: 'POST', headers: signed(url, { key, secret }) });
      const own = async (statement: object): Promise<void> => {
        const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
        await iam.send(new PutUserPolicyCommand({ UserName: 'caller', PolicyName: 'own', PolicyDocument }));
        await settled();
      };
      expect((await asCaller()).status).toBe(403);
      await own({ Effect: 'Allow', Action: 'lambda:InvokeFunctionUrl', Resource });
      expect((await asCaller()).status).toBe(403);
      const both = ['lambda:InvokeFunctionUrl', 'lambda:InvokeFunction'];
      const Condition = { StringEquals: { 'lambda:FunctionUrlAuthType': 'AWS_IAM' } };
      await own({ Effect: 'Allow', Action: both, Resource, Condition });
      const answer = await asCaller();
      expect(answer.status).toBe(200);
      expect(JSON.parse(answer.text).requestContext.authorizer.iam).toMatchObject({
        accessKey: key,
        userArn: `arn:aws:iam::${account}:user/caller`,
      });
      // The function's policy lets in whose own policies say nothing, and no one whom they forbid.
      await enforced.permit('mine', { Principal: `arn:aws:iam::${account}:user/caller` }, 'AWS_IAM');
      await own({ Effect: 'Allow', Action: 's3:*', Resource: '*' });
      expect((await asCaller()).status).toBe(200);
      await own({ Effect: 'Deny', Action: 'lambda:InvokeFunction', Resource: '*' });
      expect((await asCaller()).status).toBe(403);
      const unknown = await ask(url, { method: 'POST', headers: signed(url) });
      expect(unknown.headers['x-amzn-errortype']).toBe('UnrecognizedClientException');
    } finally {
      await enforced.close();
    }
  });
});
