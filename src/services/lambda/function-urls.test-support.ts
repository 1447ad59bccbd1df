import { request as httpRequest, type IncomingMessage } from 'node:http';
import {
  AddPermissionCommand,
  type AddPermissionCommandInput,
  CreateFunctionCommand,
  CreateFunctionUrlConfigCommand,
  type CreateFunctionUrlConfigCommandInput,
  LambdaClient,
  waitUntilFunctionActiveV2,
} from '@aws-sdk/client-lambda';
import { startTestCloud, type TestCloud, type TestCloudOptions } from '../../../test/support/cloud.ts';
import { wallNow } from '../../kernel/clock/wall.ts';
import { sign } from '../../wire/sigv4.ts';
import { FakeCompute, type FakeFunction, FakeLogs } from './fake-compute.test-support.ts';
import { zipFiles } from './rules/package.ts';

export const account = '000000000000';

/** What AWS tells those who may not ask. */
export const forbidden = {
  Message:
    'Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html',
};

/** A cloud with functions in this process, its root's client, and what tests of function URLs do again and again. */
export class UrlTest {
  readonly test: TestCloud;
  readonly compute: FakeCompute;
  readonly client: LambdaClient;

  private constructor(test: TestCloud, config: TestCloud['clientConfig']) {
    this.test = test;
    this.compute = FakeCompute.into(test.cloud.platform);
    FakeLogs.into(test.cloud.platform);
    this.client = new LambdaClient(config);
  }

  static async start(options: TestCloudOptions = {}): Promise<UrlTest> {
    const test = await startTestCloud({ services: ['lambda', 'iam', 'sts'], ...options });
    const credentials = options.auth === undefined ? {} : { credentials: await test.cloud.platform.credentials.root() };
    return new UrlTest(test, { ...test.clientConfig, ...credentials });
  }

  async create(name: string, run: FakeFunction): Promise<void> {
    this.compute.functions.set(name, run);
    await this.client.send(
      new CreateFunctionCommand({
        FunctionName: name,
        Runtime: 'nodejs20.x',
        Handler: 'index.handler',
        Role: `arn:aws:iam::${account}:role/worker`,
        Code: { ZipFile: zipFiles({ 'index.js': '' }) },
      }),
    );
    const waiting = { client: this.client, maxWaitTime: 10, minDelay: 0.01, maxDelay: 0.05 };
    await waitUntilFunctionActiveV2(waiting, { FunctionName: name });
  }

  /** The two statements that a URL needs; by default, for everyone. */
  async permit(
    name: string,
    more: Partial<AddPermissionCommandInput> = {},
    FunctionUrlAuthType: 'NONE' | 'AWS_IAM' = 'NONE',
  ): Promise<void> {
    const common = { FunctionName: name, Principal: '*', ...more };
    const open = { Action: 'lambda:InvokeFunctionUrl', FunctionUrlAuthType, StatementId: 'url' };
    await this.client.send(new AddPermissionCommand({ ...common, ...open }));
    const invoke = { Action: 'lambda:InvokeFunction', InvokedViaFunctionUrl: true, StatementId: 'invoke' };
    await this.client.send(new AddPermissionCommand({ ...common, ...invoke }));
  }

  /** A function with a URL, open unless `more` says otherwise. */
  async published(
    name: string,
    run: FakeFunction,
    more: Partial<CreateFunctionUrlConfigCommandInput> = {},
  ): Promise<string> {
    await this.create(name, run);
    const { FunctionUrl } = await this.client.send(
      new CreateFunctionUrlConfigCommand({ FunctionName: name, AuthType: 'NONE', ...more }),
    );
    await this.permit(name);
    return FunctionUrl!;
  }

  /** The address of a URL that needs no name of its own. */
  pathForm(url: string): string {
    return `${this.test.endpoint}/_aws/lambda-url/${new URL(url).host.split('.')[0]}/`;
  }

  close(): Promise<void> {
    return this.test.close();
  }
}

export interface Sent {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
}

/** By the URL's own host name, which need not resolve: the connection goes to the cloud. */
export function open(
  url: string,
  { method = 'GET', path = '', headers = {}, body }: Sent = {},
): Promise<IncomingMessage> {
  const { host, pathname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, method, path: `${pathname}${path}`, headers: { host, ...headers } };
    const sent = httpRequest(options, resolve);
    sent.on('error', reject);
    sent.end(body);
  });
}

export async function ask(url: string, sent: Sent = {}) {
  const response = await open(url, sent);
  const pieces: Buffer[] = [];
  for await (const piece of response) pieces.push(piece as Buffer);
  const body = Buffer.concat(pieces);
  return { status: response.statusCode!, headers: response.headers, body, text: body.toString('utf8') };
}

/** The headers that sign a POST to the URL. */
export function signed(
  url: string,
  { service = 'lambda', region = 'us-east-1', secret = 'test', key = 'test', body = '' } = {},
): Record<string, string> {
  const { host, pathname } = new URL(url);
  const wire = { method: 'POST', path: pathname, query: '', headers: { host }, body: Buffer.from(body) };
  return sign(wire, { accessKeyId: key, secretAccessKey: secret }, { region, service, nowMs: wallNow() });
}
