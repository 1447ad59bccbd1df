import { createHash } from 'node:crypto';
import type { KeyRange } from '../../kernel/store/contract.ts';
import type { RawJson } from '../../wire/raw-json.ts';
import { pickKey, toWire } from './answers.ts';
import type { Environment } from './environment.ts';
import { type PageRequest, prefixOf, readableIndex, readPart, wholeRange } from './read-page.ts';
import { type IndexUnits, readUnits } from './rules/capacity.ts';
import { RuleError } from './rules/errors.ts';
import { compileCondition, type Predicate } from './rules/evaluate.ts';
import type { KeyRead } from './rules/partiql/key-plan.ts';
import type { PreparedSelect } from './rules/partiql/selects.ts';
import { type AttributeValue, compareValues, type Item, validateAttributes } from './rules/values.ts';
import { readAttributes } from './rules/wire-values.ts';
import { rangeOf } from './state.ts';
import { StoredItem } from './stored-item.ts';
import type { Table } from './tables.ts';

export interface SelectRequest {
  readonly table: Table;
  readonly select: PreparedSelect;
  /** Names the statement and its parameters: a NextToken is good for the same ones only. */
  readonly fingerprint: string;
  readonly limit: number | undefined;
  readonly nextToken: string | undefined;
  readonly isConsistent: boolean;
}

export interface SelectPage {
  readonly items: readonly RawJson[];
  readonly nextToken: string | undefined;
  readonly lastKey: ReturnType<typeof toWire> | undefined;
  readonly tableUnits: number;
  readonly indexUnits: readonly IndexUnits[];
}

/** One stretch of a table or index that a SELECT reads. */
interface Stretch {
  readonly range: KeyRange;
  readonly filter: Predicate | undefined;
  readonly hash: AttributeValue | undefined;
}

/** Reads a page of a SELECT: its queries one after the other, or its scan, up to `limit` items or a megabyte. */
export async function readSelect(env: Environment, request: SelectRequest): Promise<SelectPage> {
  const { table, select, isConsistent, limit } = request;
  const index = readableIndex(table, select.source);
  const prefix = prefixOf(table, index);
  const stretches =
    select.reads === undefined ? undefined : stretchesOf(prefix, select.reads, select.partitionsDescend);
  const all: readonly Stretch[] = stretches ?? [
    { range: wholeRange(table, index), filter: select.filter, hash: undefined },
  ];
  const from = request.nextToken === undefined ? undefined : readToken(request.nextToken, request.fingerprint);
  const items: RawJson[] = [];
  let scanned = 0;
  let bytes = 0;
  let units = 0;
  let fetchedUnits = 0;
  let next: Position | undefined;
  for (let position = from?.stretch ?? 0; position < all.length; position++) {
    const { range, filter, hash } = all[position]!;
    const startKey = position === from?.stretch ? from.key : undefined;
    const page: PageRequest = {
      table,
      source: select.source,
      index,
      range,
      hash,
      reverse: select.isBackward,
      limit: limit === undefined ? undefined : limit - scanned,
      startKey,
      filter,
      filtersIndexView: true,
      project: select.project,
      countOnly: false,
      isConsistent,
      capacityWanted: undefined,
    };
    const part = await readPart(env, page, env.limits.pageBytes - bytes);
    items.push(...part.items);
    scanned += part.scanned;
    bytes += part.bytes;
    units += readUnits(part.bytes, isConsistent ? 'strong' : 'eventual');
    fetchedUnits += part.fetchedUnits;
    if (part.last === undefined && scanned < (limit ?? Number.POSITIVE_INFINITY)) continue;
    if (part.last !== undefined && !isOneItem(request, all)) {
      next = { stretch: position, key: pickKey(new StoredItem(part.last).item, select.source.startKeyNames) };
    } else if (position + 1 < all.length) next = { stretch: position + 1, key: undefined };
    break;
  }
  const ofIndex = index && { name: index.record.name, isGlobal: index.isGlobal, units };
  return {
    items,
    nextToken: next && writeToken(next, request.fingerprint),
    lastKey: next?.key && toWire(next.key),
    tableUnits: ofIndex === undefined ? units : fetchedUnits,
    indexUnits: ofIndex === undefined ? [] : [ofIndex],
  };
}

