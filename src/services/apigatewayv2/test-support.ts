import { type IncomingHttpHeaders, request } from 'node:http';
import type { Caller } from '../../platform/context.ts';
import type { Dispatcher } from '../../platform/dispatcher.ts';
import type { Service } from '../../platform/service.ts';
import { AwsError } from '../../wire/errors.ts';

/** What a stand-in for Lambda is asked, and as whom. */
export interface Invoked {
  readonly caller: Caller;
  readonly functionName: string;
  readonly event: Record<string, unknown>;
}

/** A stand-in for the Lambda service: answers by function name, and remembers what it was asked. */
export class FakeLambda {
  readonly invocations: Invoked[] = [];
  readonly #functions = new Map<string, (event: Record<string, unknown>) => unknown>();

  register(dispatcher: Dispatcher): void {
    const lambda: Service<'lambda'> = {
      operations: {
        Invoke: async (context, input) => {
          const event = JSON.parse(Buffer.from(input.Payload ?? []).toString('utf8')) as Record<string, unknown>;
          this.invocations.push({ caller: context, functionName: input.FunctionName, event });
          const answer = await this.#functions.get(input.FunctionName.split(':').at(-1)!)?.(event);
          if (answer instanceof AwsError) throw answer;
          if (answer instanceof FunctionFailure)
            return { StatusCode: 200, FunctionError: 'Unhandled', Payload: Buffer.from('{"errorMessage":"boom"}') };
          return { StatusCode: 200, Payload: Buffer.from(JSON.stringify(answer ?? null)) };
        },
      },
    };
    dispatcher.register('lambda', lambda as Service);
  }

  on(name: string, answer: (event: Record<string, unknown>) => unknown): string {
    this.#functions.set(name, answer);
    return `arn:aws:lambda:us-east-1:000000000000:function:${name}`;
  }

  get last(): Invoked {
    return this.invocations.at(-1)!;
  }
}

/** What a function that fails returns. */
export class FunctionFailure {}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface HttpAsk {
  readonly method?: string;
  readonly path: string;
  /** Sent as the Host header. */
  readonly host?: string;
  readonly headers?: Record<string, string | string[]>;
  readonly body?: string | Buffer;
}

/** A request with full control over Host, path and headers, which fetch does not give. */
export function ask(
  endpoint: string,
  { method = 'GET', path, host, headers = {}, body }: HttpAsk,
): Promise<HttpAnswer> {
  const { hostname, port } = new URL(endpoint);
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { hostname, port, method, path, headers: { ...(host === undefined ? {} : { host }), ...headers }, agent: false },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString('utf8'),
          }),
        );
        response.on('error', reject);
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
