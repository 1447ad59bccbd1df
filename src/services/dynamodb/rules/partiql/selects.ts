/** SELECT statements fitted to their table: where they read, in which order, and what they give of an item. */
import { invalidParameter, RuleError } from '../errors.ts';
import { compileCondition, type Predicate, pathsOfCondition } from '../evaluate.ts';
import {
  findIndex,
  type IndexSchema,
  type KeyAttribute,
  keyAttributes,
  projectedNames,
  type TableSchema,
} from '../keys.ts';
import { type Projector, valueAt } from '../paths.ts';
import { notProjected, type ReadSource } from '../reads.ts';
import { type AttributeValue, setAttribute } from '../values.ts';
import type { PathExpression, SelectStatement } from './ast.ts';
import { conditionOf } from './conditions.ts';
import { type KeyRead, keyReadsOf } from './key-plan.ts';
import { unexpectedPath } from './parse-expression.ts';

/** A SELECT made ready. */
export interface PreparedSelect {
  readonly source: ReadSource;
  /** Undefined: a scan. */
  readonly reads: readonly KeyRead[] | undefined;
  /** Of a scan. */
  readonly filter: Predicate | undefined;
  /** Undefined: whole items. */
  readonly project: Projector | undefined;
  readonly isBackward: boolean;
  /** How several partitions follow each other. */
  readonly partitionsDescend: boolean;
}

/** Fits a SELECT to its table; throws RuleError with AWS's text. */
export function prepareSelect(
  statement: SelectStatement,
  parameters: readonly AttributeValue[],
  table: TableSchema,
  isConsistent: boolean,
): PreparedSelect {
  const columns = statement.columns?.map((column) => {
    if (column.kind !== 'path') throw unexpectedPath(column.at);
    return column;
  });
  const found = statement.from.index === undefined ? undefined : findIndex(table, statement.from.index);
  if (statement.from.index !== undefined && found === undefined) {
    throw new RuleError('The table does not have the specified index');
  }
  if (found?.isGlobal && isConsistent) {
    throw new RuleError('Strongly consistent read is not supported on Global Secondary Indexes');
  }
  const { where } = statement;
  const condition = where && conditionOf(where, parameters);
  const source = sourceOf(table, found, columns);
  const reads = where && keyReadsOf(where, source.key, parameters);
  checkOrder(statement, source.key, reads);
  if (found !== undefined && reads !== undefined)
    checkProjected(reads, projectedNames(table, found.index), found.index);
  const [hash, sort] = source.key;
  const bySort = statement.orderBy.find(({ path }) => path.steps[0] === sort?.name);
  const byHash = statement.orderBy.find(({ path }) => path.steps[0] === hash!.name);
  return {
    source,
    reads,
    filter: reads === undefined && condition !== undefined ? compileCondition(condition) : undefined,
    project: columns && projector(columns),
    // Ordered by the partition key alone, the sort key descends (observed on AWS).
    isBackward: statement.orderBy.length > 0 && (bySort === undefined || bySort.isDescending),
    partitionsDescend: byHash?.isDescending === true,
  };
}

function sourceOf(
  table: TableSchema,
  found: ReturnType<typeof findIndex>,
  columns: readonly PathExpression[] | undefined,
): ReadSource {
  const tableKey = keyAttributes(table);
  const startKeyNames = tableKey.map(({ name }) => name);
  if (found === undefined) {
    return { index: undefined, isGlobal: false, key: tableKey, startKeyNames, fetchesFromTable: false };
  }
  const { index, isGlobal } = found;
  const key = keyAttributes(table, index.KeySchema);
  for (const { name } of key) {
    if (!startKeyNames.includes(name)) startKeyNames.push(name);
  }
  const projected = projectedNames(table, index);
  const wanted = new Set((columns ?? []).map(({ steps: [name] }) => name as string));
  const missing = projected === undefined ? [] : [...wanted].filter((name) => !projected.has(name));
  if (isGlobal && missing.length > 0) {
    throw invalidParameter(`Global secondary index ${index.IndexName} does not project [${missing.join(', ')}]`);
  }
  return { index, isGlobal, key, startKeyNames, fetchesFromTable: missing.length > 0 };
}

function checkOrder(
  { where, orderBy }: SelectStatement,
  key: readonly KeyAttribute[],
  reads: readonly KeyRead[] | undefined,
): void {
  if (orderBy.length === 0) return;
  if (where === undefined) throw new RuleError('Must have WHERE clause in the statement when using ORDER BY clause.');
  for (const { path } of orderBy) {
    if (path.steps.length === 1 && key.some(({ name }) => name === path.steps[0])) continue;
    throw new RuleError(`Attribute ${path.steps.join('.')} in ORDER BY clause must be part of the primary key`);
  }
  if (reads === undefined) {
    throw new RuleError(
      'Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause.',
    );
  }
  const isByHash = orderBy.some(({ path }) => path.steps[0] === key[0]!.name);
  if (reads.length > 1 && !isByHash) {
    throw new RuleError(
      'Must have hash key in ORDER BY clause when more than one hash key condition specified in WHERE clause.',
    );
  }
}

/** A query of an index filters by what the index holds; AWS names the last branch's attributes, unless one has none. */
function checkProjected(
  reads: readonly KeyRead[],
  projected: ReadonlySet<string> | undefined,
  index: IndexSchema,
): void {
  if (projected === undefined) return;
  const sorted = [...reads].sort((a, b) => String(a.hash.S ?? a.hash.N).localeCompare(String(b.hash.S ?? b.hash.N)));
  let missing: readonly string[] = [];
  for (const { filter } of sorted) {
    const names = filter === undefined ? [] : pathsOfCondition(filter).map(([name]) => name as string);
    missing = [...new Set(names)].filter((name) => !projected.has(name));
    if (missing.length === 0) return;
  }
  throw notProjected(index, missing);
}

/** Columns are named after the last name in their path and the indexes behind it: `m.k[0]` gives `k[0]`. */
function projector(columns: readonly PathExpression[]): Projector {
  const named = columns.map(({ steps }) => ({ name: columnName(steps), path: steps }));
  const names = new Set<string>();
  for (const { name } of named) {
    if (names.has(name)) throw new RuleError(`Duplicate identifiers in select clause: ${name}`);
    names.add(name);
  }
  return (item) => {
    const row: Record<string, AttributeValue> = {};
    for (const { name, path } of named) {
      const value = valueAt(item, path);
      if (value !== undefined) setAttribute(row, name, value);
    }
    return row;
  };
}

function columnName(steps: PathExpression['steps']): string {
  const last = steps.findLastIndex((step) => typeof step === 'string');
  return steps
    .slice(last)
    .map((step) => (typeof step === 'string' ? step : `[${step}]`))
    .join('');
}
