/**
 * Query and Scan: what AWS refuses of a request, in its order, and the request made ready. As in writes.ts, `validate…`
 * looks at the request alone and `resolve…` at request and table.
 * Order and texts: dynalite's validations/{query,scan}.js and actions/{query,scan}.js, run against AWS.
 */
import type { Condition, Path } from './ast.ts';
import type { Placeholders } from './bind.ts';
import { bindCondition } from './bind-condition.ts';
import { invalidParameter, RuleError } from './errors.ts';
import { compileCondition, type Predicate, pathsOfCondition } from './evaluate.ts';
import { inHashOrder } from './hash-order.ts';
import { type KeyCondition, type KeyRange, keyConditionsOf, matchesRange, resolveKeyRange } from './key-condition.ts';
import {
  checkKey,
  checkKeyValue,
  checkScalarPaths,
  findIndex,
  type IndexSchema,
  type KeyAttribute,
  keyAttributes,
  keyOf,
  projectedNames,
  type TableSchema,
} from './keys.ts';
import {
  type ConditionalOperator,
  checkAttributesToGet,
  conditionOfFilter,
  keyConditionsOfLegacy,
  type LegacyCondition,
} from './legacy.ts';
import { checkParameterMix, type ExpressionInput, placeholdersOf } from './parameters.ts';
import { bindProjection, compileProjection, type Projector } from './paths.ts';
import { type AttributeMap, attributeOf, type Item, validateAttributes, valuesEqual } from './values.ts';

interface ReadInput extends ExpressionInput {
  readonly IndexName?: string;
  readonly Select?: string;
  readonly ConsistentRead?: boolean;
  readonly AttributesToGet?: readonly string[];
  readonly ProjectionExpression?: string;
  readonly FilterExpression?: string;
  readonly ConditionalOperator?: string;
  readonly ExclusiveStartKey?: AttributeMap;
}

export interface QueryInput extends ReadInput {
  readonly KeyConditionExpression?: string;
  readonly KeyConditions?: Readonly<Record<string, LegacyCondition>>;
  readonly QueryFilter?: Readonly<Record<string, LegacyCondition>>;
}

export interface ScanInput extends ReadInput {
  readonly ScanFilter?: Readonly<Record<string, LegacyCondition>>;
  readonly Segment?: number;
  readonly TotalSegments?: number;
}

interface PreparedRead {
  readonly indexName: string | undefined;
  readonly select: string | undefined;
  readonly isConsistent: boolean;
  readonly startKey: Item | undefined;
  readonly filter: Predicate | undefined;
  readonly filterPaths: readonly Path[];
  readonly isLegacyFilter: boolean;
  readonly projectionPaths: readonly Path[];
  /** Undefined if whole items (as far as the table or index has them) are wanted. */
  readonly project: Projector | undefined;
}

export interface PreparedQuery extends PreparedRead {
  readonly keyConditions: ReadonlyMap<string, KeyCondition>;
}

export interface PreparedScan extends PreparedRead {
  readonly segment: number | undefined;
  readonly totalSegments: number | undefined;
}

/** Where a read goes: the table, or an index of it. */
export interface ReadSource {
  readonly index: IndexSchema | undefined;
  readonly isGlobal: boolean;
  /** The key attributes that order the entries read. */
  readonly key: readonly KeyAttribute[];
  /** Names of all attributes of LastEvaluatedKey: the table's key, then what the index adds. */
  readonly startKeyNames: readonly string[];
  /** A local index read that wants attributes the index does not hold: they come from the table. */
  readonly fetchesFromTable: boolean;
}

export interface ResolvedQuery extends ReadSource {
  readonly range: KeyRange;
}

