import { partitionOf } from '../../../platform/arn.ts';
import type { RequestContext } from '../../../platform/context.ts';
import type { Api } from '../../../wire/types/apigatewayv2.ts';
import { badRequest } from '../errors.ts';
import { apiGatewayLimits } from '../limits.ts';
import { definedOnly } from '../rules/openapi.ts';
import type { ApiRecord } from '../state.ts';

/** `http://<id>.execute-api.localhost:<port>`: where the API is reached here. */
export function endpointOf(apiId: string, origin: string): string {
  const { port, protocol } = new URL(origin);
  return `${protocol}//${apiId}.execute-api.localhost${port === '' ? '' : `:${port}`}`;
}

export function apiShape(api: ApiRecord, context: Pick<RequestContext, 'origin'>): Api {
  return definedOnly({
    ApiEndpoint: endpointOf(api.apiId, context.origin),
    ApiId: api.apiId,
    ApiKeySelectionExpression: '$request.header.x-api-key',
    CorsConfiguration: api.cors,
    CreatedDate: api.createdAtMs,
    Description: api.description,
    DisableExecuteApiEndpoint: api.disableExecuteApiEndpoint,
    ImportInfo: api.importInfo,
    IpAddressType: api.ipAddressType,
    Name: api.name,
    ProtocolType: 'HTTP' as const,
    RouteSelectionExpression: '$request.method $request.path',
    Tags: api.tags,
    Version: api.version,
    Warnings: api.warnings,
  });
}

/** One page of a list whose ids are in order. `MaxResults` comes as text. */
export function page<T>(
  items: readonly T[],
  idOf: (item: T) => string,
  input: { readonly MaxResults?: string | undefined; readonly NextToken?: string | undefined },
): { readonly Items: readonly T[]; readonly NextToken?: string } {
  const most = input.MaxResults === undefined || input.MaxResults === '' ? 500 : Number(input.MaxResults);
  if (!Number.isInteger(most) || most < 1) throw badRequest('Invalid value for maxResults');
  const after = input.NextToken ? Buffer.from(input.NextToken, 'base64url').toString('utf8') : undefined;
  const rest = after === undefined ? items : items.filter((item) => idOf(item) > after);
  const shown = rest.slice(0, most);
  const last = shown.at(-1);
  return rest.length > shown.length && last !== undefined
    ? { Items: shown, NextToken: Buffer.from(idOf(last), 'utf8').toString('base64url') }
    : { Items: shown };
}

/** Values of a map in the order of their keys. */
export function sorted<T>(map: Readonly<Record<string, T>>): T[] {
  return Object.keys(map)
    .sort()
    .map((key) => map[key]!);
}

export function without<T>(map: Readonly<Record<string, T>>, key: string): Record<string, T> {
  const { [key]: _removed, ...rest } = map;
  return rest;
}

/** The members that a patch gives: an empty text clears, a missing one leaves as it is. */
export function merged<T extends object>(before: T, patch: object): T {
  const after = { ...before } as Record<string, unknown>;
  for (const [name, value] of Object.entries(patch)) {
    if (value === undefined) continue;
    if (value === '') delete after[name];
    else after[name] = value;
  }
  return after as T;
}

export function checkTags(tags: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  if (Object.keys(tags).length > apiGatewayLimits.tags.value)
    throw badRequest(`The number of tags must not exceed ${apiGatewayLimits.tags.value}`);
  for (const [key, value] of Object.entries(tags)) {
    if (key === '' || key.length > 128 || value.length > 256) throw badRequest(`Invalid tag ${key}`);
    if (/^aws:/i.test(key) && !/^aws:cloudformation:/.test(key))
      throw badRequest('Invalid tag key: keys that begin with aws: are reserved');
  }
  return tags;
}

/** `arn:aws:apigateway:region::/apis/id`, and what hangs on it. */
export function managementArn(region: string, path: string): string {
  return `arn:${partitionOf(region)}:apigateway:${region}::${path}`;
}
