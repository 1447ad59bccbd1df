import { AwsError } from './errors.ts';
import type { WireRequest } from './message.ts';
import type { Protocol, ServiceEntry } from './model.ts';
import { loadIndex } from './model.ts';
import { parseSignature } from './signature.ts';
import type { UriPattern } from './uri.ts';
import { decodePercent, matchSegments, parseParameters, parseUri, segmentsOf } from './uri.ts';

export interface Identified {
  /** A name in models/index.json. */
  readonly service: string;
  readonly operation: string;
  readonly protocol: Protocol;
}

/**
 * Which operation a request asks for: by X-Amz-Target, else by the Action parameter (form body or query string) of the service that the
 * signature's scope names or that Version and Action fit, else by the path among the REST services that the scope allows. Throws AwsError
 * for what cannot be told; `hintOf` tells how to render it.
 */
export function identify(request: WireRequest): Identified {
  const target = request.headers['x-amz-target'];
  if (target !== undefined) return byTarget(target);
  const scope = parseSignature(request)?.service;
  const action = actionOf(request);
  if (action !== undefined) {
    const found = byAction(action, versionOf(request), scope);
    if (found !== undefined) return found;
  }
  const candidates = scope === undefined ? restServices() : restServices().filter((rest) => rest.signingName === scope);
  const found = byPath(request, candidates);
  if (found !== undefined) return found;
  throw unidentified(request, scope, action);
}

/** The service, as far as it can be told, and the protocol to answer an error in, of a request that `identify` refuses. */
export function hintOf(request: WireRequest): { readonly service: string | undefined; readonly protocol: Protocol } {
  const { headers } = request;
  const target = headers['x-amz-target'];
  if (target !== undefined) {
    const service = routes().byTargetPrefix.get(target.slice(0, Math.max(target.lastIndexOf('.'), 0)));
    const spoken = headers['content-type']?.startsWith('application/x-amz-json-1.1') ? 'awsJson1_1' : 'awsJson1_0';
    return service === undefined
      ? { service: undefined, protocol: spoken }
      : { service, protocol: jsonProtocol(service) };
  }
  const scope = parseSignature(request)?.service;
  const service = Object.keys(loadIndex()).find((name) => loadIndex()[name]!.signingName === scope);
  const isForm = headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true;
  if (isForm || actionOf(request) !== undefined) return { service, protocol: 'query' };
  return { service, protocol: service === undefined ? 'restJson' : loadIndex()[service]!.protocols[0]! };
}

interface RestService {
  readonly service: string;
  readonly signingName: string;
  readonly protocol: Protocol;
  /** By method. */
  readonly operations: ReadonlyMap<string, readonly { readonly operation: string; readonly pattern: UriPattern }[]>;
}

interface Routes {
  /** By whole target: the answer itself, so that the common way is one look. */
  readonly byTarget: Map<string, Identified>;
  readonly byTargetPrefix: ReadonlyMap<string, string>;
  readonly byAction: ReadonlyMap<string, readonly string[]>;
  readonly rest: readonly RestService[];
}

let built: Routes | undefined;

function routes(): Routes {
  built ??= buildRoutes(loadIndex());
  return built;
}

function buildRoutes(index: Readonly<Record<string, ServiceEntry>>): Routes {
  const byTarget = new Map<string, Identified>();
  const byTargetPrefix = new Map<string, string>();
  const byAction = new Map<string, string[]>();
  const rest: RestService[] = [];
  for (const [service, entry] of Object.entries(index)) {
    const { targetPrefix } = entry;
    if (targetPrefix !== undefined) {
      byTargetPrefix.set(targetPrefix, service);
      const protocol = entry.protocols.find((name) => name.startsWith('awsJson'))!;
      for (const operation of entry.targets?.split(' ') ?? []) {
        byTarget.set(`${targetPrefix}.${operation}`, { service, operation, protocol });
      }
    }
    for (const action of entry.actions?.split(' ') ?? []) {
      const services = byAction.get(action);
      if (services === undefined) byAction.set(action, [service]);
      else services.push(service);
    }
    if (entry.paths !== undefined) rest.push(restService(service, entry));
  }
  return { byTarget, byTargetPrefix, byAction, rest };
}

