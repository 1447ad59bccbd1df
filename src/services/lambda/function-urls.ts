import type { ActiveSpan } from '../../kernel/trace/trace.ts';
import type { Principal } from '../../platform/context.ts';
import { allowedOrigin, isPreflight, preflightAnswer, withCors } from '../../platform/http/cors.ts';
import { type HttpRequest, portOf, traceParent, traceRoot } from '../../platform/http/request.ts';
import { BodyTooLarge, type Surface, type SurfaceRequest, type SurfaceResponse } from '../../platform/surface.ts';
import { encodeError } from '../../wire/codec.ts';
import { AwsError } from '../../wire/errors.ts';
import type { FunctionEntry } from './directory.ts';
import type { Engine } from './engine.ts';
import { mayInvokeUrl } from './function-url-access.ts';
import { streamedAnswer } from './function-url-stream.ts';
import type { Execution, Resolved } from './invoker.ts';
import { lambdaLimits } from './limits.ts';
import {
  badGateway,
  bufferedAnswer,
  hostPattern,
  pathPrefix,
  type UrlAddress,
  urlAddress,
  urlEvent,
} from './rules/function-url.ts';
import { keys, read, type UrlIdRecord, type UrlRecord } from './state.ts';

/** A request that has found its URL. */
interface Arrival {
  readonly incoming: SurfaceRequest;
  readonly address: UrlAddress;
  readonly entry: FunctionEntry;
  readonly url: UrlRecord;
}

const maxKnown = 10_000;

/** Function URLs as their clients see them. https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html */
export function functionUrlSurface(engine: Engine): Surface {
  const { clock, tracer } = engine.platform;
  const { directory, invoker } = engine;
  const owners = new Map<string, UrlIdRecord>();

  /** Undefined: there is no such URL (any more). */
  async function arrive(incoming: SurfaceRequest): Promise<Arrival | undefined> {
    const address = urlAddress(incoming.host, incoming.path);
    if (address === undefined) return undefined;
    const owner = await ownerOf(address.urlId);
    if (owner === undefined || (address.region !== undefined && address.region !== owner.region)) return undefined;
    const { account, region, functionName, qualifier } = owner;
    const entry = await directory.find({ account, region }, functionName);
    const url = entry === undefined ? undefined : await directory.url(entry, qualifier);
    if (entry === undefined || url?.urlId !== address.urlId) return undefined;
    return { incoming, address, entry, url };
  }

  async function ownerOf(urlId: string): Promise<UrlIdRecord | undefined> {
    const known = owners.get(urlId);
    if (known !== undefined) return known;
    const found = await read<UrlIdRecord>(engine.platform.store, keys.urlId(urlId));
    if (found === undefined) return undefined;
    if (owners.size >= maxKnown) owners.clear();
    owners.set(urlId, found.record);
    return found.record;
  }

  async function handle(incoming: SurfaceRequest): Promise<SurfaceResponse> {
    const arrival = await arrive(incoming);
    // Recorded: test_lambda_url_non_existing_url.
    if (arrival === undefined) return identified(refusal(403, 'AccessDeniedException', null), incoming.requestId);
    const { cors } = arrival.url;
    const { origin } = incoming.headers;
    if (cors !== undefined && isPreflight(incoming))
      return identified(preflightAnswer(cors, origin!, 200), incoming.requestId);
    const span = tracer.start(
      `lambda-url ${arrival.entry.record.name}`,
      traceParent(incoming.headers['x-amzn-trace-id']),
    );
    try {
      const answer = identified(await answered(arrival, span), incoming.requestId);
      span.end(answer.status >= 500 ? String(answer.status) : undefined);
      // The URL's rules take the place of what the function says; without rules the function's own headers go out.
      return cors === undefined ? answer : withCors(cors, origin, answer);
    } catch (error) {
      span.end('InternalFailure');
      throw error;
    }
  }

  async function answered(arrival: Arrival, span: ActiveSpan): Promise<SurfaceResponse> {
    const { incoming, entry, url } = arrival;
    try {
      const body = await incoming.body(lambdaLimits.syncRequestBytes.value);
      const signer = url.authType === 'AWS_IAM' ? await signerOf(arrival, body) : undefined;
      if (!(await mayInvokeUrl(engine, entry, url, signer))) return forbidden();
      const event = urlEvent(httpRequest(arrival, body, span), signer);
      const payload = Buffer.from(JSON.stringify(event), 'utf8');
      if (payload.length > lambdaLimits.syncRequestBytes.value) return tooLarge();
      const resolved = await invoker.resolve(
        entry.place,
        entry.record.name,
        url.qualifier === '' ? undefined : url.qualifier,
      );
      await invoker.admitRate(entry);
      const execution = { requestId: incoming.requestId, payload, traceHeader: invoker.traceHeader(span) };
      const answer =
        url.invokeMode === 'RESPONSE_STREAM'
          ? await streamedAnswer(engine, resolved, execution, incoming.signal)
          : await whole(resolved, execution);
      return { ...answer, headers: [...answer.headers, ['x-amzn-trace-id', `${traceRoot(span)};Sampled=0`]] };
    } catch (error) {
      if (error instanceof BodyTooLarge) return tooLarge();
      if (!(error instanceof AwsError)) throw error;
      return refused(error, incoming.requestId);
    }
  }

  /** Undefined: nobody signed. Throws AwsError for a signature that is not right, or not for here. */
  async function signerOf({ incoming, entry }: Arrival, body: Buffer): Promise<Principal | undefined> {
    const caller = await incoming.signer('lambda', body);
    if (caller !== undefined && caller.region !== entry.place.region)
      throw new AwsError(
        'InvalidSignatureException',
        `Credential should be scoped to a valid region, not '${caller.region}'. `,
        { status: 403 },
      );
    return caller?.principal;
  }

  async function whole(resolved: Resolved, execution: Execution): Promise<SurfaceResponse> {
    const idle = clock.busy();
    try {
      const { functionError, payload } = await invoker.execute(resolved, execution);
      return (functionError === undefined ? bufferedAnswer(payload) : undefined) ?? badGateway;
    } finally {
      idle();
    }
  }

  function httpRequest({ incoming, address, entry }: Arrival, body: Buffer, span: ActiveSpan): HttpRequest {
    return {
      method: incoming.method,
      path: address.path,
      query: incoming.query,
      rawHeaders: incoming.rawHeaders,
      sourceIp: incoming.sourceIp,
      protocol: `HTTP/${incoming.httpVersion}`,
      body,
      domainName:
        address.region === undefined ? `${address.urlId}.lambda-url.${entry.place.region}.localhost` : incoming.host,
      port: portOf(incoming.headers['host'] ?? ''),
      requestId: incoming.requestId,
      timeMs: clock.now(),
      traceHeader: traceRoot(span),
    };
  }

  return {
    name: 'lambda-url',
    host: hostPattern,
    pathPrefix,
    handle,
    async allowsOrigin(origin, request) {
      const cors = (await arrive(request))?.url.cors;
      return cors !== undefined && allowedOrigin(cors, origin) !== undefined;
    },
  };
}

