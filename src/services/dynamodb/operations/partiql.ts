import { createHash } from 'node:crypto';
import type { RequestContext } from '../../../platform/context.ts';
import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import { RawJson } from '../../../wire/raw-json.ts';
import type {
  BatchStatementRequest,
  BatchStatementResponse,
  ConsumedCapacity,
  ExecuteTransactionInput,
} from '../../../wire/types/dynamodb.ts';
import { capacityOf, mergedCapacity, toWire } from '../answers.ts';
import { keyOfItem } from '../changes.ts';
import type { Environment } from '../environment.ts';
import { consumedCapacity, readUnits } from '../rules/capacity.ts';
import { RuleError } from '../rules/errors.ts';
import { itemToJson } from '../rules/item-json.ts';
import { checkKey, keyAttributes } from '../rules/keys.ts';
import { prepareSelect } from '../rules/partiql/selects.ts';
import { type AttributeValue, attributeOf, type Item } from '../rules/values.ts';
import { fingerprintOf, readSelect } from '../select.ts';
import {
  executeWrite,
  type ParsedStatement,
  parse,
  prepareKeyRead,
  readParameters,
  transactAction,
} from '../statements.ts';
import { StoredItem, sizeOf } from '../stored-item.ts';
import type { Table } from '../tables.ts';
import { type Action, cancelIfAny, reasonUnless } from '../transact.ts';

/** PartiQL: ExecuteStatement, BatchExecuteStatement, ExecuteTransaction. */
export function partiqlOperations(env: Environment): Handlers<'dynamodb'> {
  return {
    async ExecuteStatement(context, input) {
      const parameters = readParameters(input);
      const parsed = parse(input, parameters);
      const { statement, tableName } = parsed;
      const { ReturnConsumedCapacity: wanted } = input;
      if (statement.kind === 'exists') {
        throw new RuleError('EXISTS can only be used in ExecuteTransaction write requests.');
      }
      if (statement.kind !== 'select') {
        const written = await executeWrite(env, context, parsed, input.ReturnValuesOnConditionCheckFailure);
        const row = written.result;
        return {
          Items: row === undefined ? [] : [new RawJson(itemToJson(row))],
          ConsumedCapacity: capacityOf(written.change, wanted),
        };
      }
      const table = await env.tables.active(context, tableName);
      const isConsistent = input.ConsistentRead === true;
      const select = prepareSelect(statement, parameters, table.schema, isConsistent);
      const page = await readSelect(env, {
        table,
        select,
        isConsistent,
        fingerprint: fingerprintOf(input.Statement, input.Parameters ?? [], isConsistent),
        limit: input.Limit,
        nextToken: input.NextToken,
      });
      return {
        Items: page.items,
        NextToken: page.nextToken,
        LastEvaluatedKey: page.lastKey,
        ConsumedCapacity: consumedCapacity(wanted, table.record.name, page.tableUnits, page.indexUnits),
      };
    },

    async BatchExecuteStatement(context, input) {
      const wanted = input.ReturnConsumedCapacity;
      const results = await executeBatch(env, context, input.Statements, wanted);
      return {
        Responses: results.map(({ response }) => response),
        ConsumedCapacity: mergedCapacity(
          results.flatMap(({ consumed }) => consumed ?? []),
          wanted,
        ),
      };
    },

    async ExecuteTransaction(context, input) {
      const statements = input.TransactStatements;
      const parameters = statements.map(readParameters);
      const parsed = statements.map((statement, index) =>
        inTransaction(index, () => parse(statement, parameters[index]!)),
      );
      const reads = parsed.filter(({ statement }) => statement.kind === 'select').length;
      if (reads > 0 && reads < parsed.length) {
        throw new RuleError(
          'ExecuteTransaction API does not support both read and write operations in the same request.',
        );
      }
      const tables = await Promise.all(parsed.map(({ tableName }) => tableOrNone(env, context, tableName)));
      if (reads > 0) return readTransaction(env, parsed, tables, input.ReturnConsumedCapacity);
      const actions = parsed.map((each, index) => {
        const table = tables[index];
        const returnValues = statements[index]!.ReturnValuesOnConditionCheckFailure;
        return table && inTransaction(index, () => transactAction(each, table, returnValues));
      });
      cancelForMissing(tables);
      const answer = await env.transactions.write(env, context, {
        actions: actions as readonly Action[],
        token: input.ClientRequestToken,
        digest: input.ClientRequestToken === undefined ? '' : digestOf(input),
        capacityWanted: input.ReturnConsumedCapacity,
      });
      return { Responses: [], ConsumedCapacity: answer.ConsumedCapacity };
    },
  };
}

interface BatchResult {
  readonly response: BatchStatementResponse;
  readonly consumed: ConsumedCapacity | undefined;
}

/** Statements of a batch run by themselves; those on the same item in the order of the request. */
async function executeBatch(
  env: Environment,
  context: RequestContext,
  statements: readonly BatchStatementRequest[],
  wanted: string | undefined,
): Promise<readonly BatchResult[]> {
  const results: BatchResult[] = [];
  for (const statement of statements) results.push(await executeInBatch(env, context, statement, wanted));
  return results;
}

