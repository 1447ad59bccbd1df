import type { Cors } from '../../../wire/types/apigatewayv2.ts';
import { badRequest } from '../errors.ts';
import type { IntegrationAnswer } from './response.ts';

/** Checks a CORS configuration. The words are AWS's where they are recorded (cdk-preflight, pf-apigwv2-cors-credentials-wildcard). */
export function checkCors(cors: Cors): Cors {
  if (cors.AllowCredentials === true && cors.AllowOrigins?.includes('*'))
    throw badRequest("allow-credentials is not supported if 'allow-origin' is *");
  if (cors.MaxAge !== undefined && (cors.MaxAge < -1 || cors.MaxAge > 86_400))
    throw badRequest('max-age should be between -1 and 86400 seconds');
  for (const method of cors.AllowMethods ?? []) {
    if (!['*', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'DELETE'].includes(method))
      throw badRequest(`Invalid method '${method}' in allow-methods`);
  }
  for (const origin of cors.AllowOrigins ?? []) {
    if (origin !== '*' && !/^[a-z][a-z0-9+.-]*:\/\/[^/\s]+$/i.test(origin))
      throw badRequest(
        'Invalid format for origin. Supported values are *, http(s)://*, and origins such as https://example.com',
      );
  }
  return cors;
}

/** What `access-control-allow-origin` says to a page of this origin; undefined: no rule lets it in. */
export function allowedOrigin(cors: Cors, origin: string): string | undefined {
  for (const allowed of cors.AllowOrigins ?? []) {
    if (allowed === '*') return '*';
    if (allowed.toLowerCase() === origin.toLowerCase()) return origin;
    // https://* and http://* stand for every origin of the scheme.
    if (allowed.endsWith('://*') && origin.toLowerCase().startsWith(allowed.slice(0, -1).toLowerCase())) return origin;
  }
  return undefined;
}

/** The API's own answer to a preflight request; one of an origin that is not allowed gets no CORS headers. */
export function preflightAnswer(cors: Cors, origin: string): IntegrationAnswer {
  const headers: [string, string][] = [];
  const allowed = allowedOrigin(cors, origin);
  if (allowed !== undefined) {
    headers.push(['access-control-allow-origin', allowed]);
    if (cors.AllowMethods?.length) headers.push(['access-control-allow-methods', cors.AllowMethods.join(',')]);
    if (cors.AllowHeaders?.length) headers.push(['access-control-allow-headers', cors.AllowHeaders.join(',')]);
    if (cors.ExposeHeaders?.length) headers.push(['access-control-expose-headers', cors.ExposeHeaders.join(',')]);
    if (cors.MaxAge !== undefined) headers.push(['access-control-max-age', String(cors.MaxAge)]);
    if (cors.AllowCredentials === true) headers.push(['access-control-allow-credentials', 'true']);
  }
  return { status: 204, headers, body: '' };
}

/** The answer with the API's CORS headers in place of the backend's, which API Gateway ignores where CORS is configured. */
export function withCors(cors: Cors, origin: string | undefined, answer: IntegrationAnswer): IntegrationAnswer {
  const headers = answer.headers.filter(([name]) => !name.startsWith('access-control-'));
  const allowed = origin === undefined ? undefined : allowedOrigin(cors, origin);
  if (allowed !== undefined) {
    headers.push(['access-control-allow-origin', allowed]);
    if (cors.AllowCredentials === true) headers.push(['access-control-allow-credentials', 'true']);
    if (cors.ExposeHeaders?.length) headers.push(['access-control-expose-headers', cors.ExposeHeaders.join(',')]);
  }
  return { ...answer, headers };
}
