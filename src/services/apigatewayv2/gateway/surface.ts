import { TokenBucket } from '../../../kernel/limits/limits.ts';
import type { ActiveSpan, TraceContext } from '../../../kernel/trace/trace.ts';
import { partitionOf } from '../../../platform/arn.ts';
import { allowedOrigin, isPreflight, preflightAnswer, withCors } from '../../../platform/http/cors.ts';
import { decodePercent, type HttpRequest, portOf, traceParent, traceRoot } from '../../../platform/http/request.ts';
import { type IntegrationAnswer, proxyAnswer } from '../../../platform/http/response.ts';
import type { Platform } from '../../../platform/service.ts';
import { BodyTooLarge, type Surface, type SurfaceRequest, type SurfaceResponse } from '../../../platform/surface.ts';
import { apiGatewayLimits } from '../limits.ts';
import { type EventScope, proxyEventV1, proxyEventV2, resourcePath } from '../rules/event.ts';
import { mapRequest, mapResponse } from '../rules/mapping.ts';
import { matchRoute } from '../rules/router.ts';
import { AccessLogs, accessLogLine } from './access-log.ts';
import { type Address, addressOf, hostPattern, pathPrefix, stageOf } from './address.ts';
import { authorize } from './authorize.ts';
import type { CompiledIntegration, CompiledRoute, CompiledStage } from './compiled.ts';
import type { Directory } from './directory.ts';
import { callFunction } from './functions.ts';
import { HttpProxy } from './http-proxy.ts';
import { JwtVerifier } from './jwt.ts';

/** HTTP APIs as their clients see them. */
export interface ExecuteApi {
  readonly surface: Surface;
  close(): Promise<void>;
}

/** What happened on the way to an answer, for the access log. */
interface Journey {
  answer: IntegrationAnswer;
  integrationMs?: number;
  integrationStatus?: number;
  integrationError?: string;
  /** The message of an answer that API Gateway made itself. */
  errorMessage?: string;
}

/** A request that has found its stage. */
interface Arrival {
  readonly incoming: SurfaceRequest;
  readonly address: Address;
  readonly stage: CompiledStage;
  /** Decoded, without the stage. */
  readonly path: string;
  readonly requestId: string;
  readonly timeMs: number;
}

