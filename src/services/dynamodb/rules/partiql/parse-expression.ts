/**
 * Parser of PartiQL expressions. OR binds loosest, then AND, NOT, comparisons, `||`, sums, products.
 * Texts of refusals: see tokens.ts.
 */
import { RuleError } from '../errors.ts';
import type { Expression, Infix, PathExpression, Place } from './ast.ts';
import { malformed, type Token, tokenize } from './tokens.ts';

const COMPARISON = 4;
const INFIX: Readonly<Record<string, number>> = {
  '=': COMPARISON,
  '<>': COMPARISON,
  '<': COMPARISON,
  '<=': COMPARISON,
  '>': COMPARISON,
  '>=': COMPARISON,
  '||': 5,
  '+': 6,
  '-': 6,
  '*': 7,
  '/': 7,
  '%': 7,
};
const OPERATOR_WORDS: ReadonlySet<string> = new Set(['AND', 'OR', 'IN', 'IS', 'LIKE', 'BETWEEN', 'UNION', 'EXCEPT']);
/** Keywords that name functions where a parenthesis follows. */
const FUNCTION_WORDS: ReadonlySet<string> = new Set([
  ...['SIZE', 'COUNT', 'SUM', 'AVG', 'MIN', 'MAX', 'EXISTS', 'UPPER', 'LOWER', 'TRIM', 'SUBSTRING', 'CHAR_LENGTH'],
  ...['CHARACTER_LENGTH', 'COALESCE', 'NULLIF', 'EXTRACT', 'DATE_ADD', 'DATE_DIFF', 'CAST', 'POSITION'],
]);
/** Names of types after IS; those of two words are joined here. */
const TYPE_WORDS: ReadonlySet<string> = new Set([
  ...['MISSING', 'NULL', 'BOOL', 'BOOLEAN', 'SMALLINT', 'INT', 'INT2', 'INT4', 'INT8', 'INTEGER', 'FLOAT', 'REAL'],
  ...['DOUBLE', 'DECIMAL', 'NUMERIC', 'TIMESTAMP', 'DATE', 'TIME', 'CHARACTER', 'CHAR', 'VARCHAR', 'STRING', 'SYMBOL'],
  ...['CLOB', 'BLOB', 'STRUCT', 'TUPLE', 'LIST', 'SEXP', 'BAG', 'ANY'],
]);
/** Nested deeper than this is no value that DynamoDB takes; the bound keeps the parser off the stack's end. */
const MAX_DEPTH = 500;
const MAX_LIST_INDEX = 2_147_483_647;

export class ExpressionParser {
  readonly #tokens: readonly Token[];
  #position = 0;
  #parameters = 0;
  #depth = 0;

  constructor(text: string) {
    this.#tokens = tokenize(text);
  }

  get parameters(): number {
    return this.#parameters;
  }

  peek(ahead = 0): Token {
    return this.#tokens[Math.min(this.#position + ahead, this.#tokens.length - 1)]!;
  }

  next(): Token {
    const token = this.peek();
    if (token.kind !== 'end') this.#position++;
    return token;
  }

  isKeyword(...words: readonly string[]): boolean {
    return words.every((word, ahead) => {
      const token = this.peek(ahead);
      return token.kind === 'keyword' && token.text === word;
    });
  }

  takeKeyword(...words: readonly string[]): boolean {
    if (!this.isKeyword(...words)) return false;
    this.#position += words.length;
    return true;
  }

  isSymbol(symbol: string): boolean {
    const token = this.peek();
    return token.kind === 'symbol' && token.text === symbol;
  }

  takeSymbol(symbol: string): boolean {
    if (!this.isSymbol(symbol)) return false;
    this.#position++;
    return true;
  }

  /** The statement is over, or a semicolon is all that is left. */
  isAtEnd(): boolean {
    return this.peek().kind === 'end' || (this.isSymbol(';') && this.peek(1).kind === 'end');
  }

  parseExpression(): Expression {
    return this.#parseChain('OR', 'or', () => this.#parseChain('AND', 'and', () => this.#parseNot()));
  }

  /** An attribute's name with what follows it; `refusal` is thrown where no name stands. */
  parsePath(refusal: () => RuleError): PathExpression {
    const token = this.peek();
    if (token.kind !== 'name' && token.kind !== 'quoted') throw refusal();
    this.next();
    return this.#parseSteps(token);
  }

