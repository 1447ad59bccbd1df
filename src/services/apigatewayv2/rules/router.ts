import type { RouteKey } from './route-keys.ts';
import { splitPath } from './route-keys.ts';

/** Routes compiled for matching, by AWS's precedence. */
export interface Router<R> {
  readonly root: Node<R>;
  readonly fallback: R | undefined;
}

interface Node<R> {
  readonly literals: Map<string, Node<R>>;
  variable: Node<R> | undefined;
  /** Routes that end in a greedy variable here, by method. */
  readonly greedy: Map<string, Entry<R>>;
  /** Routes that end here, by method. */
  readonly ends: Map<string, Entry<R>>;
}

interface Entry<R> {
  readonly route: R;
  readonly names: readonly string[];
}

export interface Match<R> {
  readonly route: R;
  /** Decoded values of path variables; undefined where the route has none. */
  readonly parameters: Readonly<Record<string, string>> | undefined;
}

export function compileRouter<R>(routes: Iterable<{ readonly key: RouteKey; readonly route: R }>): Router<R> {
  const root = newNode<R>();
  let fallback: R | undefined;
  for (const { key, route } of routes) {
    if (key.method === undefined) {
      fallback = route;
      continue;
    }
    const names: string[] = [];
    let node = root;
    let ends = node.ends;
    for (const segment of key.segments) {
      if (segment.kind !== 'literal') names.push(segment.name);
      if (segment.kind === 'greedy') {
        ends = node.greedy;
        break;
      }
      node = segment.kind === 'literal' ? literalChild(node, segment.text) : (node.variable ??= newNode<R>());
      ends = node.ends;
    }
    ends.set(key.method, { route, names });
  }
  return { root, fallback };
}

/**
 * The route of a request; `path` is decoded and begins with `/`. A full match goes before a greedy one, a literal part before a
 * variable, a method before ANY, and `$default` takes the rest
 * (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html).
 */
export function matchRoute<R>(router: Router<R>, method: string, path: string): Match<R> | undefined {
  const segments = splitPath(path);
  const values: string[] = [];
  const found = descend(router.root, method, segments, 0, values);
  if (found !== undefined) {
    if (found.names.length === 0) return { route: found.route, parameters: undefined };
    const parameters: Record<string, string> = {};
    for (let index = 0; index < found.names.length; index++) parameters[found.names[index]!] = values[index]!;
    return { route: found.route, parameters };
  }
  return router.fallback === undefined ? undefined : { route: router.fallback, parameters: undefined };
}

/** Depth first, the more specific way first; `values` holds the variables of the way taken. */
function descend<R>(
  node: Node<R>,
  method: string,
  segments: readonly string[],
  depth: number,
  values: string[],
): Entry<R> | undefined {
  if (depth === segments.length) return byMethod(node.ends, method);
  const part = segments[depth]!;
  const literal = node.literals.get(part);
  if (literal !== undefined) {
    const found = descend(literal, method, segments, depth + 1, values);
    if (found !== undefined) return found;
  }
  if (node.variable !== undefined && part !== '') {
    values.push(part);
    const found = descend(node.variable, method, segments, depth + 1, values);
    if (found !== undefined) return found;
    values.pop();
  }
  const greedy = byMethod(node.greedy, method);
  const rest = greedy === undefined ? '' : segments.slice(depth).join('/');
  if (rest === '') return undefined;
  values.push(rest);
  return greedy;
}

function byMethod<R>(ends: ReadonlyMap<string, Entry<R>>, method: string): Entry<R> | undefined {
  return ends.get(method) ?? ends.get('ANY');
}

function literalChild<R>(node: Node<R>, text: string): Node<R> {
  let child = node.literals.get(text);
  if (child === undefined) node.literals.set(text, (child = newNode()));
  return child;
}

function newNode<R>(): Node<R> {
  return { literals: new Map(), variable: undefined, greedy: new Map(), ends: new Map() };
}
