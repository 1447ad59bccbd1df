import type { Cors } from '../../../wire/types/apigatewayv2.ts';
import { badRequest } from '../errors.ts';

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