/** Errors that a URL's clients are told in the words of Lambda's API. */
const told: ReadonlySet<string> = new Set([
  'ExpiredTokenException',
  'IncompleteSignatureException',
  'InvalidSignatureException',
  'TooManyRequestsException',
  'UnrecognizedClientException',
]);

/** Throttles and wrong signatures are told as Lambda's API tells them; a function that is gone, as one that may not be asked. */
function refused(error: AwsError, requestId: string): SurfaceResponse {
  if (error.code === 'ResourceNotFoundException') return forbidden();
  if (!told.has(error.code)) return badGateway;
  const { status, headers, body } = encodeError(error, { service: 'lambda', protocol: 'restJson', requestId });
  const { 'x-amzn-RequestId': _, ...others } = headers;
  return { status: status === 400 ? 403 : status, headers: Object.entries(others), body };
}

/** Recorded: test_lambda_permission_url_invocation, test_lambda_url_persists_after_alias_delete. */
function forbidden(): SurfaceResponse {
  const message =
    'Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html';
  return refusal(403, 'AccessDeniedException', message);
}

/** In the pattern of Invoke's words; a URL's own are not documented. */
function tooLarge(): SurfaceResponse {
  const message = `Request must be smaller than ${lambdaLimits.syncRequestBytes.value} bytes for the InvokeFunctionUrl operation`;
  return refusal(413, 'RequestEntityTooLargeException', message);
}

function refusal(status: number, type: string, message: string | null): SurfaceResponse {
  const headers = [
    ['content-type', 'application/json'],
    ['x-amzn-errortype', type],
  ] as const;
  return { status, headers, body: JSON.stringify({ Message: message }) };
}

function identified(answer: SurfaceResponse, requestId: string): SurfaceResponse {
  return { ...answer, headers: [...answer.headers, ['x-amzn-requestid', requestId]] };
}
