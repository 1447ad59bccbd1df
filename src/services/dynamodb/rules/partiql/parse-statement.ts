/**
 * Parser of PartiQL statements: SELECT, INSERT, UPDATE (also in its FROM-first form), DELETE, and EXISTS around a SELECT.
 * Developer guide "PartiQL statements"; texts of refusals: see tokens.ts, and floci's
 * DynamoDbPartiQL*IntegrationTest (github.com/floci-io/floci), recorded on AWS in September 2026.
 */
import { RuleError } from '../errors.ts';
import { RecentResults } from '../recent.ts';
import type {
  Clause,
  Expression,
  Parsed,
  PathExpression,
  Returning,
  SelectStatement,
  Source,
  Statement,
} from './ast.ts';
import { ExpressionParser } from './parse-expression.ts';
import { malformed } from './tokens.ts';

const parsed = new RecentResults<Parsed>(500);

/** Parses (or remembers) a statement; throws RuleError for anything AWS finds wrong in the text alone. */
export function parseStatement(text: string): Parsed {
  return parsed.get(text, parse);
}

/** Clauses of PartiQL that DynamoDB reads only to refuse them. */
const UNSUPPORTED = ['LIMIT', 'OFFSET', 'GROUP', 'HAVING', 'LET'] as const;

function parse(text: string): Parsed {
  const parser = new ExpressionParser(text);
  const statement = parseAny(parser);
  if (!parser.isAtEnd()) throw malformed('Unexpected token after expression');
  return { statement, parameters: parser.parameters };
}

function parseAny(parser: ExpressionParser): Statement {
  if (parser.isKeyword('SELECT')) return parseSelect(parser);
  if (parser.takeKeyword('INSERT')) return parseInsert(parser);
  if (parser.takeKeyword('UPDATE')) return parseUpdate(parser);
  if (parser.takeKeyword('DELETE')) return parseDelete(parser);
  if (parser.takeKeyword('FROM')) return parseFromFirst(parser);
  if (parser.isKeyword('EXISTS')) return parseExists(parser);
  return refuseExpression(parser);
}

function parseSelect(parser: ExpressionParser): SelectStatement {
  parser.takeKeyword('SELECT');
  for (const word of ['DISTINCT', 'VALUE'] as const) {
    const { at } = parser.peek();
    if (parser.takeKeyword(word)) throw new RuleError(`Unsupported clause: ${word} at ${at}`);
  }
  const columns = parser.takeSymbol('*') ? undefined : parseColumns(parser);
  if (!parser.takeKeyword('FROM')) throw malformed('Expected FROM');
  const from = parseSource(parser, () => unexpectedTerm(parser));
  refuseAlias(parser);
  if (parser.isSymbol(',') || parser.isKeyword('JOIN') || parser.isKeyword('INNER') || parser.isKeyword('LEFT')) {
    throw new RuleError('Only select from a single table or index is supported.');
  }
  const where = parseWhere(parser);
  refuseUnsupported(parser);
  const orderBy = parseOrderBy(parser);
  refuseUnsupported(parser);
  return { kind: 'select', columns, from, where, orderBy };
}

function parseColumns(parser: ExpressionParser): readonly Expression[] {
  const columns: Expression[] = [];
  do {
    columns.push(parser.parseExpression());
    refuseAlias(parser);
  } while (parser.takeSymbol(','));
  return columns;
}

function parseOrderBy(parser: ExpressionParser): SelectStatement['orderBy'] {
  if (!parser.takeKeyword('ORDER', 'BY')) return [];
  const terms: { path: PathExpression; isDescending: boolean }[] = [];
  do {
    const path = parser.parsePath(() => unexpectedTerm(parser));
    const isDescending = parser.takeKeyword('DESC');
    if (!isDescending) parser.takeKeyword('ASC');
    terms.push({ path, isDescending });
  } while (parser.takeSymbol(','));
  return terms;
}

function parseInsert(parser: ExpressionParser): Statement {
  if (!parser.takeKeyword('INTO')) throw malformed('Expected INTO');
  const from = parseSource(parser, noTable);
  const follower = parser.peek();
  if (!parser.takeKeyword('VALUE')) {
    if (follower.kind === 'name' || follower.kind === 'quoted') throw malformed('Unexpected token after expression');
    throw malformed('Unexpected keyword');
  }
  const value = parser.parseExpression();
  if (parser.isKeyword('RETURNING')) throw new RuleError('RETURNING is not supported in INSERT');
  return { kind: 'insert', from, value };
}

function parseUpdate(parser: ExpressionParser): Statement {
  const from = parseSource(parser, () => unexpectedTerm(parser));
  refuseAlias(parser);
  const clauses = parseClauses(parser);
  const where = parseWhere(parser);
  return { kind: 'update', from, clauses, where, returning: parseReturning(parser) };
}

