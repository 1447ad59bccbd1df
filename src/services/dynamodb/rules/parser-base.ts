/**
 * What the parsers of all expressions share: the cursor, document paths, values, function calls, and the errors that
 * AWS finds without looking at names and values. Syntax errors are thrown where they are met; the others are noted and
 * the one that AWS reports first is thrown when the whole expression has been read.
 */
import type { CallNode, ExpressionKind, OperandNode, PathNode } from './ast.ts';
import { invalidExpression, TokenCursor } from './lexer.ts';
import { isReservedWord } from './reserved.ts';
import { MAX_NESTING_LEVELS } from './values.ts';

/** Developer guide "Quotas": expression strings of 4 KB, 300 operators or functions; the texts are AWS's. */
export const MAX_EXPRESSION_BYTES = 4096;
export const MAX_OPERATORS = 300;
/**
 * Deeper parentheses and calls can only be wrong (redundant or misused); the bound keeps the parser off the stack's
 * end.
 */
const MAX_PARSER_DEPTH = 200;
const MAX_LIST_INDEX = 2_147_483_647;

export type NoteKind =
  | 'operators'
  | 'parentheses'
  | 'unknownFunction'
  | 'misusedFunction'
  | 'reserved'
  | 'section'
  | 'path';
/** AWS reports the first of these that a condition has. Order: dynalite's db/conditionParser.pegjs, observed on AWS. */
const NOTE_ORDER: readonly NoteKind[] = [
  'operators',
  'parentheses',
  'unknownFunction',
  'misusedFunction',
  'reserved',
  'path',
];

const ALL_FUNCTIONS: ReadonlySet<string> = new Set([
  'attribute_exists',
  'attribute_not_exists',
  'attribute_type',
  'begins_with',
  'contains',
  'size',
  'if_not_exists',
  'list_append',
]);

export abstract class ParserBase {
  protected readonly cursor: TokenCursor;
  protected readonly kind: ExpressionKind;
  readonly #notes = new Map<NoteKind, string>();
  #operators = 0;
  #depth = 0;

  constructor(kind: ExpressionKind, text: string) {
    if (text === '') throw invalidExpression(kind, 'The expression can not be empty;');
    const size = Buffer.byteLength(text);
    if (size > MAX_EXPRESSION_BYTES) {
      throw invalidExpression(kind, `Expression size has exceeded the maximum allowed size; expression size: ${size}`);
    }
    this.kind = kind;
    this.cursor = new TokenCursor(kind, text);
  }

  /** Whether a word cannot be a name here. */
  protected abstract isKeyword(word: string): boolean;

  /** In which order AWS reports the noted errors. */
  protected noteOrder(): readonly NoteKind[] {
    return NOTE_ORDER;
  }

  protected note(kind: NoteKind, detail: string): void {
    if (!this.#notes.has(kind)) this.#notes.set(kind, detail);
  }

  protected noteMisused(name: string): void {
    this.note('misusedFunction', `The function is not allowed to be used this way in an expression; function: ${name}`);
  }

  protected countOperator(): void {
    this.#operators++;
    if (this.#operators > MAX_OPERATORS) {
      this.note('operators', `The expression contains too many operators; operator count: ${MAX_OPERATORS + 1}`);
    }
  }

  /** Ends the reading: nothing may be left, and the first of the noted errors is thrown. */
  protected finish(): void {
    this.cursor.expectEnd();
    this.throwNoted();
  }

  protected throwNoted(): void {
    for (const kind of this.noteOrder()) {
      const detail = this.#notes.get(kind);
      if (detail !== undefined) throw invalidExpression(this.kind, detail);
    }
  }

  /** Runs the parse of something nested. */
  protected deeper<T>(parse: () => T): T {
    this.#depth++;
    if (this.#depth > MAX_PARSER_DEPTH) {
      this.note('parentheses', 'The expression has redundant parentheses;');
      this.throwNoted();
    }
    const result = parse();
    this.#depth--;
    return result;
  }

  protected parsePath(): PathNode {
    return this.extendPath([this.parseName()]);
  }

  /** Reads the `.name` and `[index]` that may follow. */
  protected extendPath(elements: (string | number)[]): PathNode {
    for (;;) {
      if (this.cursor.takeSymbol('.')) {
        elements.push(this.parseName());
      } else if (this.cursor.takeSymbol('[')) {
        if (this.cursor.peek().kind !== 'number') throw this.cursor.syntaxError();
        elements.push(this.listIndex(this.cursor.next().text));
        this.cursor.expectSymbol(']');
      } else break;
    }
    if (elements.length > MAX_NESTING_LEVELS) {
      this.note('path', `The document path has too many nesting levels; nesting levels: ${elements.length}`);
    }
    return { kind: 'path', elements };
  }

  #checkReserved(name: string): void {
    if (isReservedWord(name)) {
      this.note('reserved', `Attribute name is a reserved keyword; reserved keyword: ${name}`);
    }
  }

  protected parseName(): string {
    const token = this.cursor.peek();
    if (token.kind === 'alias') return this.cursor.next().text;
    if (token.kind !== 'name' || this.isKeyword(token.text)) throw this.cursor.syntaxError();
    this.#checkReserved(token.text);
    return this.cursor.next().text;
  }

  private listIndex(digits: string): number {
    const index = Number(digits);
    if (index > MAX_LIST_INDEX) {
      this.note('path', `List index is not within the allowable range; index: [${digits}]`);
    }
    return index;
  }

  /** A function call, a value or a path; `parseArgument` reads what stands between a call's parentheses. */
  protected parseOperandWith(parseArgument: () => OperandNode): OperandNode {
    const token = this.cursor.peek();
    if (token.kind === 'value') return { kind: 'value', name: this.cursor.next().text };
    if (token.kind === 'name' && this.cursor.peek(1).text === '(' && !this.isKeyword(token.text)) {
      return this.parseCall(parseArgument);
    }
    return this.parsePath();
  }

  private parseCall(parseArgument: () => OperandNode): CallNode {
    const name = this.cursor.next().text;
    this.cursor.expectSymbol('(');
    return this.deeper(() => {
      const args = [parseArgument()];
      while (this.cursor.takeSymbol(',')) args.push(parseArgument());
      this.cursor.expectSymbol(')');
      if (!ALL_FUNCTIONS.has(name)) this.note('unknownFunction', `Invalid function name; function: ${name}`);
      return { kind: 'call', name, args };
    });
  }
}
