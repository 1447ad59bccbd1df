/**
 * The expression language's syntax trees: as written (names and values still placeholders, hence the same for every
 * request with the same text) and bound (placeholders replaced by one request's names and values).
 */
import type { AttributeType, AttributeValue } from './values.ts';

/** Which parameter an expression came in; it begins the error texts. */
export type ExpressionKind =
  | 'ConditionExpression'
  | 'FilterExpression'
  | 'KeyConditionExpression'
  | 'UpdateExpression'
  | 'ProjectionExpression';

export type Comparator = '=' | '<>' | '<' | '<=' | '>' | '>=';

/** A document path as written: bare names and `#aliases` as strings, list indexes as numbers. */
export interface PathNode {
  readonly kind: 'path';
  readonly elements: readonly (string | number)[];
}

export interface ValueNode {
  readonly kind: 'value';
  /** With its colon. */
  readonly name: string;
}

export interface CallNode {
  readonly kind: 'call';
  readonly name: string;
  readonly args: readonly OperandNode[];
}

export type OperandNode = PathNode | ValueNode | CallNode;

export type ConditionNode =
  | { readonly kind: 'and' | 'or'; readonly terms: readonly ConditionNode[] }
  | { readonly kind: 'not'; readonly term: ConditionNode }
  | { readonly kind: 'compare'; readonly operator: Comparator; readonly left: OperandNode; readonly right: OperandNode }
  | { readonly kind: 'between'; readonly operand: OperandNode; readonly low: OperandNode; readonly high: OperandNode }
  | { readonly kind: 'in'; readonly operand: OperandNode; readonly list: readonly OperandNode[] }
  | CallNode;

export interface ArithmeticNode {
  readonly kind: 'arithmetic';
  readonly operator: '+' | '-';
  readonly left: OperandNode;
  readonly right: OperandNode;
}

export type ActionNode =
  | { readonly kind: 'set'; readonly path: PathNode; readonly value: OperandNode | ArithmeticNode }
  | { readonly kind: 'remove'; readonly path: PathNode }
  | { readonly kind: 'add' | 'delete'; readonly path: PathNode; readonly value: ValueNode };

/** A resolved document path: attribute and member names as strings, list indexes as numbers; never empty. */
export type Path = readonly (string | number)[];

export type Operand =
  | { readonly kind: 'path'; readonly path: Path }
  | { readonly kind: 'value'; readonly value: AttributeValue }
  | { readonly kind: 'size'; readonly operand: Operand }
  /** A condition as the boolean it gives: PartiQL only. */
  | { readonly kind: 'condition'; readonly condition: Condition };

export type Condition =
  | { readonly kind: 'and' | 'or'; readonly terms: readonly Condition[] }
  | { readonly kind: 'not'; readonly term: Condition }
  | { readonly kind: 'compare'; readonly operator: Comparator; readonly left: Operand; readonly right: Operand }
  | { readonly kind: 'between'; readonly operand: Operand; readonly low: Operand; readonly high: Operand }
  | { readonly kind: 'in'; readonly operand: Operand; readonly list: readonly Operand[] }
  | { readonly kind: 'attribute_exists' | 'attribute_not_exists'; readonly path: Path }
  | { readonly kind: 'attribute_type'; readonly operand: Operand; readonly type: AttributeType }
  | { readonly kind: 'begins_with' | 'contains'; readonly operand: Operand; readonly argument: Operand };

export type SetValue =
  | { readonly kind: 'path'; readonly path: Path }
  | { readonly kind: 'value'; readonly value: AttributeValue }
  | { readonly kind: 'if_not_exists'; readonly path: Path; readonly otherwise: SetValue }
  | { readonly kind: 'list_append' | '+' | '-'; readonly left: SetValue; readonly right: SetValue };

export type Action =
  | { readonly kind: 'set'; readonly path: Path; readonly value: SetValue }
  | { readonly kind: 'remove'; readonly path: Path }
  | { readonly kind: 'add' | 'delete'; readonly path: Path; readonly value: AttributeValue };

/** How AWS prints a path in error texts: `[a, [1], b]`. */
export function describePath(path: Path): string {
  return `[${path.map((element) => (typeof element === 'number' ? `[${element}]` : element)).join(', ')}]`;
}
