/** A function of a container image, built of a Debian package, loaded by the CLI's code, created and invoked by the stock SDK. */
import { join } from 'node:path';
import {
  CreateFunctionCommand,
  GetFunctionCommand,
  type ImageConfig,
  InvokeCommand,
  LambdaClient,
  UpdateFunctionConfigurationCommand,
  waitUntilFunctionActiveV2,
  waitUntilFunctionUpdatedV2,
} from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { importImage } from '../../src/compute/images/import.ts';
import {
  packageLayer,
  type TarMember,
  tar,
  temporaryFolder,
  writeImage,
} from '../../src/compute/images/test-support.ts';
import { startTestCloud, type TestCloud } from '../support/cloud.ts';

/** A runtime for a shell with busybox's tools: answers each event with itself, its arguments and where it runs. */
const bootstrap = `#!/bin/sh
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime
while :; do
  wget -q -S -O /tmp/event $api/invocation/next 2>/tmp/headers || exit 1
  id=$(sed -n 's/^ *[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: *//p' /tmp/headers | tr -d '\\r')
  echo "handles $id"
  answer="{\\"event\\":$(cat /tmp/event),\\"arguments\\":\\"$*\\",\\"folder\\":\\"$(pwd)\\",\\"greeting\\":\\"$GREETING\\",\\"root\\":\\"$(ls / | tr '\\n' ' ')\\"}"
  wget -q -O /dev/null --post-data "$answer" $api/invocation/$id/response
done
`;
const applets = ['sh', 'wget', 'sed', 'tr', 'cat', 'ls', 'pwd'].map(
  (name): TarMember => ({ path: `bin/${name}`, type: 'symlink', target: '/usr/bin/busybox' }),
);
const role = 'arn:aws:iam::000000000000:role/image';

let cloud: TestCloud;
let lambda: LambdaClient;
beforeAll(async () => {
  cloud = await startTestCloud({ engine: 'lmdb', sandbox: 'bubblewrap' });
  lambda = new LambdaClient(cloud.clientConfig);
  const layout = await writeImage(
    join(await temporaryFolder(), 'layout'),
    [
      packageLayer('busybox-static'),
      tar([...applets, { path: 'usr/bin/busybox', type: 'symlink', target: '/bin/busybox' }]),
      tar([{ path: 'bootstrap', content: bootstrap, mode: 0o755 }, { path: 'srv/data/' }]),
    ],
    {
      Entrypoint: ['/bootstrap'],
      Cmd: ['app.handler'],
      Env: ['PATH=/usr/bin:/bin', 'GREETING=from the image'],
      WorkingDir: '/srv',
    },
  );
  const { platform } = cloud.cloud;
  const { digest } = await importImage(layout, platform.blobs);
  await platform.images.put('shop/shell:1', digest);
});
afterAll(async () => {
  lambda?.destroy();
  await cloud?.close();
});

const invoke = async (
  event: unknown,
): Promise<{ error: string | undefined; answer: Record<string, unknown>; log: string }> => {
  const { FunctionError, Payload, LogResult } = await lambda.send(
    new InvokeCommand({ FunctionName: 'shell', LogType: 'Tail', Payload: JSON.stringify(event) }),
  );
  return {
    error: FunctionError,
    answer: JSON.parse(Buffer.from(Payload!).toString()) as Record<string, unknown>,
    log: Buffer.from(LogResult ?? '', 'base64').toString(),
  };
};

it("runs the image's entry point in the image's own root", async () => {
  const ImageUri = '000000000000.dkr.ecr.us-east-1.amazonaws.com/shop/shell:1';
  await lambda.send(
    new CreateFunctionCommand({ FunctionName: 'shell', PackageType: 'Image', Code: { ImageUri }, Role: role }),
  );
  await waitUntilFunctionActiveV2({ client: lambda, maxWaitTime: 30, minDelay: 0.1 }, { FunctionName: 'shell' });
  const described = await lambda.send(new GetFunctionCommand({ FunctionName: 'shell' }));
  expect(described.Configuration).toMatchObject({ PackageType: 'Image' });
  expect(described.Configuration?.Runtime).toBeUndefined();
  expect(described.Code).toMatchObject({
    ImageUri,
    RepositoryType: 'ECR',
    ResolvedImageUri: expect.stringMatching(/@sha256:/),
  });
  for (const n of [1, 2]) {
    const { error, answer, log } = await invoke({ n });
    expect(error).toBeUndefined();
    expect(answer).toMatchObject({
      event: { n },
      arguments: 'app.handler',
      folder: '/srv',
      greeting: 'from the image',
    });
    expect(answer['root']).not.toContain('home');
    expect(answer['root']).toContain('bootstrap');
    expect(log).toMatch(/handles [0-9a-f-]{36}/);
  }
});

it('takes the overrides of its ImageConfig, and the variables of its configuration', async () => {
  await lambda.send(
    new UpdateFunctionConfigurationCommand({
      FunctionName: 'shell',
      ImageConfig: {
        EntryPoint: ['/bin/sh', '/bootstrap'],
        Command: ['other', 'words'],
        WorkingDirectory: '/srv/data',
      },
      Environment: { Variables: { GREETING: 'from the configuration' } },
    }),
  );
  await waitUntilFunctionUpdatedV2({ client: lambda, maxWaitTime: 30, minDelay: 0.1 }, { FunctionName: 'shell' });
  expect((await invoke({})).answer).toMatchObject({
    arguments: 'other words',
    folder: '/srv/data',
    greeting: 'from the configuration',
  });
});

it("says in AWS's words what is wrong with an entry point", async () => {
  for (const [config, errorType, message] of [
    [
      { EntryPoint: ['/no/such/program'] },
      'Runtime.InvalidEntrypoint',
      'fork/exec /no/such/program: no such file or directory',
    ],
    [
      { WorkingDirectory: '/no/such/folder' },
      'Runtime.InvalidWorkingDir',
      'chdir /no/such/folder: no such file or directory',
    ],
  ] satisfies [ImageConfig, string, string][]) {
    await lambda.send(
      new UpdateFunctionConfigurationCommand({
        FunctionName: 'shell',
        ImageConfig: config,
      }),
    );
    await waitUntilFunctionUpdatedV2({ client: lambda, maxWaitTime: 30, minDelay: 0.1 }, { FunctionName: 'shell' });
    const { error, answer } = await invoke({});
    expect(error).toBe('Unhandled');
    expect(answer).toMatchObject({ errorType, errorMessage: expect.stringContaining(message) });
  }
});