  #parseChain(keyword: string, kind: 'and' | 'or', parseTerm: () => Expression): Expression {
    const first = parseTerm();
    if (!this.isKeyword(keyword)) return first;
    const { at } = this.peek();
    const terms = [first];
    while (this.takeKeyword(keyword)) {
      this.#checkRightSide();
      terms.push(parseTerm());
    }
    return { kind, terms, at };
  }

  #parseNot(): Expression {
    const { at } = this.peek();
    if (!this.takeKeyword('NOT')) return this.#parseInfix(COMPARISON);
    return { kind: 'not', term: this.#deeper(() => this.#parseNot()), at };
  }

  #parseInfix(level: number): Expression {
    let left = this.#parsePrefix();
    for (;;) {
      const token = this.peek();
      const binding = token.kind === 'symbol' ? INFIX[token.text] : undefined;
      if (binding !== undefined && binding >= level) {
        this.next();
        this.#checkRightSide();
        const right = this.#parseInfix(binding + 1);
        left = { kind: 'infix', operator: token.text as Infix, left, right, at: token.at };
        continue;
      }
      const compared = level <= COMPARISON ? this.#parseWordOperator(left) : undefined;
      if (compared === undefined) return left;
      left = compared;
    }
  }

  #parseWordOperator(operand: Expression): Expression | undefined {
    const { at } = this.peek();
    const isNegated = this.isKeyword('NOT');
    const word = this.peek(isNegated ? 1 : 0);
    if (word.kind !== 'keyword') return undefined;
    const wrap = (expression: Expression): Expression =>
      isNegated ? { kind: 'not', term: expression, at } : expression;
    if (word.text === 'IS' && !isNegated) {
      this.next();
      const isNot = this.takeKeyword('NOT');
      const type: Expression = { kind: 'is', operand, type: this.#parseTypeName(), at };
      return isNot ? { kind: 'not', term: type, at } : type;
    }
    if (word.text !== 'IN' && word.text !== 'BETWEEN' && word.text !== 'LIKE') return undefined;
    if (isNegated) this.next();
    this.next();
    this.#checkRightSide();
    const right = this.#parseInfix(COMPARISON + 1);
    if (word.text === 'IN') return wrap({ kind: 'in', operand, list: right, at: word.at });
    if (word.text === 'LIKE') return wrap({ kind: 'like', operand, pattern: right, at: word.at });
    if (!this.takeKeyword('AND')) throw malformed('Expected AND after BETWEEN');
    this.#checkRightSide();
    return wrap({ kind: 'between', operand, low: right, high: this.#parseInfix(COMPARISON + 1), at: word.at });
  }

  #parseTypeName(): string {
    const token = this.next();
    if (token.kind !== 'keyword' || !TYPE_WORDS.has(token.text)) throw malformed('Expected type name');
    if (token.text === 'DOUBLE' && this.takeKeyword('PRECISION')) return 'DOUBLE PRECISION';
    if (token.text === 'CHARACTER' && this.takeKeyword('VARYING')) return 'CHARACTER VARYING';
    return token.text;
  }

  #parsePrefix(): Expression {
    return this.#deeper(() => {
      const token = this.peek();
      if (token.kind !== 'symbol' || (token.text !== '-' && token.text !== '+')) return this.#parsePrimary();
      this.next();
      const operand = this.#parsePrefix();
      if (operand.kind !== 'number') return { kind: 'negative', operand, at: token.at };
      return token.text === '+' ? operand : { ...operand, text: negated(operand.text) };
    });
  }

  #parsePrimary(): Expression {
    const token = this.peek();
    const { at, text } = token;
    switch (token.kind) {
      case 'string':
      case 'number':
        this.next();
        return { kind: token.kind, text, at };
      case 'parameter':
        this.next();
        return { kind: 'parameter', index: this.#parameters++, at };
      case 'quoted':
        this.next();
        return this.#parseSteps(token);
      case 'name':
        this.next();
        return this.isSymbol('(') ? this.#parseCall(token) : this.#parseSteps(token);
      case 'keyword':
        return this.#parseKeyword(token);
      case 'end':
        throw malformed('Unexpected term');
      case 'symbol':
        return this.#parseBracketed(token);
    }
  }

  #parseKeyword(token: Token): Expression {
    const { text, at } = token;
    if (text === 'TRUE' || text === 'FALSE') {
      this.next();
      return { kind: 'boolean', value: text === 'TRUE', at };
    }
    if (text === 'NULL' || text === 'MISSING') {
      this.next();
      return { kind: text === 'NULL' ? 'null' : 'missing', at };
    }
    if (FUNCTION_WORDS.has(text) && this.peek(1).text === '(') {
      this.next();
      return this.#parseCall(token);
    }
    throw malformed(OPERATOR_WORDS.has(text) ? 'Unexpected operator' : 'Unexpected keyword');
  }

  #parseBracketed(token: Token): Expression {
    const { text, at } = token;
    switch (text) {
      case '(': {
        this.next();
        const elements = this.#parseList(')', 'RIGHT_PAREN', true);
        // Parentheses around one expression group it, around several they make a list of them.
        return elements.length === 1 ? elements[0]! : { kind: 'list', elements, at };
      }
      case '[':
        this.next();
        return { kind: 'list', elements: this.#parseList(']', 'RIGHT_BRACKET'), at };
      case '<<':
        this.next();
        return { kind: 'bag', elements: this.#parseList('>>', 'RIGHT_DOUBLE_ANGLE_BRACKET'), at };
      case '{':
        return this.#parseTuple();
      default:
        throw malformed(INFIX[text] === undefined || text === '*' ? 'Unexpected term' : 'Unexpected operator');
    }
  }

  #parseTuple(): Expression {
    const { at } = this.next();
    const entries: (readonly [Expression, Expression])[] = [];
    if (this.takeSymbol('}')) return { kind: 'tuple', entries, at };
    do {
      const key = this.#parsePrimary();
      if (!this.takeSymbol(':')) throw malformed('Expected COLON');
      entries.push([key, this.parseExpression()]);
    } while (this.takeSymbol(','));
    if (!this.takeSymbol('}')) throw malformed('Expected RIGHT_CURLY');
    return { kind: 'tuple', entries, at };
  }

  #parseList(end: string, name: string, needsOne = false): readonly Expression[] {
    const elements: Expression[] = [];
    if (!needsOne && this.takeSymbol(end)) return elements;
    do elements.push(this.parseExpression());
    while (this.takeSymbol(','));
    if (!this.takeSymbol(end)) throw malformed(`Expected ${name}`);
    return elements;
  }

  #parseCall({ text, at }: Token): Expression {
    this.takeSymbol('(');
    // COUNT(*) is read, to be refused for what it is.
    if (this.isSymbol('*') && this.peek(1).text === ')') {
      this.next();
      this.next();
      return { kind: 'call', name: text.toLowerCase(), args: [], at };
    }
    return { kind: 'call', name: text.toLowerCase(), args: this.#parseList(')', 'RIGHT_PAREN'), at };
  }

  #parseSteps({ text, at }: Token): PathExpression {
    const steps: (string | number)[] = [text];
    // A name of one word keeps its own place; a longer one has that of its beginning.
    for (;;) {
      if (this.takeSymbol('.')) {
        const step = this.next();
        if (step.kind !== 'name' && step.kind !== 'quoted') throw malformed('Invalid path dot component');
        steps.push(step.text);
      } else if (this.isSymbol('[')) {
        this.next();
        steps.push(this.#parseIndex());
      } else return { kind: 'path', steps, at };
    }
  }

  #parseIndex(): string | number {
    const index = this.#parsePrefix();
    if (!this.takeSymbol(']')) throw malformed('Expected RIGHT_BRACKET');
    if (index.kind === 'string') return index.text;
    if (index.kind !== 'number' || !/^-?\d+$/.test(index.text)) throw unexpectedPath(index.at);
    const number = Number(index.text);
    if (number < 0 || number > MAX_LIST_INDEX) {
      throw new RuleError(`List index is not within the allowable range; index: [${index.text}] at ${index.at}`);
    }
    return Math.abs(number);
  }

  #checkRightSide(): void {
    if (this.isAtEnd()) throw malformed('Missing right-hand side expression of infix operator');
  }

  #deeper<T>(parse: () => T): T {
    if (++this.#depth > MAX_DEPTH) throw malformed('');
    const result = parse();
    this.#depth--;
    return result;
  }
}

export function unexpectedPath(at: Place): RuleError {
  return new RuleError(`Unexpected path component at ${at}`);
}

function negated(text: string): string {
  return text.startsWith('-') ? text.slice(1) : `-${text}`;
}
