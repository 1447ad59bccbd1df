/**
 * Tokens of the expression language, and its syntax errors.
 *
 * A bare name begins with a letter and goes on with letters, digits and underscores; `#` and `:` begin aliases of the
 * same characters. What fits nothing is a token by itself, and an error only if the parser reaches it. Source:
 * developer guide "Expression attribute names"; ScyllaDB test/alternator/test_update_expression.py
 * (test_update_expression_name_token) for the corners.
 */
import type { ExpressionKind } from './ast.ts';
import { RuleError } from './errors.ts';

export type TokenKind = 'name' | 'alias' | 'value' | 'number' | 'symbol' | 'other' | 'end';

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

const TOKEN =
  /[ \t\r\n]*(?:([A-Za-z][A-Za-z0-9_]*)|(#[A-Za-z0-9_]+)|(:[A-Za-z0-9_]+)|([0-9]+)|(<>|<=|>=|[=<>()[\],.+-])|(.))/suy;
const KINDS: readonly TokenKind[] = ['name', 'alias', 'value', 'number', 'symbol', 'other'];

/** Splits an expression; the last token is always of kind `end`. Never fails. */
export function tokenize(text: string): readonly Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  const trimmed = text.replace(/[ \t\r\n]+$/, '');
  while (TOKEN.lastIndex < trimmed.length) {
    const match = TOKEN.exec(trimmed)!;
    const group = match.findIndex((part, index) => index > 0 && part !== undefined);
    const part = match[group]!;
    const end = TOKEN.lastIndex;
    tokens.push({ kind: KINDS[group - 1]!, text: part, start: end - part.length, end });
  }
  tokens.push({ kind: 'end', text: '<EOF>', start: trimmed.length, end: trimmed.length });
  return tokens;
}

/** The refusal of an expression, with the parameter it came in. */
export function invalidExpression(kind: ExpressionKind, detail: string): RuleError {
  return new RuleError(`Invalid ${kind}: ${detail}`);
}

/** A cursor over the tokens of one expression. */
export class TokenCursor {
  readonly expressionKind: ExpressionKind;
  readonly #text: string;
  readonly #tokens: readonly Token[];
  #position = 0;

  constructor(kind: ExpressionKind, text: string) {
    this.expressionKind = kind;
    this.#text = text;
    this.#tokens = tokenize(text);
  }

  /** The token at hand, or one further on. */
  peek(ahead = 0): Token {
    return this.#tokens[Math.min(this.#position + ahead, this.#tokens.length - 1)]!;
  }

  next(): Token {
    const token = this.peek();
    if (token.kind !== 'end') this.#position++;
    return token;
  }

  isSymbol(symbol: string): boolean {
    const token = this.peek();
    return token.kind === 'symbol' && token.text === symbol;
  }

  /** Whether a keyword is at hand; keywords are compared without regard to case. */
  isKeyword(keyword: string): boolean {
    const token = this.peek();
    return token.kind === 'name' && token.text.length === keyword.length && token.text.toUpperCase() === keyword;
  }

  takeSymbol(symbol: string): boolean {
    if (!this.isSymbol(symbol)) return false;
    this.#position++;
    return true;
  }

  takeKeyword(keyword: string): boolean {
    if (!this.isKeyword(keyword)) return false;
    this.#position++;
    return true;
  }

  expectSymbol(symbol: string): void {
    if (!this.takeSymbol(symbol)) throw this.syntaxError();
  }

  expectEnd(): void {
    if (this.peek().kind !== 'end') throw this.syntaxError();
  }

  /**
   * The syntax error at the token at hand: AWS names it, and shows the text from the token before it to the one after.
   * Observed on AWS: `ADD hits : incr` gives token ":", near "hits : incr" (aws/aws-cdk issue 7591); `SET _123 = :v`
   * gives token "_", near "SET _123" (ScyllaDB's test suite); a missing end gives token "<EOF>" (getmoto/moto's).
   */
  syntaxError(): RuleError {
    const token = this.peek();
    const from = this.#position > 0 ? this.#tokens[this.#position - 1]!.start : token.start;
    const after = this.#tokens[this.#position + 1] ?? token;
    const near = this.#text.slice(from, after.end);
    return invalidExpression(this.expressionKind, `Syntax error; token: "${token.text}", near: "${near}"`);
  }
}
