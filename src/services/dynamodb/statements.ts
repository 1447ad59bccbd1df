import { keyOfItem } from './changes.ts';
import type { Environment, Place } from './environment.ts';
import { RuleError } from './rules/errors.ts';
import type { Returning, SelectStatement, Statement } from './rules/partiql/ast.ts';
import { parseStatement } from './rules/partiql/parse-statement.ts';
import { type PreparedSelect, prepareSelect } from './rules/partiql/selects.ts';
import { validateParameters } from './rules/partiql/values.ts';
import { type PreparedWrite, prepareWrite, type WriteStatement } from './rules/partiql/writes.ts';
import type { AttributeMap, AttributeValue, Item } from './rules/values.ts';
import { readAttributes } from './rules/wire-values.ts';
import { newItem } from './stored-item.ts';
import type { Table } from './tables.ts';
import type { Action } from './transact.ts';
import { type Written, writeItem } from './write-item.ts';

/** A statement of a request, with its parameters as they came. */
export interface StatementInput {
  readonly Statement: string;
  readonly Parameters?: readonly object[] | undefined;
}

/** A statement read and checked by itself. */
export interface ParsedStatement {
  readonly statement: Statement;
  readonly parameters: readonly AttributeValue[];
  readonly tableName: string;
}

/** A statement's parameters, checked: AWS looks at them before it reads the statement. */
export function readParameters({ Parameters = [] }: StatementInput): readonly AttributeValue[] {
  const named = Object.fromEntries(Parameters.map((parameter, index) => [String(index), parameter]));
  const read = readAttributes(named as Readonly<Record<string, unknown>>);
  return validateParameters(Parameters.map((_, index) => read[String(index)]!));
}

/** Reads a statement; throws RuleError for what is wrong in its text alone. */
export function parse({ Statement: text }: StatementInput, parameters: readonly AttributeValue[]): ParsedStatement {
  const { statement, parameters: wanted } = parseStatement(text);
  if (wanted !== parameters.length) {
    throw new RuleError("Number of parameters in request and statement don't match.");
  }
  const { from } = statement.kind === 'exists' ? statement.select : statement;
  return { statement, parameters, tableName: from.table };
}

/** Fits a SELECT that must name one item by its key; `where` begins the text of its refusal. */
export function prepareKeyRead(
  statement: SelectStatement,
  parameters: readonly AttributeValue[],
  table: Table,
  where: 'ExecuteTransaction' | 'BatchExecuteStatement',
): { readonly key: Item; readonly project: PreparedSelect['project'] } {
  const refusal = `Select statements within ${where} must specify the primary key in the where clause.`;
  if (statement.from.index !== undefined && where === 'BatchExecuteStatement') throw new RuleError(refusal);
  const select = prepareSelect(statement, parameters, table.schema, false);
  const [read] = select.reads ?? [];
  if (read === undefined || select.reads?.length !== 1 || !read.isKeyOnly) throw new RuleError(refusal);
  const key: Record<string, AttributeValue> = { [table.hash.name]: read.hash };
  const sort = read.sort[0]?.values[0];
  if (table.range !== undefined && sort !== undefined) key[table.range.name] = sort;
  return { key, project: select.project };
}

/** Carries out one write by itself. */
export async function executeWrite(
  env: Environment,
  place: Place,
  parsed: ParsedStatement,
  returnValues: string | undefined,
): Promise<Written<Item | undefined>> {
  let prepared: { readonly table: Table; readonly write: PreparedWrite } | undefined;
  const writeIn = (table: Table): PreparedWrite => {
    if (prepared?.table !== table) {
      const write = prepareWrite(parsed.statement as WriteStatement, parsed.parameters, table.schema, false);
      prepared = { table, write };
    }
    return prepared.write;
  };
  return writeItem(env, place, parsed.tableName, {
    keyIn: (table) => keyOfItem(table, writeIn(table).checkKey()),
    decide: (old, table) => {
      const { item, update } = writeIn(table).decide(old?.item, returnValues);
      if (item === 'same') throw new Error('EXISTS was let through');
      const returning = returningOf(parsed.statement);
      return {
        next: item && newItem(item),
        result: returning && returned(returning, old?.item, item, update),
      };
    },
  });
}

/** A write as an action of a transaction; throws RuleError for what is wrong whatever the item holds. */
export function transactAction(parsed: ParsedStatement, table: Table, returnValues: string | undefined): Action {
  if (returningOf(parsed.statement) !== undefined) {
    throw new RuleError('RETURNING clause is not supported in ExecuteTransaction.');
  }
  const statement = parsed.statement as WriteStatement;
  let write = prepareWrite(statement, parsed.parameters, table.schema, true);
  return {
    tableName: parsed.tableName,
    check: (found): AttributeMap => {
      if (found !== table) write = prepareWrite(statement, parsed.parameters, found.schema, true);
      return write.checkKey();
    },
    decide: (old) => {
      const { item } = write.decide(old?.item, returnValues);
      return item === 'same' ? 'same' : item && newItem(item);
    },
  };
}

function returningOf(statement: Statement): Returning | undefined {
  return statement.kind === 'update' || statement.kind === 'delete' ? statement.returning : undefined;
}

function returned(
  { what, when }: Returning,
  old: Item | undefined,
  item: Item | undefined,
  update: ReturnType<PreparedWrite['decide']>['update'],
): Item | undefined {
  if (what === 'ALL') return when === 'OLD' ? old : item;
  return when === 'OLD' ? update?.updatedOld : update?.updatedNew;
}
