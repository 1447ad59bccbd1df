import { clfTime, type HttpRequest, headerMap, joined, parseQuery } from '../../../platform/http/request.ts';
import type { IntegrationAnswer } from '../../../platform/http/response.ts';
import { isObject } from '../../../platform/http/response.ts';
import { badRequest, notBuilt } from '../errors.ts';
import type { AuthorizerContext, EventScope } from './event.ts';

/**
 * Parameter mappings of HTTP APIs
 * (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-parameter-mapping.html), compiled once.
 */
export interface Mapping {
  readonly action: 'append' | 'overwrite' | 'remove';
  readonly place: 'header' | 'querystring' | 'path' | 'statuscode';
  /** Of the header (lower case) or the parameter; empty for path and status code. */
  readonly name: string;
  readonly value: readonly Part[];
}

/** Literal text, or the name of a variable (`request.header.x`). */
type Part = { readonly text: string } | { readonly variable: string };

type Lookup = (variable: string) => string | undefined;

/** Throws BadRequestException (words recorded in cdk-preflight) or, for what is not carried out, 501. */
export function compileRequestMappings(parameters: Readonly<Record<string, string>> | undefined): readonly Mapping[] {
  return Object.entries(parameters ?? {}).map(([key, value]) => {
    const match = /^(append|overwrite|remove):(?:(header|querystring)\.([^ ]+)|(path))$/.exec(key);
    if (match === null || (match[4] !== undefined && match[1] !== 'overwrite'))
      throw badRequest('Invalid Request Actioned Parameter');
    const place = (match[2] ?? 'path') as Mapping['place'];
    return mapping(match[1] as Mapping['action'], place, match[3] ?? '', value, 'request');
  });
}

/** By status code of the integration's answer. */
export function compileResponseMappings(
  parameters: Readonly<Record<string, Readonly<Record<string, string>>>> | undefined,
): ReadonlyMap<number, readonly Mapping[]> {
  const byStatus = new Map<number, readonly Mapping[]>();
  for (const [status, entries] of Object.entries(parameters ?? {})) {
    if (!/^[2-5]\d\d$/.test(status)) throw badRequest(`Status Code ${status} is not valid`);
    const mappings = Object.entries(entries).map(([key, value]) => {
      const match = /^(append|overwrite|remove):(?:header\.([^ ]+)|(statuscode))$/.exec(key);
      if (match === null || (match[3] !== undefined && match[1] !== 'overwrite'))
        throw badRequest('Invalid Response Actioned Parameter');
      const place = match[3] === undefined ? 'header' : 'statuscode';
      return mapping(match[1] as Mapping['action'], place, match[2] ?? '', value, 'response');
    });
    byStatus.set(Number(status), mappings);
  }
  return byStatus;
}

function mapping(
  action: Mapping['action'],
  place: Mapping['place'],
  name: string,
  value: string,
  side: 'request' | 'response',
): Mapping {
  const lower = place === 'header' ? name.toLowerCase() : name;
  if (place === 'header' && reserved.test(lower)) throw badRequest(`Operations on header ${name} are restricted`);
  return { action, place, name: lower, value: action === 'remove' ? [] : parseTemplate(value, side) };
}

/** "Reserved headers" of the same page. */
const reserved =
  /^(access-control-.*|apigw-.*|authorization|connection|content-encoding|content-length|content-location|forwarded|keep-alive|origin|proxy-authenticate|proxy-authorization|te|trailers?|transfer-encoding|upgrade|x-amz-.*|x-amzn-.*|x-forwarded-.*|via)$/;

function parseTemplate(text: string, side: 'request' | 'response'): Part[] {
  if (/^\$[a-zA-Z]/.test(text)) return [{ variable: checkVariable(text.slice(1), side) }];
  const parts: Part[] = [];
  let from = 0;
  for (const match of text.matchAll(/\$\{([^}]*)\}/g)) {
    if (match.index > from) parts.push({ text: text.slice(from, match.index) });
    parts.push({ variable: checkVariable(match[1]!, side) });
    from = match.index + match[0].length;
  }
  if (from < text.length) parts.push({ text: text.slice(from) });
  return parts;
}

function checkVariable(name: string, side: 'request' | 'response'): string {
  const body = `${side}.body`;
  if (name.startsWith(`${body}.`) || name.startsWith(`${body}[`)) {
    if (/[*?@]|\.\./.test(name)) throw notBuilt(`The JSONPath of ${name}, beyond member names and indexes,`);
    return name;
  }
  const known =
    side === 'request'
      ? /^(request\.(header|querystring|path)\.[^ ]+|request\.path|request\.body|context\.[^ ]+|stageVariables\.[^ ]+)$/
      : /^(response\.header\.[^ ]+|response\.body|context\.[^ ]+|stageVariables\.[^ ]+)$/;
  if (!known.test(name)) throw badRequest(`Invalid mapping expression specified: $${name}`);
  return name;
}

/** The request as the integration gets it. */
export function mapRequest(mappings: readonly Mapping[], request: HttpRequest, scope: EventScope): HttpRequest {
  if (mappings.length === 0) return request;
  const lookup = requestLookup(request, scope);
  let rawHeaders = [...request.rawHeaders];
  let query = parseQuery(request.query);
  let path: string | undefined;
  let queryChanged = false;
  for (const { action, place, name, value } of mappings) {
    const text = render(value, lookup);
    if (action !== 'remove' && text === undefined) continue;
    if (place === 'path') path = text!.startsWith('/') ? text! : `/${text}`;
    else if (place === 'header') {
      if (action !== 'append') rawHeaders = withoutHeader(rawHeaders, name);
      if (action !== 'remove') rawHeaders.push(name, text!);
    } else {
      queryChanged = true;
      if (action !== 'append') query = query.filter(([known]) => known !== name);
      if (action !== 'remove') query.push([name, text!]);
    }
  }
  const encoded = query.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join('&');
  return {
    ...request,
    rawHeaders,
    query: queryChanged ? encoded : request.query,
    ...(path === undefined ? {} : { path, mappedPath: path }),
  };
}

