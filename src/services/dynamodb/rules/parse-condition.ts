/**
 * Parser of condition, filter and key condition expressions.
 * Grammar: developer guide "Syntax for filter and condition expressions". NOT binds tighter than AND, AND tighter
 * than OR; keywords in any case, function names as written.
 */
import type { CallNode, Comparator, ConditionNode, ExpressionKind, OperandNode } from './ast.ts';
import { ParserBase } from './parser-base.ts';

/** Parses; throws RuleError for anything AWS finds wrong in the text alone. */
export function parseConditionText(kind: ExpressionKind, text: string): ConditionNode {
  return new ConditionParser(kind, text).parse();
}

const KEYWORDS: ReadonlySet<string> = new Set(['AND', 'OR', 'NOT', 'BETWEEN', 'IN']);
const COMPARATORS: ReadonlySet<string> = new Set(['=', '<>', '<', '<=', '>', '>=']);

type Node = ConditionNode | OperandNode;
/** `grouped`: the whole of it stood in parentheses, so that one more pair around it is redundant. */
interface Parsed {
  readonly node: Node;
  readonly grouped: boolean;
}

class ConditionParser extends ParserBase {
  parse(): ConditionNode {
    const parsed = this.parseOr();
    const condition = this.asCondition(parsed.node);
    this.finish();
    return condition;
  }

  protected override isKeyword(word: string): boolean {
    return KEYWORDS.has(word.toUpperCase());
  }

  // A parenthesis may open a condition or an operand, and which it is shows only after it has closed. So these read
  // either, and whoever needs one of them asks.

  private parseOr(): Parsed {
    return this.parseChain('OR', () => this.parseAnd());
  }

  private parseAnd(): Parsed {
    return this.parseChain('AND', () => this.parseNot());
  }

  private parseChain(keyword: 'AND' | 'OR', parseTerm: () => Parsed): Parsed {
    const first = parseTerm();
    if (!this.cursor.isKeyword(keyword)) return first;
    const terms = [this.asCondition(first.node)];
    while (this.cursor.takeKeyword(keyword)) {
      this.countOperator();
      terms.push(this.asCondition(parseTerm().node));
    }
    return { node: { kind: keyword === 'AND' ? 'and' : 'or', terms }, grouped: false };
  }

  private parseNot(): Parsed {
    let negations = 0;
    while (this.cursor.takeKeyword('NOT')) {
      this.countOperator();
      negations++;
    }
    const inner = this.parseComparison();
    if (negations === 0) return inner;
    let node = this.asCondition(inner.node);
    // Too many are refused when the expression ends; the tree need not be built that deep.
    for (let n = Math.min(negations, 301); n > 0; n--) node = { kind: 'not', term: node };
    return { node, grouped: false };
  }

  private parseComparison(): Parsed {
    const left = this.parsePrimary();
    const token = this.cursor.peek();
    if (token.kind === 'symbol' && COMPARATORS.has(token.text)) {
      const operand = this.asValue(left.node);
      this.cursor.next();
      this.countOperator();
      const right = this.parseOperand();
      return ungrouped({ kind: 'compare', operator: token.text as Comparator, left: operand, right });
    }
    if (this.cursor.isKeyword('BETWEEN')) {
      const operand = this.asValue(left.node);
      this.cursor.next();
      this.countOperator();
      const low = this.parseOperand();
      if (!this.cursor.takeKeyword('AND')) throw this.cursor.syntaxError();
      return ungrouped({ kind: 'between', operand, low, high: this.parseOperand() });
    }
    if (this.cursor.isKeyword('IN')) {
      const operand = this.asValue(left.node);
      this.cursor.next();
      this.countOperator();
      this.cursor.expectSymbol('(');
      const list = [this.parseOperand()];
      while (this.cursor.takeSymbol(',')) list.push(this.parseOperand());
      this.cursor.expectSymbol(')');
      return ungrouped({ kind: 'in', operand, list });
    }
    return left;
  }

  private parsePrimary(): Parsed {
    if (!this.cursor.takeSymbol('(')) {
      return ungrouped(this.parseOperandWith(() => this.parseOperand()));
    }
    return this.deeper(() => {
      const inner = this.parseOr();
      this.cursor.expectSymbol(')');
      if (inner.grouped) this.note('parentheses', 'The expression has redundant parentheses;');
      // A path goes on after its parentheses: (a.b).c
      if (inner.node.kind === 'path' && (this.cursor.isSymbol('.') || this.cursor.isSymbol('['))) {
        return ungrouped(this.extendPath([...inner.node.elements]));
      }
      return { node: inner.node, grouped: true };
    });
  }

  /** An operand of a comparison or function, in parentheses or not. */
  private parseOperand(): OperandNode {
    return this.asValue(this.parsePrimary().node);
  }

  /** What has been read as an operand of something: no function but size() gives a value. */
  private asValue(node: Node): OperandNode {
    if (node.kind !== 'path' && node.kind !== 'value' && node.kind !== 'call') throw this.cursor.syntaxError();
    if (node.kind === 'call' && node.name !== 'size') this.noteMisused(node.name);
    return node;
  }

  /** What has been read as a condition: of operands, only functions other than size() say yes or no. */
  private asCondition(node: Node): ConditionNode {
    if (node.kind === 'path' || node.kind === 'value') throw this.cursor.syntaxError();
    if (node.kind === 'call' && !isCondition(node)) this.noteMisused(node.name);
    return node;
  }
}

function isCondition(call: CallNode): boolean {
  return call.name !== 'size' && call.name !== 'if_not_exists' && call.name !== 'list_append';
}

function ungrouped(node: Node): Parsed {
  return { node, grouped: false };
}
