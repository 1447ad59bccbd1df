/**
 * Parser of update expressions: SET, REMOVE, ADD and DELETE clauses, each at most once, in any order.
 * Grammar: developer guide "Update expressions"; corners from ScyllaDB's test_update_expression.py and dynalite's
 * test/updateItem.js, both run against AWS.
 */
import type { ActionNode, ArithmeticNode, OperandNode, ValueNode } from './ast.ts';
import { type NoteKind, ParserBase } from './parser-base.ts';

/** Parses; throws RuleError for anything AWS finds wrong in the text alone. */
export function parseUpdateText(text: string): readonly ActionNode[] {
  return new UpdateParser('UpdateExpression', text).parse();
}

const SECTIONS = ['SET', 'REMOVE', 'ADD', 'DELETE'] as const;
type Section = (typeof SECTIONS)[number];

class UpdateParser extends ParserBase {
  readonly #actions: ActionNode[] = [];

  parse(): readonly ActionNode[] {
    const seen = new Set<Section>();
    do {
      const section = SECTIONS.find((candidate) => this.cursor.takeKeyword(candidate));
      if (section === undefined) throw this.cursor.syntaxError();
      if (seen.has(section)) {
        this.note('section', `The "${section}" section can only be used once in an update expression;`);
      }
      seen.add(section);
      do this.#actions.push(this.parseAction(section));
      while (this.cursor.takeSymbol(','));
    } while (this.cursor.peek().kind !== 'end');
    this.finish();
    return this.#actions;
  }

  protected override isKeyword(word: string): boolean {
    return (SECTIONS as readonly string[]).includes(word.toUpperCase());
  }

  protected override noteOrder(): readonly NoteKind[] {
    return ['operators', 'reserved', 'parentheses', 'unknownFunction', 'misusedFunction', 'section', 'path'];
  }

  private parseAction(section: Section): ActionNode {
    const path = this.parsePath();
    switch (section) {
      case 'SET':
        this.cursor.expectSymbol('=');
        return { kind: 'set', path, value: this.parseSetValue() };
      case 'REMOVE':
        return { kind: 'remove', path };
      case 'ADD':
        return { kind: 'add', path, value: this.parseValue() };
      case 'DELETE':
        return { kind: 'delete', path, value: this.parseValue() };
    }
  }

  private parseValue(): ValueNode {
    if (this.cursor.peek().kind !== 'value') throw this.cursor.syntaxError();
    return { kind: 'value', name: this.cursor.next().text };
  }

  /** An operand, or the sum or difference of two, with or without parentheses around the whole. */
  private parseSetValue(): OperandNode | ArithmeticNode {
    if (!this.cursor.takeSymbol('(')) return this.parseArithmetic(this.parseTopOperand());
    const inner = this.deeper(() => this.parseArithmetic(this.parseTopOperand()));
    this.cursor.expectSymbol(')');
    return inner.kind === 'arithmetic' ? inner : this.parseArithmetic(inner);
  }

  private parseArithmetic(left: OperandNode): OperandNode | ArithmeticNode {
    const token = this.cursor.peek();
    if (token.kind !== 'symbol' || (token.text !== '+' && token.text !== '-')) return left;
    this.cursor.next();
    this.countOperator();
    return { kind: 'arithmetic', operator: token.text, left, right: this.parseTopOperand() };
  }

  private parseTopOperand(): OperandNode {
    return this.checkUse(
      this.parseOperand(() => this.parseTopOperand()),
      false,
    );
  }

  /** AWS lets if_not_exists() stand inside a function, list_append() not. */
  private parseArgument(): OperandNode {
    return this.checkUse(
      this.parseOperand(() => this.parseArgument()),
      true,
    );
  }

  private parseOperand(parseInParentheses: () => OperandNode): OperandNode {
    if (!this.cursor.takeSymbol('(')) return this.parseOperandWith(() => this.parseArgument());
    const inner = this.deeper(parseInParentheses);
    this.cursor.expectSymbol(')');
    return inner;
  }

  private checkUse(operand: OperandNode, isArgument: boolean): OperandNode {
    if (operand.kind !== 'call') return operand;
    const allowed = operand.name === 'if_not_exists' || (operand.name === 'list_append' && !isArgument);
    if (!allowed) this.noteMisused(operand.name);
    return operand;
  }
}