/** Checks a Query request by itself. Throws RuleError. */
export function validateQuery(input: QueryInput): PreparedQuery {
  const { ProjectionExpression, FilterExpression, KeyConditionExpression } = input;
  const { AttributesToGet, QueryFilter, ConditionalOperator: operator, KeyConditions } = input;
  checkParameterMix(
    input,
    { ProjectionExpression, FilterExpression, KeyConditionExpression },
    { AttributesToGet, QueryFilter, ConditionalOperator: operator, KeyConditions },
  );
  const legacyFilter = conditionOfFilter(QueryFilter, operator as ConditionalOperator | undefined);
  checkAttributesToGet(AttributesToGet);
  const startKey = startKeyOf(input.ExclusiveStartKey);
  if (KeyConditions === undefined && KeyConditionExpression === undefined) {
    throw new RuleError(
      'Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.',
    );
  }
  checkSelect(input);
  const placeholders = placeholdersOf(input);
  const keyCondition =
    KeyConditionExpression === undefined
      ? undefined
      : bindCondition('KeyConditionExpression', KeyConditionExpression, placeholders);
  const common = prepareRead(input, startKey, legacyFilter, placeholders);
  const keyConditions =
    keyCondition === undefined ? keyConditionsOfLegacy(KeyConditions!) : keyConditionsOf(keyCondition);
  return { ...common, keyConditions };
}

/** Checks a Scan request by itself. Throws RuleError. */
export function validateScan(input: ScanInput): PreparedScan {
  const { ProjectionExpression, FilterExpression } = input;
  const { AttributesToGet, ScanFilter, ConditionalOperator: operator } = input;
  checkParameterMix(
    input,
    { ProjectionExpression, FilterExpression },
    { AttributesToGet, ScanFilter, ConditionalOperator: operator },
  );
  checkAttributesToGet(AttributesToGet);
  const legacyFilter = conditionOfFilter(ScanFilter, operator as ConditionalOperator | undefined);
  const startKey = startKeyOf(input.ExclusiveStartKey);
  checkSegments(input);
  checkSelect(input);
  const common = prepareRead(input, startKey, legacyFilter, placeholdersOf(input));
  return { ...common, segment: input.Segment, totalSegments: input.TotalSegments };
}

/** Fits a query to the table: the index, the key range, the starting key. */
export function resolveQuery(prepared: PreparedQuery, table: TableSchema): ResolvedQuery {
  const source = resolveSource(prepared, table);
  const { startKey } = prepared;
  if (startKey !== undefined) checkStartKeyNames(startKey, source, INVALID_START_KEY);
  // Key attribute by key attribute: the starting key's part, then the condition on it (dynalite's actions/query.js).
  const range = resolveKeyRange(prepared.keyConditions, source.key, (attribute) => {
    if (startKey !== undefined) checkStartKeyPart(startKey, attribute, WRONG_START_KEY);
  });
  if (prepared.startKey !== undefined) {
    checkTableStartKey(prepared.startKey, table);
    checkStartKeyInRange(prepared.startKey, range, source.key);
  }
  checkScalarPaths(prepared.projectionPaths, table);
  const parameter = prepared.isLegacyFilter ? 'QueryFilter' : 'Filter Expression';
  for (const { name } of source.key) {
    if (prepared.filterPaths.some((path) => path[0] === name)) {
      throw new RuleError(`${parameter} can only contain non-primary key attributes: Primary key attribute: ${name}`);
    }
  }
  checkAllAttributes(prepared, source);
  checkScalarPaths(prepared.filterPaths, table);
  checkFilterProjected(prepared, source, table);
  return { ...source, range };
}

/** A query of an index filters by what the index holds; a scan just finds nothing. Observed on AWS by AppSync's users. */
function checkFilterProjected(prepared: PreparedQuery, { index }: ReadSource, table: TableSchema): void {
  const projected = index && projectedNames(table, index);
  if (projected === undefined) return;
  const missing = namesIn(prepared.filterPaths).filter((name) => !projected.has(name));
  if (missing.length > 0) throw notProjected(index!, missing);
}

/** The refusal of a filter on what an index does not hold. */
export function notProjected(index: IndexSchema, names: readonly string[]): RuleError {
  return invalidParameter(
    `Secondary index ${index.IndexName} does not project one or more filter attributes: ` +
      `[${inHashOrder(names).join(', ')}]`,
  );
}

