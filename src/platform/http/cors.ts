import type { SurfaceRequest } from '../surface.ts';
import type { IntegrationAnswer } from './response.ts';

/** A CORS configuration, of an HTTP API or of a function URL. */
export interface CorsRules {
  readonly AllowOrigins?: readonly string[] | undefined;
  readonly AllowMethods?: readonly string[] | undefined;
  readonly AllowHeaders?: readonly string[] | undefined;
  readonly ExposeHeaders?: readonly string[] | undefined;
  readonly MaxAge?: number | undefined;
  readonly AllowCredentials?: boolean | undefined;
}

interface HttpAnswerHead {
  readonly headers: readonly (readonly [string, string])[];
}

/** What `access-control-allow-origin` says to a page of this origin; undefined: no rule lets it in. */
export function allowedOrigin(cors: CorsRules, origin: string): string | undefined {
  for (const allowed of cors.AllowOrigins ?? []) {
    if (allowed === '*') return '*';
    if (allowed.toLowerCase() === origin.toLowerCase()) return origin;
    // https://* and http://* stand for every origin of the scheme.
    if (allowed.endsWith('://*') && origin.toLowerCase().startsWith(allowed.slice(0, -1).toLowerCase())) return origin;
  }
  return undefined;
}

/** The API's own answer to a preflight request; one of an origin that is not allowed gets no CORS headers. */
export function preflightAnswer(cors: CorsRules, origin: string, status: number): IntegrationAnswer {
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
  return { status, headers, body: '' };
}

/** The answer with the rules' CORS headers in place of the backend's, which AWS ignores where CORS is configured. */
export function withCors<A extends HttpAnswerHead>(cors: CorsRules, origin: string | undefined, answer: A): A {
  const headers = answer.headers.filter(([name]) => !name.startsWith('access-control-'));
  const allowed = origin === undefined ? undefined : allowedOrigin(cors, origin);
  if (allowed !== undefined) {
    headers.push(['access-control-allow-origin', allowed]);
    if (cors.AllowCredentials === true) headers.push(['access-control-allow-credentials', 'true']);
    if (cors.ExposeHeaders?.length) headers.push(['access-control-expose-headers', cors.ExposeHeaders.join(',')]);
  }
  return { ...answer, headers };
}

/** Whether a browser asks beforehand what it may send. */
export function isPreflight({ method, headers }: Pick<SurfaceRequest, 'method' | 'headers'>): boolean {
  return (
    method === 'OPTIONS' && headers['origin'] !== undefined && headers['access-control-request-method'] !== undefined
  );
}
