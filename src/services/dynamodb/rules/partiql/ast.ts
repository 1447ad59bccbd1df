/** Syntax trees of DynamoDB's PartiQL dialect, as written: nothing is looked up, no parameter is filled in. */

/** `line:column:length` of a token, counted from 1, as AWS prints it. */
export type Place = string;

export type Infix = '=' | '<>' | '<' | '<=' | '>' | '>=' | '+' | '-' | '*' | '/' | '%' | '||';

export interface PathExpression {
  readonly kind: 'path';
  /** Attribute and member names as strings, list indexes as numbers. */
  readonly steps: readonly (string | number)[];
  readonly at: Place;
}

export interface CallExpression {
  readonly kind: 'call';
  /** In lower case. */
  readonly name: string;
  readonly args: readonly Expression[];
  readonly at: Place;
}

export type Expression =
  | { readonly kind: 'string' | 'number'; readonly text: string; readonly at: Place }
  | { readonly kind: 'boolean'; readonly value: boolean; readonly at: Place }
  | { readonly kind: 'null' | 'missing'; readonly at: Place }
  /** The how-many-th `?` of the statement, from 0. */
  | { readonly kind: 'parameter'; readonly index: number; readonly at: Place }
  | { readonly kind: 'list' | 'bag'; readonly elements: readonly Expression[]; readonly at: Place }
  | {
      readonly kind: 'tuple';
      readonly entries: readonly (readonly [key: Expression, value: Expression])[];
      readonly at: Place;
    }
  | PathExpression
  | CallExpression
  | { readonly kind: 'negative'; readonly operand: Expression; readonly at: Place }
  | {
      readonly kind: 'infix';
      readonly operator: Infix;
      readonly left: Expression;
      readonly right: Expression;
      readonly at: Place;
    }
  | { readonly kind: 'and' | 'or'; readonly terms: readonly Expression[]; readonly at: Place }
  | { readonly kind: 'not'; readonly term: Expression; readonly at: Place }
  | { readonly kind: 'in'; readonly operand: Expression; readonly list: Expression; readonly at: Place }
  | {
      readonly kind: 'between';
      readonly operand: Expression;
      readonly low: Expression;
      readonly high: Expression;
      readonly at: Place;
    }
  | { readonly kind: 'is'; readonly operand: Expression; readonly type: string; readonly at: Place }
  | { readonly kind: 'like'; readonly operand: Expression; readonly pattern: Expression; readonly at: Place };

/** `"table"` or `"table"."index"`. */
export interface Source {
  readonly table: string;
  readonly index: string | undefined;
}

export interface Returning {
  readonly what: 'ALL' | 'MODIFIED';
  readonly when: 'OLD' | 'NEW';
}

export type Clause =
  | { readonly kind: 'set'; readonly path: PathExpression; readonly value: Expression }
  | { readonly kind: 'remove'; readonly path: PathExpression };

export interface SelectStatement {
  readonly kind: 'select';
  /** Undefined: `*`. */
  readonly columns: readonly Expression[] | undefined;
  readonly from: Source;
  readonly where: Expression | undefined;
  readonly orderBy: readonly { readonly path: PathExpression; readonly isDescending: boolean }[];
}

export interface InsertStatement {
  readonly kind: 'insert';
  readonly from: Source;
  readonly value: Expression;
}

export interface UpdateStatement {
  readonly kind: 'update';
  readonly from: Source;
  readonly clauses: readonly Clause[];
  readonly where: Expression | undefined;
  readonly returning: Returning | undefined;
}

export interface DeleteStatement {
  readonly kind: 'delete';
  readonly from: Source;
  readonly where: Expression | undefined;
  readonly returning: Returning | undefined;
}

export type Statement =
  | SelectStatement
  | InsertStatement
  | UpdateStatement
  | DeleteStatement
  /** `EXISTS(SELECT …)` as a statement of a transaction. */
  | { readonly kind: 'exists'; readonly select: SelectStatement };

export interface Parsed {
  readonly statement: Statement;
  readonly parameters: number;
}
