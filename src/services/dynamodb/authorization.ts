import type { Caller } from '../../platform/context.ts';
import type { Authorization } from '../../platform/service.ts';
import { tableArn } from './tables.ts';

interface Touched {
  readonly TableName?: string;
  readonly IndexName?: string;
  readonly ResourceArn?: string;
  /** A batch's: by table. */
  readonly RequestItems?: Readonly<Record<string, unknown>>;
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
  return ResourceArn === undefined ? undefined : { resource: ResourceArn };
}

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