export function createExecuteApi(platform: Platform, directory: Directory): ExecuteApi {
  const { clock, random, tracer } = platform;
  const proxy = new HttpProxy(clock);
  const jwt = new JwtVerifier(clock);
  const logs = new AccessLogs(platform);
  const accounts = new Map<string, TokenBucket>();

  /** Finds the stage that an address leads to; undefined: the client sees a 404. */
  async function arrive(incoming: SurfaceRequest): Promise<Omit<Arrival, 'requestId' | 'timeMs'> | number> {
    const address = addressOf(incoming.host, incoming.path);
    if (address === undefined) return 404;
    const found = directory.find(address.apiId);
    const entry = found instanceof Promise ? await found : found;
    if (entry === undefined || entry.record.disableExecuteApiEndpoint) return 404;
    const decoded = decodePercent(address.path);
    if (decoded === undefined) return 400;
    const { name, path } = stageOf(entry.record.stages, decoded);
    const compiled = directory.stage(entry, name);
    const stage = compiled instanceof Promise ? await compiled : compiled;
    return stage === undefined ? 404 : { incoming, address, stage, path };
  }

  async function handle(incoming: SurfaceRequest): Promise<SurfaceResponse> {
    const requestId = random.bytes(11).toString('base64');
    if (headerBytes(incoming) > apiGatewayLimits.headerBytes.value) return finished(failure(431), requestId);
    const arrived = await arrive(incoming);
    if (typeof arrived === 'number') return finished(failure(arrived), requestId);
    const arrival: Arrival = { ...arrived, requestId, timeMs: clock.now() };
    const { stage } = arrival;
    const { origin } = incoming.headers;
    const idle = clock.busy();
    try {
      if (isPreflight(incoming) && stage.cors !== undefined)
        return finished(preflightAnswer(stage.cors, origin!, 204), requestId);
      const answer = await route(arrival);
      return finished(stage.cors === undefined ? answer : withCors(stage.cors, origin, answer), requestId);
    } finally {
      idle();
    }
  }

  async function route(arrival: Arrival): Promise<IntegrationAnswer> {
    const { incoming, stage, path } = arrival;
    if (!admitted(stage.api.account, stage.api.region)) return failure(429);
    const match = matchRoute(stage.router, incoming.method, path);
    if (match === undefined) return failure(404);
    const span = tracer.start(`execute-api ${match.route.key}`, traceParent(incoming.headers['x-amzn-trace-id']));
    const startedAt = clock.elapsed();
    const scope: EventScope = {
      accountId: stage.api.account,
      apiId: stage.api.apiId,
      stage: stage.name,
      routeKey: match.route.key,
      pathParameters: match.parameters,
      stageVariables: stage.variables,
      authorizer: undefined,
    };
    const request = requestOf(arrival, span);
    try {
      const journey = await travel(arrival, match.route, request, scope, span);
      span.end(journey.answer.status >= 500 ? String(journey.answer.status) : undefined);
      if (stage.accessLog !== undefined) log(stage, journey, request, scope, clock.elapsed() - startedAt);
      return journey.answer;
    } catch (error) {
      span.end('InternalFailure');
      throw error;
    }
  }

  async function travel(
    arrival: Arrival,
    route: CompiledRoute,
    head: HttpRequest,
    scope: EventScope,
    trace: TraceContext,
  ): Promise<Journey> {
    const { stage } = arrival;
    if (platform.limits === 'aws' && route.throttle?.take(1, arrival.timeMs) === false) return refused(429);
    const arnPrefix = `arn:${partitionOf(stage.api.region)}:execute-api:${stage.api.region}:${stage.api.account}`;
    const options = { platform, jwt, request: head, scope, arnPrefix, routedPath: arrival.path, trace };
    const authorization = route.authorizer === undefined ? undefined : await authorize(route, options);
    if (authorization?.allowed === false) {
      const { status, challenge } = authorization;
      return refused(status, challenge === undefined ? [] : [['www-authenticate', challenge]]);
    }
    const { integration } = route;
    if (integration === undefined) return refused(404);
    let body: Buffer;
    try {
      body = await arrival.incoming.body(apiGatewayLimits.payloadBytes.value);
    } catch (error) {
      if (error instanceof BodyTooLarge) return refused(413);
      throw error;
    }
    const scoped = authorization === undefined ? scope : { ...scope, authorizer: authorization.context };
    const request = mapRequest(integration.requestMappings, { ...head, body }, scoped);
    const startedAt = clock.elapsed();
    const journey =
      integration.target === undefined
        ? await viaHttp(integration, request, scoped)
        : await viaFunction(integration, request, scoped, arnPrefix, trace);
    journey.integrationMs = Math.round(clock.elapsed() - startedAt);
    if (integration.responseMappings.size > 0 && journey.errorMessage === undefined)
      journey.answer = mapResponse(integration.responseMappings, journey.answer, request, scoped);
    return journey;
  }

  async function viaFunction(
    integration: CompiledIntegration,
    request: HttpRequest,
    scope: EventScope,
    arnPrefix: string,
    trace: TraceContext,
  ): Promise<Journey> {
    const version = integration.record.PayloadFormatVersion;
    const event = version === '2.0' ? proxyEventV2(request, scope) : proxyEventV1(request, scope);
    const asking = { account: scope.accountId, sourceArn: sourceArn(arnPrefix, scope, request.method), trace };
    const result = await callFunction(platform, integration.target!, asking, event, integration.timeoutMs);
    switch (result.outcome) {
      case 'answer': {
        const answer = proxyAnswer(result.payload, version);
        if (answer !== undefined) return { answer, integrationStatus: 200 };
        return {
          ...refused(500),
          integrationStatus: 200,
          integrationError: 'The response of the function is malformed',
        };
      }
      case 'failed':
        return { ...refused(500), integrationError: result.reason };
      case 'timeout':
        return { ...refused(503), integrationError: 'The integration timed out' };
      case 'throttled':
        return { ...refused(503), integrationStatus: 429, integrationError: 'The function was throttled' };
      case 'too-large':
        return refused(413);
    }
  }

  async function viaHttp(integration: CompiledIntegration, request: HttpRequest, scope: EventScope): Promise<Journey> {
    const result = await proxy.forward(integration, request, scope);
    if (result.outcome === 'answer') return { answer: result.answer, integrationStatus: result.answer.status };
    if (result.outcome === 'timeout') return { ...refused(503), integrationError: 'The integration timed out' };
    return { ...refused(503), integrationError: result.reason };
  }

  /** The account's rate in its region, which all of its APIs share. */
  function admitted(account: string, region: string): boolean {
    if (platform.limits !== 'aws') return true;
    const key = `${account} ${region}`;
    let bucket = accounts.get(key);
    if (bucket === undefined) {
      const { requestRate, requestBurst } = apiGatewayLimits;
      bucket = new TokenBucket(requestBurst.value, requestRate.value, clock.now());
      accounts.set(key, bucket);
    }
    return bucket.take(1, clock.now());
  }

  function log(
    stage: CompiledStage,
    journey: Journey,
    request: HttpRequest,
    scope: EventScope,
    latencyMs: number,
  ): void {
    const { account, region } = stage.api;
    const { logGroup, format } = stage.accessLog!;
    const { body, status } = journey.answer;
    const line = accessLogLine(format, {
      request,
      scope,
      status,
      responseLength: typeof body === 'string' ? Buffer.byteLength(body) : body.length,
      responseLatencyMs: Math.round(latencyMs),
      integrationLatencyMs: journey.integrationMs,
      integrationStatus: journey.integrationStatus,
      errorMessage: journey.errorMessage,
      integrationError: journey.integrationError,
    });
    logs.write({ account, region, logGroup }, line);
  }

  return {
    surface: {
      name: 'execute-api',
      host: hostPattern,
      pathPrefix,
      handle,
      async allowsOrigin(origin, request) {
        const arrived = await arrive(request);
        if (typeof arrived === 'number') return false;
        const { cors } = arrived.stage;
        return cors !== undefined && allowedOrigin(cors, origin) !== undefined;
      },
    },
    async close() {
      await logs.flush();
      proxy.close();
    },
  };
}

