import { badRequest, conflict } from '../errors.ts';

export interface RouteKey {
  /** `ANY` for every method; undefined for `$default`. */
  readonly method: string | undefined;
  /** As written, beginning with `/`; undefined for `$default`. */
  readonly path: string | undefined;
  readonly segments: readonly Segment[];
}

export type Segment =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'variable'; readonly name: string }
  /** Takes one segment or more. */
  | { readonly kind: 'greedy'; readonly name: string };

const methods = ['ANY', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT'];

/** `$default`, or a method and a path. Throws BadRequestException in AWS's words (recorded in public issue threads). */
export function parseRouteKey(text: string): RouteKey {
  if (text === '$default') return { method: undefined, path: undefined, segments: [] };
  const space = text.indexOf(' ');
  const method = text.slice(0, Math.max(space, 0));
  const path = text.slice(space + 1);
  if (!methods.includes(method) || !path.startsWith('/') || /\s/.test(path)) {
    throw badRequest(
      'The provided route key is not formatted properly for HTTP protocol. Format should be "<HTTP METHOD> /<RESOURCE PATH>" or "$default"',
    );
  }
  return { method, path, segments: parsePath(path) };
}

/** Refuses a key that another route has, or that differs from it in a variable's name only. */
export function checkRouteKeyFree(key: string, others: Iterable<string>): void {
  const shape = shapeOf(key);
  for (const other of others) {
    if (other === key) throw conflict(`Route with key ${key} already exists for this API`);
    if (shapeOf(other) === shape) {
      throw conflict(
        `The provided route key "${key}" has a conflicting variable on the same hierarchical level as "${other}"`,
      );
    }
  }
}

function parsePath(path: string): Segment[] {
  const parts = splitPath(path);
  const names = new Set<string>();
  return parts.map((part, index) => {
    const match = /^\{([^{}]+?)(\+?)\}$/.exec(part);
    if (match === null) {
      if (/[{}]/.test(part)) throw badRequest(`Invalid path part '${part}' in route key: variables take whole parts.`);
      return { kind: 'literal', text: part };
    }
    const name = match[1]!;
    const greedy = match[2] === '+';
    if (greedy && index !== parts.length - 1)
      throw badRequest('A greedy path variable is only allowed at the end of a route path.');
    if (names.has(name)) throw badRequest(`The path variable '${name}' is used twice in the route key.`);
    names.add(name);
    return { kind: greedy ? 'greedy' : 'variable', name };
  });
}

/** `/` has no segments; `/a/` has two, the last one empty. */
export function splitPath(path: string): string[] {
  return path === '/' ? [] : path.slice(1).split('/');
}

function shapeOf(key: string): string {
  return key.replace(/\{[^{}]*?(\+?)\}/g, '{$1}');
}