/** The answer as the client gets it. */
export function mapResponse(
  byStatus: ReadonlyMap<number, readonly Mapping[]>,
  answer: IntegrationAnswer,
  request: HttpRequest,
  scope: EventScope,
): IntegrationAnswer {
  const mappings = byStatus.get(answer.status);
  if (mappings === undefined) return answer;
  const lookup = responseLookup(answer, request, scope);
  let headers = [...answer.headers];
  let { status } = answer;
  for (const { action, place, name, value } of mappings) {
    const text = render(value, lookup);
    if (action !== 'remove' && text === undefined) continue;
    if (place === 'statuscode') {
      if (/^[2-5]\d\d$/.test(text!)) status = Number(text);
    } else {
      if (action !== 'append') headers = headers.filter(([known]) => known !== name);
      if (action !== 'remove') headers.push([name, text!]);
    }
  }
  return { ...answer, status, headers };
}

/** A value of which a variable alone is absent is absent; in a longer text it is empty. */
function render(parts: readonly Part[], lookup: Lookup): string | undefined {
  if (parts.length === 1 && 'variable' in parts[0]!) return lookup(parts[0].variable);
  let text = '';
  for (const part of parts) text += 'text' in part ? part.text : (lookup(part.variable) ?? '');
  return text;
}

function requestLookup(request: HttpRequest, scope: EventScope): Lookup {
  return (variable) => {
    if (variable.startsWith('request.header.')) return headerMap(request)[variable.slice(15).toLowerCase()];
    if (variable.startsWith('request.querystring.')) return joined(parseQuery(request.query))[variable.slice(20)];
    if (variable === 'request.path') return request.path;
    if (variable.startsWith('request.path.')) return scope.pathParameters?.[variable.slice(13)];
    if (variable.startsWith('request.body')) return bodyValue(request.body, variable.slice(12));
    return commonValue(variable, request, scope);
  };
}

function responseLookup(answer: IntegrationAnswer, request: HttpRequest, scope: EventScope): Lookup {
  return (variable) => {
    if (variable.startsWith('response.header.')) {
      const name = variable.slice(16).toLowerCase();
      const values = answer.headers.filter(([known]) => known === name).map(([, value]) => value);
      return values.length === 0 ? undefined : values.join(',');
    }
    if (variable.startsWith('response.body')) return bodyValue(answer.body, variable.slice(13));
    return commonValue(variable, request, scope);
  };
}

function commonValue(variable: string, request: HttpRequest, scope: EventScope): string | undefined {
  if (variable.startsWith('stageVariables.')) return scope.stageVariables?.[variable.slice(15)];
  return contextValue(variable.slice('context.'.length), request, scope);
}

/**
 * A `$context` variable
 * (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html); undefined where it has no value here.
 */
export function contextValue(name: string, request: HttpRequest, scope: EventScope): string | undefined {
  switch (name) {
    case 'accountId':
      return scope.accountId;
    case 'apiId':
      return scope.apiId;
    case 'domainName':
      return request.domainName;
    case 'domainPrefix':
      return request.domainName.split('.', 1)[0];
    case 'extendedRequestId':
    case 'requestId':
      return request.requestId;
    case 'httpMethod':
      return request.method;
    case 'identity.sourceIp':
      return request.sourceIp;
    case 'identity.userAgent':
      return headerMap(request)['user-agent'];
    case 'path':
      return request.path;
    case 'protocol':
      return request.protocol;
    case 'requestTime':
      return clfTime(request.timeMs);
    case 'requestTimeEpoch':
      return String(Math.floor(request.timeMs / 1000));
    case 'routeKey':
      return scope.routeKey;
    case 'stage':
      return scope.stage;
    default:
      return name.startsWith('authorizer.') ? authorizerValue(scope.authorizer, name.slice(11)) : undefined;
  }
}

function authorizerValue(authorizer: AuthorizerContext | undefined, name: string): string | undefined {
  if (authorizer === undefined) return undefined;
  if (authorizer.kind === 'jwt') return name.startsWith('claims.') ? authorizer.claims[name.slice(7)] : undefined;
  if (name === 'principalId') return authorizer.principalId;
  const value = authorizer.context[name];
  return value === undefined || value === null ? undefined : asText(value);
}

/** `path` is empty, or member names and indexes: `.a.b[0]`. */
function bodyValue(body: string | Uint8Array, path: string): string | undefined {
  const text = typeof body === 'string' ? body : Buffer.from(body).toString('utf8');
  if (path === '') return text;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  for (const [, member, index] of path.matchAll(/\.([^.[\]]+)|\[['"]?([^\]'"]+)['"]?\]/g)) {
    const name = member ?? index!;
    if (Array.isArray(value)) value = value[Number(name)];
    else value = isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
  }
  return value === undefined || value === null ? undefined : asText(value);
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function withoutHeader(rawHeaders: readonly string[], lower: string): string[] {
  const kept: string[] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]!.toLowerCase() !== lower) kept.push(rawHeaders[index]!, rawHeaders[index + 1]!);
  }
  return kept;
}