function parseFromFirst(parser: ExpressionParser): Statement {
  const from = parseSource(parser, () => unexpectedTerm(parser));
  refuseAlias(parser);
  const where = parseWhere(parser);
  const clauses = parseClauses(parser);
  return { kind: 'update', from, clauses, where, returning: parseReturning(parser) };
}

function parseDelete(parser: ExpressionParser): Statement {
  if (!parser.takeKeyword('FROM')) throw malformed('Expected FROM');
  const from = parseSource(parser, noTable);
  refuseAlias(parser);
  const where = parseWhere(parser);
  const returning = parseReturning(parser);
  if (returning !== undefined && (returning.what !== 'ALL' || returning.when !== 'OLD')) {
    throw new RuleError(
      `Invalid returning clause: RETURNING ${returning.what} ${returning.when} *. ` +
        'Only RETURNING ALL OLD * is allowed in DELETE statements.',
    );
  }
  return { kind: 'delete', from, where, returning };
}

function parseExists(parser: ExpressionParser): Statement {
  parser.takeKeyword('EXISTS');
  if (!parser.takeSymbol('(')) throw malformed('Expected LEFT_PAREN');
  if (!parser.isKeyword('SELECT')) throw malformed('Expected data manipulation');
  const select = parseSelect(parser);
  if (!parser.takeSymbol(')')) throw malformed('Expected RIGHT_PAREN');
  return { kind: 'exists', select };
}

/** SET and REMOVE, in any order and number. */
function parseClauses(parser: ExpressionParser): readonly Clause[] {
  const clauses: Clause[] = [];
  for (;;) {
    if (parser.takeKeyword('SET')) {
      do clauses.push(parseAssignment(parser));
      while (parser.takeSymbol(','));
    } else if (parser.takeKeyword('REMOVE')) {
      clauses.push({ kind: 'remove', path: parser.parsePath(() => unexpectedTerm(parser)) });
    } else break;
  }
  if (clauses.length === 0) throw malformed('Expected data manipulation');
  return clauses;
}

function parseAssignment(parser: ExpressionParser): Clause {
  const path = parser.parsePath(() => unexpectedTerm(parser));
  if (!parser.takeSymbol('=')) throw malformed("Expected '='");
  return { kind: 'set', path, value: parser.parseExpression() };
}

function parseWhere(parser: ExpressionParser): Expression | undefined {
  return parser.takeKeyword('WHERE') ? parser.parseExpression() : undefined;
}

function parseReturning(parser: ExpressionParser): Returning | undefined {
  if (!parser.takeKeyword('RETURNING')) return undefined;
  const what = parser.takeKeyword('ALL') ? 'ALL' : parser.takeKeyword('MODIFIED') ? 'MODIFIED' : undefined;
  const when = parser.takeKeyword('OLD') ? 'OLD' : parser.takeKeyword('NEW') ? 'NEW' : undefined;
  if (what === undefined || when === undefined) throw malformed('Expected ALL or MODIFIED, and OLD or NEW');
  if (!parser.takeSymbol('*')) throw malformed('Expected STAR');
  return { what, when };
}

function parseSource(parser: ExpressionParser, refusal: () => RuleError): Source {
  const { steps, at } = parser.parsePath(refusal);
  const [table, index, ...more] = steps;
  if (typeof index === 'number' || more.length > 0) throw new RuleError(`Unexpected path component at ${at}`);
  return { table: table as string, index };
}

function refuseAlias(parser: ExpressionParser): void {
  const { kind } = parser.peek();
  if (kind === 'name' || kind === 'quoted' || parser.isKeyword('AS')) throw new RuleError('Aliasing is not supported');
}

function refuseUnsupported(parser: ExpressionParser): void {
  for (const word of UNSUPPORTED) {
    if (!parser.takeKeyword(word)) continue;
    if (word === 'GROUP') parser.takeKeyword('BY');
    throw new RuleError(`Unsupported clause: ${word === 'GROUP' ? 'GROUP BY' : word} at ${parser.peek().at}`);
  }
}

/** A statement that is only an expression: refused by what it is, if it can be read at all. */
function refuseExpression(parser: ExpressionParser): never {
  const { kind } = parser.peek();
  if (kind === 'end') throw malformed('Expected data manipulation');
  let expression: Expression;
  try {
    expression = parser.parseExpression();
  } catch {
    throw malformed('Expected data manipulation');
  }
  if (expression.kind === 'is' && parser.isAtEnd()) throw new RuleError('Unsupported operation: IsType');
  throw malformed('Expected data manipulation');
}

function unexpectedTerm(parser: ExpressionParser): RuleError {
  return malformed(parser.peek().kind === 'keyword' ? 'Unexpected keyword' : 'Unexpected term');
}

function noTable(): RuleError {
  return malformed('Expected identifier for simple path');
}
