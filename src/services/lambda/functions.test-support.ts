import {
  CreateFunctionCommand,
  type CreateFunctionCommandInput,
  type LambdaClient,
  waitUntilFunctionActiveV2,
} from '@aws-sdk/client-lambda';
import { zipFiles } from './rules/package.ts';

export const account = '000000000000';
export const role = `arn:aws:iam::${account}:role/worker`;
export const echoZip = zipFiles({ 'index.js': 'exports.handler = async (event) => event;' });

/** For the waiters of the SDK. */
export const waiting = { maxWaitTime: 20, minDelay: 0.01, maxDelay: 0.05 };

/** Creates a function that echoes, and waits until it is active. */
export async function createFunction(
  client: LambdaClient,
  FunctionName: string,
  more: Partial<CreateFunctionCommandInput> = {},
) {
  const made = await client.send(
    new CreateFunctionCommand({
      FunctionName,
      Runtime: 'nodejs20.x',
      Handler: 'index.handler',
      Role: role,
      Code: { ZipFile: echoZip },
      ...more,
    }),
  );
  await waitUntilFunctionActiveV2({ client, ...waiting }, { FunctionName });
  return made;
}

export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly status: number;
  readonly reason: string | undefined;
}

/** How a call failed. */
export function failure(sent: Promise<unknown>): Promise<Failure> {
  return sent.then(
    () => {
      throw new Error('the call should have failed');
    },
    (error: { name: string; message: string; Reason?: string; $metadata: { httpStatusCode: number } }) => ({
      code: error.name,
      message: error.message,
      status: error.$metadata?.httpStatusCode,
      reason: error.Reason,
    }),
  );
}