/** Fits a scan to the table: the index, the starting key. */
export function resolveScan(prepared: PreparedScan, table: TableSchema): ReadSource {
  const source = resolveSource(prepared, table);
  if (prepared.startKey !== undefined) {
    const refusal =
      source.index === undefined
        ? 'The provided starting key is invalid: The provided key element does not match the schema'
        : INVALID_START_KEY;
    checkStartKeyNames(prepared.startKey, source, refusal);
    const wrongPart = source.index === undefined ? refusal : WRONG_START_KEY;
    for (const attribute of source.key) checkStartKeyPart(prepared.startKey, attribute, wrongPart);
  }
  checkAllAttributes(prepared, source);
  if (prepared.startKey !== undefined) checkTableStartKey(prepared.startKey, table);
  checkScalarPaths(prepared.projectionPaths, table);
  checkScalarPaths(prepared.filterPaths, table);
  return source;
}

/** The refusal of a starting key that does not belong to the scan's segment. */
export function wrongSegment(segment: number, totalSegments: number): RuleError {
  return new RuleError(
    'The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct ' +
      `Segment. TotalSegments: ${totalSegments} Segment: ${segment}`,
  );
}

function prepareRead(
  input: ReadInput,
  startKey: Item | undefined,
  legacyFilter: Condition | undefined,
  placeholders: Placeholders,
): PreparedRead {
  const filter =
    input.FilterExpression === undefined
      ? legacyFilter
      : bindCondition('FilterExpression', input.FilterExpression, placeholders);
  const projectionPaths =
    input.ProjectionExpression === undefined
      ? (input.AttributesToGet ?? []).map((name) => [name])
      : bindProjection(input.ProjectionExpression, placeholders);
  placeholders.checkAllUsed();
  return {
    indexName: input.IndexName,
    select: input.Select,
    isConsistent: input.ConsistentRead === true,
    startKey,
    filter: filter && compileCondition(filter),
    filterPaths: filter === undefined ? [] : pathsOfCondition(filter),
    isLegacyFilter: input.FilterExpression === undefined,
    projectionPaths,
    project: projectionPaths.length === 0 ? undefined : compileProjection(projectionPaths),
  };
}

function resolveSource(prepared: PreparedRead, table: TableSchema): ReadSource {
  const tableKey = keyAttributes(table);
  const startKeyNames = tableKey.map(({ name }) => name);
  if (prepared.indexName === undefined) {
    return { index: undefined, isGlobal: false, key: tableKey, startKeyNames, fetchesFromTable: false };
  }
  const found = findIndex(table, prepared.indexName);
  if (found === undefined) {
    throw new RuleError(`The table does not have the specified index: ${prepared.indexName}`);
  }
  const { index, isGlobal } = found;
  if (isGlobal && prepared.isConsistent) {
    throw new RuleError('Consistent reads are not supported on global secondary indexes');
  }
  const key = keyAttributes(table, index.KeySchema);
  for (const { name } of key) {
    if (!startKeyNames.includes(name)) startKeyNames.push(name);
  }
  const projected = projectedNames(table, index);
  const missing =
    projected === undefined ? [] : namesIn(prepared.projectionPaths).filter((name) => !projected.has(name));
  if (isGlobal && missing.length > 0) {
    // As quoted in localstack/localstack#478.
    throw invalidParameter(`Global secondary index ${prepared.indexName} does not project [${missing.join(', ')}]`);
  }
  const wantsMore = prepared.select === 'ALL_ATTRIBUTES' || missing.length > 0;
  return { index, isGlobal, key, startKeyNames, fetchesFromTable: projected !== undefined && wantsMore };
}

function namesIn(paths: readonly Path[]): readonly string[] {
  return [...new Set(paths.map(([name]) => name as string))];
}

function checkAllAttributes(prepared: PreparedRead, source: ReadSource): void {
  if (!source.fetchesFromTable || !source.isGlobal) return;
  throw invalidParameter(
    `Select type ALL_ATTRIBUTES is not supported for global secondary index ${prepared.indexName} ` +
      'because its projection type is not ALL',
  );
}