async function executeInBatch(
  env: Environment,
  context: RequestContext,
  request: BatchStatementRequest,
  wanted: string | undefined,
): Promise<BatchResult> {
  let tableName: string | undefined;
  try {
    const parsed = parse(request, readParameters(request));
    const { statement, parameters } = parsed;
    if (statement.kind === 'exists') {
      throw new RuleError('EXISTS can only be used in ExecuteTransaction write requests.');
    }
    const table = await env.tables.active(context, parsed.tableName);
    if (statement.kind === 'select') {
      const { key, project } = prepareKeyRead(statement, parameters, table, 'BatchExecuteStatement');
      tableName = table.record.name;
      checkKey(key, keyAttributes(table.schema));
      const hash = attributeOf(key, table.hash.name);
      env.throughput?.admitRead(table, undefined, hash);
      const entry = await env.platform.store.get(keyOfItem(table, key));
      const stored = entry && new StoredItem(entry).item;
      const sizeBytes = entry === undefined ? 0 : sizeOf(entry.value);
      const units = readUnits(sizeBytes, request.ConsistentRead === true ? 'strong' : 'eventual');
      env.throughput?.chargeRead(table, undefined, hash, units);
      return {
        response: { TableName: tableName, Item: wireItem(stored && (project?.(stored) ?? stored)) },
        consumed: consumedCapacity(wanted, tableName, units),
      };
    }
    tableName = table.record.name;
    // The option is without effect in a batch (paritysuite/dynamodb-conformance, batchExecuteStatement.test.ts).
    const written = await executeWrite(env, context, parsed, undefined);
    return {
      response: { TableName: tableName, Item: wireItem(written.result) },
      consumed: capacityOf(written.change, wanted),
    };
  } catch (error) {
    const found = batchError(error);
    return { response: { Error: found, TableName: tableName }, consumed: undefined };
  }
}

/** Errors of single requests, as BatchStatementErrorCodeEnum names them. */
const BATCH_CODES: Readonly<Record<string, NonNullable<BatchStatementResponse['Error']>['Code']>> = {
  ValidationException: 'ValidationError',
  ConditionalCheckFailedException: 'ConditionalCheckFailed',
  DuplicateItemException: 'DuplicateItem',
  ResourceNotFoundException: 'ResourceNotFound',
  TransactionConflictException: 'TransactionConflict',
  ProvisionedThroughputExceededException: 'ProvisionedThroughputExceeded',
  ThrottlingException: 'ThrottlingError',
  ItemCollectionSizeLimitExceededException: 'ItemCollectionSizeLimitExceeded',
  InternalServerError: 'InternalServerError',
};

function batchError(error: unknown): NonNullable<BatchStatementResponse['Error']> {
  const Code = error instanceof RuleError || error instanceof AwsError ? BATCH_CODES[error.code] : undefined;
  if (Code === undefined) throw error;
  return { Code, Message: (error as Error).message };
}

async function readTransaction(
  env: Environment,
  parsed: readonly ParsedStatement[],
  tables: readonly (Table | undefined)[],
  wanted: string | undefined,
) {
  const gets = parsed.map(({ statement, parameters }, index) => {
    const table = tables[index];
    if (table === undefined || statement.kind !== 'select') return undefined;
    return inTransaction(index, () => {
      if (statement.from.index !== undefined) {
        throw new RuleError('Reads on indices are not supported within transactions.');
      }
      return { table, prepared: prepareTransactRead(statement, parameters, table) };
    });
  });
  cancelForMissing(tables);
  const found = gets.map((get) => get!);
  cancelIfAny(
    found.map(({ table, prepared }) =>
      reasonUnless(() => {
        if (prepared.mismatch !== undefined) throw prepared.mismatch;
        checkKey(prepared.key, keyAttributes(table.schema));
      }),
    ),
  );
  return env.transactions.read(env, found, wanted);
}

/** A key of a wrong type cancels the transaction; everything else refuses it. */
function prepareTransactRead(
  statement: Extract<ParsedStatement['statement'], { kind: 'select' }>,
  parameters: readonly AttributeValue[],
  table: Table,
): { key: Item; project: ReturnType<typeof prepareKeyRead>['project']; mismatch?: RuleError } {
  try {
    return prepareKeyRead(statement, parameters, table, 'ExecuteTransaction');
  } catch (error) {
    if (!(error instanceof RuleError) || !error.message.startsWith("Key attribute's data type")) throw error;
    const mismatch = new RuleError('The provided key element does not match the schema');
    return { key: {}, project: undefined, mismatch };
  }
}

function inTransaction<T>(index: number, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof RuleError)) throw error;
    throw new RuleError(`Validation failed in TransactStatements[${index}]: ${error.message}`, error.code);
  }
}

async function tableOrNone(env: Environment, context: RequestContext, name: string): Promise<Table | undefined> {
  try {
    return await env.tables.active(context, name);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

function isNotFound(error: unknown): boolean {
  return (error instanceof RuleError || error instanceof AwsError) && error.code === 'ResourceNotFoundException';
}

function cancelForMissing(tables: readonly (Table | undefined)[]): void {
  cancelIfAny(
    tables.map((table) =>
      table === undefined ? { Code: 'ResourceNotFound', Message: 'Requested resource not found' } : { Code: 'None' },
    ),
  );
}

function wireItem(item: Item | undefined): BatchStatementResponse['Item'] {
  return item && toWire(item);
}

/** The same for the same request, whatever is asked to be returned. */
function digestOf({ TransactStatements }: ExecuteTransactionInput): string {
  return createHash('sha256').update(JSON.stringify(TransactStatements)).digest('base64');
}