/** Patterns with more literal text come first, so that `/functions/{Name}` never hides `/functions/list`. */
function restService(service: string, entry: ServiceEntry): RestService {
  const operations = new Map<string, { operation: string; pattern: UriPattern }[]>();
  for (const line of entry.paths!) {
    const [method, uri, operation] = line.split(' ') as [string, string, string];
    const list = operations.get(method) ?? [];
    list.push({ operation, pattern: parseUri(uri) });
    operations.set(method, list);
  }
  for (const list of operations.values()) list.sort((a, b) => rank(b.pattern) - rank(a.pattern));
  const protocol = entry.protocols.find((name) => name.startsWith('rest'))!;
  return { service, signingName: entry.signingName, protocol, operations };
}

function rank(pattern: UriPattern): number {
  const literals = pattern.segments.filter((segment) => segment.literal !== undefined).length;
  const greedy = pattern.segments.some((segment) => segment.greedy) ? 1 : 0;
  return literals * 100 + pattern.query.length * 10 - greedy;
}

function restServices(): readonly RestService[] {
  return routes().rest;
}

function byTarget(target: string): Identified {
  const found = routes().byTarget.get(target);
  if (found !== undefined) return found;
  throw new AwsError('UnknownOperationException', '');
}

function jsonProtocol(service: string): Protocol {
  return loadIndex()[service]!.protocols.find((name) => name.startsWith('awsJson'))!;
}

function byAction(action: string, version: string | undefined, scope: string | undefined): Identified | undefined {
  const index = loadIndex();
  const named = routes().byAction.get(action) ?? [];
  const inScope = scope === undefined ? named : named.filter((service) => index[service]!.signingName === scope);
  const fitting = version === undefined ? inScope : inScope.filter((service) => index[service]!.apiVersion === version);
  // A single service of that action is meant even when the version is an older one: AWS takes those too.
  const chosen = fitting.length > 0 ? fitting : inScope;
  return chosen.length === 1 ? { service: chosen[0]!, operation: action, protocol: 'query' } : undefined;
}

function byPath(request: WireRequest, candidates: readonly RestService[]): Identified | undefined {
  if (candidates.length === 0) return undefined;
  const segments = segmentsOf(request.path);
  const found = candidates.flatMap((rest) => {
    const match = rest.operations.get(request.method)?.find(({ pattern }) => {
      return matchSegments(pattern, segments) !== undefined && queryFits(pattern, request.query);
    });
    return match === undefined ? [] : [{ service: rest.service, operation: match.operation, protocol: rest.protocol }];
  });
  return found.length === 1 ? found[0] : undefined;
}

function queryFits(pattern: UriPattern, query: string): boolean {
  if (pattern.query.length === 0) return true;
  const given = new Map(parseParameters(query));
  return pattern.query.every(
    ({ name, value }) => given.has(name) && (value === undefined || given.get(name) === value),
  );
}

function actionOf(request: WireRequest): string | undefined {
  return formParameter(request, ACTION);
}

function versionOf(request: WireRequest): string | undefined {
  return formParameter(request, VERSION);
}

const ACTION = /(?:^|&)Action=([^&]*)/;
const VERSION = /(?:^|&)Version=([^&]*)/;

/** A parameter of the form body or the query string, found without parsing the rest: the body is decoded once, by its codec. */
function formParameter(request: WireRequest, pattern: RegExp): string | undefined {
  const inQuery = pattern.exec(request.query);
  if (inQuery !== null) return decodePercent(inQuery[1]!);
  if (request.headers['content-type']?.startsWith('application/x-www-form-urlencoded') !== true) return undefined;
  const inBody = pattern.exec(request.body.toString('utf8'));
  return inBody === null ? undefined : decodePercent(inBody[1]!);
}

function unidentified(request: WireRequest, scope: string | undefined, action: string | undefined): AwsError {
  const index = loadIndex();
  const inScope = Object.values(index).filter((entry) => entry.signingName === scope);
  if (scope !== undefined && inScope.length === 0) {
    return new AwsError('NotImplemented', `The service ${scope} is not built in Unkai.`, {
      status: 501,
      fault: 'Receiver',
    });
  }
  if (action !== undefined) {
    const version = versionOf(request) ?? inScope[0]?.apiVersion ?? '';
    return new AwsError('InvalidAction', `Could not find operation ${action} for version ${version}`);
  }
  if (inScope.some((entry) => entry.protocols.every((protocol) => protocol === 'query'))) {
    return new AwsError('MissingAction', 'The request is missing an action or a required parameter.');
  }
  const status = inScope.length > 0 && inScope.every((entry) => entry.paths === undefined) ? 400 : 404;
  const message = `Unable to determine the service and operation of ${request.method} ${request.path}`;
  return new AwsError('UnknownOperationException', message, { status });
}
