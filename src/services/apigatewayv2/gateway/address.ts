/** `abc123.execute-api.localhost`, also with a region, and AWS's own names where the cloud is told to serve them. */
export const hostPattern = /^[a-z0-9]+\.execute-api\.(?:[a-z0-9-]+\.)?(?:localhost|amazonaws\.com(?:\.cn)?)$/;

/** For clients that cannot resolve names under localhost: `/_aws/execute-api/abc123/…`. */
export const pathPrefix = '/_aws/execute-api/';

export interface Address {
  readonly apiId: string;
  /** Raw, from the stage on; begins with `/`. */
  readonly path: string;
  readonly domainName: string;
}

/** Which API a request is for; undefined where the path form names none. */
export function addressOf(host: string, path: string): Address | undefined {
  if (hostPattern.test(host)) return { apiId: host.slice(0, host.indexOf('.')), path, domainName: host };
  if (!path.startsWith(pathPrefix)) return undefined;
  const end = path.indexOf('/', pathPrefix.length);
  const apiId = path.slice(pathPrefix.length, end === -1 ? undefined : end);
  if (!/^[a-z0-9]+$/.test(apiId)) return undefined;
  return { apiId, path: end === -1 ? '/' : path.slice(end), domainName: `${apiId}.execute-api.localhost` };
}

/** The stage that a decoded path begins with, else `$default`; `path` is what routes are matched against. */
export function stageOf(
  stages: Readonly<Record<string, unknown>>,
  path: string,
): { readonly name: string; readonly path: string } {
  const end = path.indexOf('/', 1);
  const first = path.slice(1, end === -1 ? undefined : end);
  if (first !== '$default' && Object.hasOwn(stages, first))
    return { name: first, path: end === -1 ? '/' : path.slice(end) };
  return { name: '$default', path };
}