function requestOf({ incoming, address, stage, path, requestId, timeMs }: Arrival, span: ActiveSpan): HttpRequest {
  return {
    method: incoming.method,
    path: stage.name === '$default' ? path : `/${stage.name}${path}`,
    query: incoming.query,
    rawHeaders: incoming.rawHeaders,
    sourceIp: incoming.sourceIp,
    protocol: `HTTP/${incoming.httpVersion}`,
    body: noBody,
    domainName: address.domainName,
    port: portOf(incoming.headers['host'] ?? ''),
    requestId,
    timeMs,
    traceHeader: traceRoot(span),
  };
}

const noBody = Buffer.alloc(0);

/** `arn:…:api/stage/GET/pets/{id}`, or `…/$default`: what a function's permission names. */
function sourceArn(arnPrefix: string, scope: EventScope, method: string): string {
  const path = resourcePath(scope.routeKey);
  const of = `${arnPrefix}:${scope.apiId}/${scope.stage}`;
  return path === '$default' ? `${of}/$default` : `${of}/${method}${path}`;
}

/** Request line and header lines, with their line breaks. */
function headerBytes({ method, path, query, rawHeaders }: SurfaceRequest): number {
  let bytes = method.length + path.length + query.length + 12;
  for (let index = 0; index < rawHeaders.length; index += 2)
    bytes += rawHeaders[index]!.length + rawHeaders[index + 1]!.length + 4;
  return bytes;
}

const messages: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  413: 'Request Entity Too Large',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

/** API Gateway's own answers. */
function failure(status: number, headers: readonly (readonly [string, string])[] = []): IntegrationAnswer {
  const body = JSON.stringify({ message: messages[status] });
  return { status, headers: [['content-type', 'application/json'], ...headers], body };
}

function refused(status: number, headers?: readonly (readonly [string, string])[]): Journey {
  return { answer: failure(status, headers), errorMessage: messages[status]! };
}

function finished(answer: IntegrationAnswer, requestId: string): SurfaceResponse {
  return { status: answer.status, headers: [...answer.headers, ['apigw-requestid', requestId]], body: answer.body };
}