/** A SELECT by the whole key is done when its item has been read, whatever the limit. */
function isOneItem({ select }: SelectRequest, all: readonly Stretch[]): boolean {
  const [read] = select.reads ?? [];
  if (all.length !== 1 || read === undefined || select.source.index !== undefined) return false;
  return select.source.key.length === 1 || read.sort.some(({ operator }) => operator === 'EQ');
}

interface Planned {
  readonly read: KeyRead;
  readonly range: KeyRange;
}

function stretchesOf(prefix: Buffer, reads: readonly KeyRead[], isDescending: boolean): readonly Stretch[] {
  const partitions = new Map<string, Planned[]>();
  for (const read of reads) {
    const range = sortRange(prefix, read);
    const name = JSON.stringify(toWire({ hash: read.hash }));
    const known = partitions.get(name);
    if (known === undefined) partitions.set(name, [{ read, range }]);
    else known.push({ read, range });
  }
  const sorted = [...partitions.values()].sort((a, b) => compareValues(a[0]!.read.hash, b[0]!.read.hash) ?? 0);
  return (isDescending ? sorted.reverse() : sorted).flatMap((planned) => inPartition(prefix, planned));
}

function inPartition(prefix: Buffer, planned: readonly Planned[]): readonly Stretch[] {
  const { hash } = planned[0]!.read;
  const real = planned.filter(({ range }) => range.start.compare(range.end) < 0);
  const clashing = real.filter((one) => real.some((other) => one !== other && overlap(one.range, other.range)));
  if (clashing.some((one) => clashesPlainly(one, clashing))) {
    throw new RuleError('Overlapping conditions with range keys are not supported in where clause');
  }
  const apart = real.filter((one) => !clashing.includes(one)).sort((a, b) => a.range.start.compare(b.range.start));
  const stretches = apart.map(({ read, range }) => ({
    range,
    filter: read.filter && compileCondition(read.filter),
    hash,
  }));
  if (clashing.length === 0) return stretches;
  // What overlaps only because sort keys are excluded is read as one, so that no item comes twice.
  const whole = compileCondition({ kind: 'or', terms: planned.map(({ read }) => read.whole) });
  return [{ range: rangeOf(prefix, { hash, range: undefined }), filter: whole, hash }];
}

function clashesPlainly(one: Planned, others: readonly Planned[]): boolean {
  if (one.read.isNegated) return false;
  return others.some((other) => other !== one && !other.read.isNegated && overlap(one.range, other.range));
}

function overlap(a: KeyRange, b: KeyRange): boolean {
  return a.start.compare(b.end) < 0 && b.start.compare(a.end) < 0;
}

/** Where all conditions on the sort key hold; it may be empty. */
function sortRange(prefix: Buffer, { hash, sort }: KeyRead): KeyRange {
  const [first = rangeOf(prefix, { hash, range: undefined }), ...others] = sort.map((range) =>
    rangeOf(prefix, { hash, range }),
  );
  return others.reduce(
    (range, { start, end }) => ({
      start: start.compare(range.start) > 0 ? start : range.start,
      end: end.compare(range.end) < 0 ? end : range.end,
    }),
    first,
  );
}

interface Position {
  readonly stretch: number;
  /** Undefined: from the stretch's beginning. */
  readonly key: Item | undefined;
}

/** What a SELECT is, for its tokens. */
export function fingerprintOf(statement: string, parameters: readonly unknown[], isConsistent: boolean): string {
  return createHash('sha256')
    .update(JSON.stringify([statement, parameters, isConsistent]))
    .digest('base64');
}

function writeToken({ stretch, key }: Position, fingerprint: string): string {
  return Buffer.from(JSON.stringify({ f: fingerprint, s: stretch, k: key && toWire(key) })).toString('base64');
}

function readToken(token: string, fingerprint: string): Position {
  let parsed: { readonly f?: unknown; readonly s?: unknown; readonly k?: object };
  try {
    parsed = JSON.parse(Buffer.from(token, 'base64').toString('utf8')) as typeof parsed;
  } catch {
    throw new RuleError('Invalid NextToken');
  }
  if (typeof parsed.f !== 'string' || typeof parsed.s !== 'number') throw new RuleError('Invalid NextToken');
  if (parsed.f !== fingerprint) throw new RuleError('NextToken does not match request');
  const key =
    parsed.k === undefined ? undefined : validateAttributes(readAttributes(parsed.k as Record<string, unknown>));
  return { stretch: parsed.s, key };
}
