/** Document paths: where they lead in an item, whether two get in each other's way, and projection. */
import { describePath, type ExpressionKind, type Path, type PathNode } from './ast.ts';
import type { Placeholders } from './bind.ts';
import { invalidExpression } from './lexer.ts';
import { parseProjectionText } from './parse-projection.ts';
import { RecentResults } from './recent.ts';
import { type AttributeMap, type AttributeValue, attributeOf, type Item, setAttribute } from './values.ts';

const trees = new RecentResults<readonly PathNode[]>(500);

/** Parses (or remembers) and binds a projection expression; throws RuleError with AWS's text. */
export function bindProjection(text: string, placeholders: Placeholders): readonly Path[] {
  const kind = 'ProjectionExpression';
  const paths = trees.get(text, parseProjectionText).map((node) => placeholders.resolvePath(kind, node));
  checkPaths(kind, paths);
  return paths;
}

/** The value at a path, or undefined. */
export function valueAt(item: Item, path: Path): AttributeValue | undefined {
  let value = attributeOf(item, path[0] as string);
  for (let depth = 1; depth < path.length && value !== undefined; depth++) value = memberOf(value, path[depth]!);
  return value;
}

/** The member of a map or the element of a list; undefined where the value is not such a container or has none. */
export function memberOf(value: AttributeValue, element: string | number): AttributeValue | undefined {
  if (typeof element === 'number') return value.L?.[element];
  return value.M === undefined ? undefined : attributeOf(value.M, element);
}

/**
 * Refuses paths of which one contains the other, and paths that would have a value be a list and a map at once.
 * AWS looks for overlaps first; see dynalite's test/updateItem.js "overlapping paths" and "conflicting paths".
 */
export function checkPaths(kind: ExpressionKind, paths: readonly Path[]): void {
  const clash = paths.length < 2 ? undefined : (findClash(paths, 'overlap') ?? findClash(paths, 'conflict'));
  if (clash === undefined) return;
  throw invalidExpression(
    kind,
    `Two document paths ${clash.relation} with each other; must remove or rewrite one of these paths; ` +
      `path one: ${describePath(clash.one)}, path two: ${describePath(clash.two)}`,
  );
}

interface Clash {
  readonly relation: 'overlap' | 'conflict';
  readonly one: Path;
  readonly two: Path;
}

function findClash(paths: readonly Path[], wanted: Clash['relation']): Clash | undefined {
  for (const [index, two] of paths.entries()) {
    for (let before = 0; before < index; before++) {
      const one = paths[before]!;
      if (relationOf(one, two) === wanted) return { relation: wanted, one, two };
    }
  }
  return undefined;
}

function relationOf(one: Path, two: Path): 'overlap' | 'conflict' | 'none' {
  const common = Math.min(one.length, two.length);
  for (let depth = 0; depth < common; depth++) {
    if (typeof one[depth] !== typeof two[depth]) return 'conflict';
    if (one[depth] !== two[depth]) return 'none';
  }
  return 'overlap';
}

/** Paths as a tree: children by element; `end` where a path ends. Paths must not overlap. */
export interface PathTree<T> {
  readonly children: Map<string | number, PathTree<T>>;
  end: T | undefined;
}

/** Builds the tree of paths, each with what stands at its end. */
export function pathTree<T>(entries: Iterable<readonly [Path, T]>): PathTree<T> {
  const root: PathTree<T> = { children: new Map(), end: undefined };
  for (const [path, end] of entries) {
    let node = root;
    for (const element of path) {
      let child = node.children.get(element);
      if (child === undefined) {
        child = { children: new Map(), end: undefined };
        node.children.set(element, child);
      }
      node = child;
    }
    node.end = end;
  }
  return root;
}

export type Projector = (item: Item) => Item;

/**
 * Compiles paths to a function that gives of an item only what they lead to, in its place; list elements close ranks in
 * the order of their indexes, and parents of nothing are left out. Developer guide "Projection expressions";
 * ScyllaDB's test_projection_expression.py.
 */
export function compileProjection(paths: readonly Path[]): Projector {
  const tree = pathTree(paths.map((path) => [path, true] as const));
  return (item) => projectMap(item, tree) ?? {};
}

function projectMap(attributes: AttributeMap, tree: PathTree<true>): AttributeMap | undefined {
  let result: Record<string, AttributeValue> | undefined;
  for (const [name, child] of tree.children) {
    if (typeof name === 'number') continue;
    const value = attributeOf(attributes, name);
    const projected = value === undefined ? undefined : projectValue(value, child);
    if (projected === undefined) continue;
    result ??= {};
    setAttribute(result, name, projected);
  }
  return result;
}

function projectValue(value: AttributeValue, tree: PathTree<true>): AttributeValue | undefined {
  if (tree.end) return value;
  if (value.M !== undefined) {
    const members = projectMap(value.M, tree);
    return members && { M: members };
  }
  if (value.L === undefined) return undefined;
  const elements: AttributeValue[] = [];
  for (const index of [...tree.children.keys()].filter((key) => typeof key === 'number').sort((a, b) => a - b)) {
    const element = value.L[index];
    const projected = element && projectValue(element, tree.children.get(index)!);
    if (projected !== undefined) elements.push(projected);
  }
  return elements.length === 0 ? undefined : { L: elements };
}