/** AWS puts its preamble before some of the refusals only. */
const BARE_START_KEY_ERRORS = /contains duplicates|number set|numeric value|significant digits|number with magnitude/;

function startKeyOf(startKey: AttributeMap | undefined): Item | undefined {
  if (startKey === undefined) return undefined;
  try {
    return validateAttributes(startKey);
  } catch (error) {
    if (!(error instanceof RuleError) || BARE_START_KEY_ERRORS.test(error.message)) throw error;
    throw new RuleError(`The provided starting key is invalid: ${error.message}`);
  }
}

const INVALID_START_KEY = 'The provided starting key is invalid';
const WRONG_START_KEY = 'The provided key element does not match the schema';

function checkStartKeyNames(startKey: Item, source: ReadSource, refusal: string): void {
  if (Object.keys(startKey).length !== source.startKeyNames.length) throw new RuleError(refusal);
  if (source.startKeyNames.some((name) => attributeOf(startKey, name) === undefined)) throw new RuleError(refusal);
}

function checkStartKeyPart(startKey: Item, attribute: KeyAttribute, refusal: string): void {
  const value = attributeOf(startKey, attribute.name)!;
  if (value[attribute.type] === undefined) throw new RuleError(refusal);
  checkKeyValue(value, attribute);
}

function checkTableStartKey(startKey: Item, table: TableSchema): void {
  const tableKey = keyAttributes(table);
  try {
    checkKey(keyOf(startKey, tableKey), tableKey);
  } catch (error) {
    if (!(error instanceof RuleError)) throw error;
    throw new RuleError(`The provided starting key is invalid: ${error.message}`);
  }
}

function checkStartKeyInRange(startKey: Item, range: KeyRange, key: readonly KeyAttribute[]): void {
  const [hash, sort] = key;
  const isSameHash = valuesEqual(attributeOf(startKey, hash!.name)!, range.hash);
  if (sort === undefined || range.range === undefined) {
    if (isSameHash) return;
    throw new RuleError('The provided starting key is outside query boundaries based on provided conditions');
  }
  if (!matchesRange(range.range, attributeOf(startKey, sort.name)!)) {
    throw new RuleError('The provided starting key does not match the range key predicate');
  }
  if (!isSameHash) throw new RuleError('The query can return at most one row and cannot be restarted');
}

function checkSegments(input: ScanInput): void {
  const { Segment: segment, TotalSegments: total } = input;
  if (segment !== undefined && total === undefined) {
    throw new RuleError(
      'The TotalSegments parameter is required but was not present in the request when Segment parameter is present',
    );
  }
  if (total === undefined) return;
  if (segment === undefined) {
    throw new RuleError(
      'The Segment parameter is required but was not present in the request when parameter TotalSegments is present',
    );
  }
  if (segment >= total) {
    throw new RuleError(
      'The Segment parameter is zero-based and must be less than parameter TotalSegments: ' +
        `Segment: ${segment} is not less than TotalSegments: ${total}`,
    );
  }
}

/** Select against the projection parameters; texts from getmoto/moto's AWS-verified test_dynamodb_select.py. */
function checkSelect(input: ReadInput): void {
  const { Select: select } = input;
  if (select === undefined) return;
  if (select === 'SPECIFIC_ATTRIBUTES') {
    if (input.ProjectionExpression !== undefined || input.AttributesToGet !== undefined) return;
    throw new RuleError(
      'Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES',
    );
  }
  const wanted = select === 'COUNT' ? 'only the Count' : select;
  if (input.ProjectionExpression !== undefined) {
    throw new RuleError(`Cannot specify the ProjectionExpression when choosing to get ${wanted}`);
  }
  if (input.AttributesToGet !== undefined) {
    throw new RuleError(`Cannot specify the AttributesToGet when choosing to get ${wanted}`);
  }
  if (select === 'ALL_PROJECTED_ATTRIBUTES' && input.IndexName === undefined) {
    throw new RuleError('ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName');
  }
}
