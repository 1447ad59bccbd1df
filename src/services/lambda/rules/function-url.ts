import type { Principal } from '../../../platform/context.ts';
import {
  clfTime,
  cookiesOf,
  domainPrefix,
  encodedBody,
  type HttpRequest,
  headerMap,
  joined,
  parseQuery,
} from '../../../platform/http/request.ts';
import { type IntegrationAnswer, isObject, proxyAnswer } from '../../../platform/http/response.ts';

/** `<url-id>.lambda-url.<region>.localhost`, and AWS's own names where the cloud is told to serve them. */
export const hostPattern = /^[a-z0-9]+\.lambda-url\.[a-z0-9-]+\.(?:localhost|on\.aws)$/;

/** For clients that cannot resolve names under localhost: `/_aws/lambda-url/<url-id>/…`. */
export const pathPrefix = '/_aws/lambda-url/';

export interface UrlAddress {
  readonly urlId: string;
  /** Undefined in the path form, which names none. */
  readonly region: string | undefined;
  /** Raw; begins with `/`. */
  readonly path: string;
}

export function urlOf(urlId: string, region: string, origin: string): string {
  const { port, protocol } = new URL(origin);
  return `${protocol}//${urlId}.lambda-url.${region}.localhost${port === '' ? '' : `:${port}`}/`;
}

/** Which URL a request is for; undefined where the path form names none. */
export function urlAddress(host: string, path: string): UrlAddress | undefined {
  if (hostPattern.test(host)) {
    const [urlId = '', , region] = host.split('.');
    return { urlId, region, path };
  }
  const end = path.indexOf('/', pathPrefix.length);
  const urlId = path.slice(pathPrefix.length, end === -1 ? undefined : end);
  if (!/^[a-z0-9]+$/.test(urlId)) return undefined;
  return { urlId, region: undefined, path: end === -1 ? '/' : path.slice(end) };
}

/**
 * The event, in payload format 2.0, of a request to a function URL
 * (https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads; recorded: test_lambda_url_echo_http_fixture_default).
 * Where it differs from an HTTP API's: the path is raw, no length is added to a request without a body, and a body of no type is
 * binary. `signer`: who signed, under AWS_IAM.
 */
export function urlEvent(request: HttpRequest, signer: Principal | undefined): Record<string, unknown> {
  const headers = headerMap(request);
  const { cookie } = headers;
  delete headers['cookie'];
  if (request.body.length === 0 && !sent(request, 'content-length')) delete headers['content-length'];
  const parameters = parseQuery(request.query);
  const body = request.body.length > 0 ? encodedBody(request.body, headers['content-type'], 'binary') : undefined;
  const prefix = domainPrefix(request.domainName);
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: request.path,
    rawQueryString: request.query,
    ...(cookie === undefined ? {} : { cookies: cookiesOf(cookie) }),
    headers,
    ...(parameters.length === 0 ? {} : { queryStringParameters: joined(parameters) }),
    requestContext: {
      accountId: signer?.account ?? 'anonymous',
      apiId: prefix,
      ...(signer === undefined ? {} : { authorizer: { iam: iamOf(signer) } }),
      domainName: request.domainName,
      domainPrefix: prefix,
      http: {
        method: request.method,
        path: request.path,
        protocol: request.protocol,
        sourceIp: request.sourceIp,
        userAgent: headers['user-agent'] ?? '',
      },
      requestId: request.requestId,
      routeKey: '$default',
      stage: '$default',
      time: clfTime(request.timeMs),
      timeEpoch: request.timeMs,
    },
    ...(body === undefined ? {} : { body: body.text }),
    isBase64Encoded: body?.isBase64Encoded ?? false,
  };
}

function iamOf(signer: Principal): Record<string, unknown> {
  return {
    accessKey: signer.accessKeyId ?? null,
    accountId: signer.account,
    callerId: signer.id,
    cognitoIdentity: null,
    principalOrgId: null,
    userArn: signer.arn,
    userId: signer.id,
  };
}

function sent({ rawHeaders }: HttpRequest, lower: string): boolean {
  for (let index = 0; index < rawHeaders.length; index += 2)
    if (rawHeaders[index]!.toLowerCase() === lower) return true;
  return false;
}

/**
 * What a URL answers for a function's whole response: format 2.0, JSON being the type of what has none (recorded:
 * test_lambda_url_invocation). A function that streamed into a URL that does not comes with its prelude, or is a plain body.
 * Undefined: malformed.
 */
export function bufferedAnswer(payload: Buffer): IntegrationAnswer | undefined {
  const text = payload.toString('utf8');
  if (isJson(text)) return proxyAnswer(text, '2.0', 'application/json');
  const end = payload.indexOf(preludeEnd);
  if (end === -1) return { status: 200, headers: [['content-type', 'application/octet-stream']], body: payload };
  const head = preludeAnswer(payload.subarray(0, end));
  return head === undefined ? undefined : { ...head, body: payload.subarray(end + preludeEnd.length) };
}

/** What clients see where the function fails or answers what no HTTP response can be (recorded: test_lambda_url_invocation_exception). */
export const badGateway: IntegrationAnswer = {
  status: 502,
  headers: [['content-type', 'application/json']],
  body: 'Internal Server Error',
};

/** The content type of a stream that begins with a prelude: JSON, eight NULs, then the body. */
export const preludeType = 'application/vnd.awslambda.http-integration-response';
export const preludeEnd = Buffer.alloc(8);
/** What is kept while the end of a prelude is awaited; a response's head is never as long. */
export const maxPreludeBytes = 64 * 1024;

/** Status, headers and cookies of a stream's prelude; undefined: it is none. */
export function preludeAnswer(json: Buffer): IntegrationAnswer | undefined {
  let prelude: unknown;
  try {
    prelude = JSON.parse(json.toString('utf8'));
  } catch {
    return undefined;
  }
  if (!isObject(prelude)) return undefined;
  const { statusCode = 200, headers, cookies } = prelude;
  return proxyAnswer(JSON.stringify({ statusCode, headers, cookies }), '2.0', 'application/octet-stream');
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
