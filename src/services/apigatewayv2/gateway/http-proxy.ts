import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Clock } from '../../../kernel/clock/contract.ts';
import { eachHeader, type HttpRequest } from '../../../platform/http/request.ts';
import { type IntegrationAnswer, isForwardedHeader } from '../../../platform/http/response.ts';
import { apiGatewayLimits } from '../limits.ts';
import type { EventScope } from '../rules/event.ts';
import type { CompiledIntegration } from './compiled.ts';
import { timedOut, within } from './deadline.ts';

export type HttpOutcome =
  | { readonly outcome: 'answer'; readonly answer: IntegrationAnswer }
  | { readonly outcome: 'timeout' }
  /** Unreachable, broken off, or an answer that is too large. */
  | { readonly outcome: 'failed'; readonly reason: string };

/** HTTP_PROXY integrations: passes requests on and answers back, both whole. */
export class HttpProxy {
  readonly #clock: Clock;
  readonly #http = new HttpAgent({ keepAlive: true });
  readonly #https = new HttpsAgent({ keepAlive: true });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async forward(integration: CompiledIntegration, request: HttpRequest, scope: EventScope): Promise<HttpOutcome> {
    const target = targetOf(integration.uri, request, scope);
    if (target === undefined) return { outcome: 'failed', reason: `not a URL: ${integration.uri}` };
    const { IntegrationMethod: method = 'ANY' } = integration.record;
    let outgoing: ClientRequest | undefined;
    const work = new Promise<IntegrationAnswer>((resolve, reject) => {
      const secure = target.origin.protocol === 'https:';
      outgoing = (secure ? httpsRequest : httpRequest)(
        target.origin,
        {
          path: target.path,
          agent: secure ? this.#https : this.#http,
          method: method === 'ANY' ? request.method : method,
          headers: headersOf(request, target.origin),
        },
        (response) => readAnswer(response).then(resolve, reject),
      );
      outgoing.once('error', reject);
      outgoing.end(request.body);
    });
    try {
      const answer = await within(this.#clock, integration.timeoutMs, work);
      if (answer !== timedOut) return { outcome: 'answer', answer };
      outgoing?.destroy();
      return { outcome: 'timeout' };
    } catch (error) {
      outgoing?.destroy();
      return { outcome: 'failed', reason: String((error as Error).message) };
    }
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }
}

interface Target {
  /** Its scheme, host and port count. */
  readonly origin: URL;
  /** Path and query string, sent as they stand: a URL object would resolve dot segments that a client put in. */
  readonly path: string;
}

/** The URI with path variables filled in (not in its host), or as a mapping of the path says, and the query string. */
function targetOf(uri: string, request: HttpRequest, scope: EventScope): Target | undefined {
  const match = /^(https?:\/\/[^/?#]+)([^?#]*)(?:\?([^#]*))?/i.exec(uri);
  if (match === null || !URL.canParse(match[1]!)) return undefined;
  const written = match[2]!.replace(/\{([^{}+]+)\+?\}/g, (whole, name: string) => {
    const value = scope.pathParameters?.[name];
    return value === undefined ? whole : encodePath(value);
  });
  const path = request.mappedPath === undefined ? written || '/' : encodePath(request.mappedPath);
  const query = [match[3] ?? '', request.query].filter((part) => part !== '').join('&');
  return { origin: new URL(match[1]!), path: query === '' ? path : `${path}?${query}` };
}

function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

/** As sent, in the order sent; the host is the target's, and `forwarded` tells whose request it was. */
function headersOf(request: HttpRequest, origin: URL): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = { host: origin.host };
  let host = request.domainName;
  eachHeader(request, (_name, lower, value) => {
    if (lower === 'host') host = value;
    if (lower === 'host' || lower === 'content-length' || lower === 'expect') return;
    if (lower.startsWith('x-forwarded-')) return;
    const before = headers[lower];
    headers[lower] = before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value];
  });
  headers['forwarded'] = `for=${request.sourceIp};host=${host};proto=http`;
  headers['via'] = `${request.protocol} AmazonAPIGateway`;
  headers['content-length'] = String(request.body.length);
  return headers;
}

async function readAnswer(response: IncomingMessage): Promise<IntegrationAnswer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > apiGatewayLimits.payloadBytes.value) throw new Error('the answer is larger than 10 MB');
    chunks.push(chunk);
  }
  const headers: [string, string][] = [];
  const { rawHeaders } = response;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const lower = rawHeaders[index]!.toLowerCase();
    if (isForwardedHeader(lower)) headers.push([lower, rawHeaders[index + 1]!]);
  }
  return { status: response.statusCode ?? 502, headers, body: Buffer.concat(chunks, size) };
}
