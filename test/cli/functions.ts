import { CreateFunctionCommand, LambdaClient, waitUntilFunctionActiveV2 } from '@aws-sdk/client-lambda';

/** A Node function, waited for until it can be invoked. */
export async function createFunction(
  endpoint: string,
  name: string,
  zip: Uint8Array,
  runtime: 'nodejs20.x' | 'nodejs24.x' = 'nodejs20.x',
): Promise<LambdaClient> {
  const client = new LambdaClient({
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
  });
  await client.send(
    new CreateFunctionCommand({
      FunctionName: name,
      Runtime: runtime,
      Handler: 'index.handler',
      Role: 'arn:aws:iam::000000000000:role/worker',
      Code: { ZipFile: zip },
      Timeout: 10,
    }),
  );
  await waitUntilFunctionActiveV2({ client, maxWaitTime: 20, minDelay: 0.05, maxDelay: 0.2 }, { FunctionName: name });
  return client;
}
