import type { Caller } from '../../platform/context.ts';
import type { Authorization } from '../../platform/service.ts';
import type { Statement } from './rules/partiql/ast.ts';
import { parseStatement } from './rules/partiql/parse-statement.ts';
import { tableArn } from './tables.ts';

interface Touched {
  readonly TableName?: string;
  readonly IndexName?: string;
  readonly ResourceArn?: string;
  readonly BackupArn?: string;
  readonly SourceTableArn?: string;
  readonly SourceTableName?: string;
  readonly TableArn?: string;
  readonly ExportArn?: string;
  readonly ImportArn?: string;
  /** A batch's: by table. */
  readonly RequestItems?: Readonly<Record<string, unknown>>;
  /** PartiQL's: one, a batch's, a transaction's. */
  readonly Statement?: string;
  readonly Statements?: readonly { readonly Statement: string }[];
  readonly TransactStatements?: readonly { readonly Statement: string }[];
  /** A transaction's: each with its action. */
  readonly TransactItems?: readonly Readonly<Record<string, { readonly TableName?: string } | undefined>>[];
}

/**
 * The table, or the index where one is read (IAM's service authorization reference for DynamoDB). Transactions are
 * allowed by the permissions for their actions. What touches several tables or actions at once needs the right to
 * every resource, since one call is one question here.
 */
export function authorization(_operation: string, input: unknown, caller: Caller): Authorization | undefined {
  const { TableName, IndexName, ResourceArn, RequestItems, TransactItems } = input as Touched;
  if (TableName !== undefined) {
    const table = arnOf(TableName, caller);
    return { resource: IndexName === undefined ? table : `${table}/index/${IndexName}` };
  }
  if (RequestItems !== undefined) return { resource: common(Object.keys(RequestItems), caller) };
  if (TransactItems !== undefined) {
    const entries = TransactItems.flatMap((item) => Object.entries(item));
    const tables = entries.flatMap(([, action]) => action?.TableName ?? []);
    const actions = [...new Set(entries.map(([name]) => actionNames[name] ?? name))];
    const resource = actions.length === 1 ? common(tables, caller) : '*';
    return { action: `dynamodb:${actions[0] ?? 'PutItem'}`, resource };
  }
  const { Statement, Statements, TransactStatements } = input as Touched;
  const statements = Statements ?? TransactStatements ?? (Statement === undefined ? undefined : [{ Statement }]);
  if (statements !== undefined) return ofStatements(statements, caller);
  const { BackupArn, SourceTableArn, SourceTableName, TableArn, ExportArn, ImportArn } = input as Touched;
  const source = SourceTableName === undefined ? undefined : arnOf(SourceTableName, caller);
  const resource = ResourceArn ?? BackupArn ?? SourceTableArn ?? source ?? TableArn ?? ExportArn ?? ImportArn;
  return resource === undefined ? undefined : { resource };
}

/** A statement that cannot be read touches nothing, and is refused for that. */
function ofStatements(
  statements: readonly { readonly Statement: string }[],
  caller: Caller,
): Authorization | undefined {
  const touched = statements.flatMap(({ Statement }) => touchedBy(Statement, caller));
  const actions = new Set(touched.map(({ action }) => action));
  const resources = new Set(touched.map(({ resource }) => resource));
  const [action] = actions;
  const [resource] = resources;
  if (action === undefined || resource === undefined) return undefined;
  return { action, resource: actions.size > 1 || resources.size > 1 ? '*' : resource };
}

function touchedBy(text: string, caller: Caller): readonly { readonly action: string; readonly resource: string }[] {
  let statement: Statement;
  try {
    ({ statement } = parseStatement(text));
  } catch {
    return [];
  }
  const { table, index } = (statement.kind === 'exists' ? statement.select : statement).from;
  const resource = arnOf(table, caller);
  const action = `dynamodb:PartiQL${PARTIQL_ACTIONS[statement.kind]}`;
  return [{ action, resource: index === undefined ? resource : `${resource}/index/${index}` }];
}

const PARTIQL_ACTIONS: Readonly<Record<Statement['kind'], string>> = {
  select: 'Select',
  exists: 'Select',
  insert: 'Insert',
  update: 'Update',
  delete: 'Delete',
};

const actionNames: Readonly<Record<string, string>> = {
  Get: 'GetItem',
  Put: 'PutItem',
  Update: 'UpdateItem',
  Delete: 'DeleteItem',
  ConditionCheck: 'ConditionCheckItem',
};

function common(tables: readonly string[], caller: Caller): string {
  const [first, ...others] = new Set(tables.map((table) => arnOf(table, caller)));
  return first === undefined || others.length > 0 ? '*' : first;
}

function arnOf(nameOrArn: string, caller: Caller): string {
  return nameOrArn.startsWith('arn:') ? nameOrArn : tableArn({ ...caller, name: nameOrArn });
}
