import { parseArn } from '../../platform/arn.ts';
import type { TableShard, TableStream, TableStreamPlace } from '../../platform/table-streams.ts';
import { AwsError } from '../../wire/errors.ts';
import type { DescribeStreamInput, GetShardIteratorInput } from '../../wire/types/dynamodbstreams.ts';
import { streamLimits } from './limits.ts';

/** What a shard iterator says. */
export interface IteratorContent {
  readonly streamArn: string;
  readonly shardId: string;
  readonly position: number;
  readonly issuedAtMs: number;
}

/** As AWS's look: the stream's ARN, a version, and what only the service reads. */
export function iteratorText({ streamArn, shardId, position, issuedAtMs }: IteratorContent): string {
  return `${streamArn}|1|${Buffer.from(JSON.stringify([shardId, position, issuedAtMs])).toString('base64url')}`;
}

/** @throws {AwsError} for a text that is no iterator, and for one that is older than 15 minutes. */
export function parseIterator(text: string, nowMs: number): IteratorContent {
  const [streamArn, version, content, ...more] = text.split('|');
  const parsed = version === '1' && more.length === 0 ? contentOf(content ?? '') : undefined;
  if (parsed === undefined) throw invalid('Invalid ShardIterator');
  const [shardId, position, issuedAtMs] = parsed;
  if (nowMs - issuedAtMs > streamLimits.iteratorLifeMs.value)
    throw new AwsError('ExpiredIteratorException', 'The provided Shard iterator is expired');
  return { streamArn: streamArn!, shardId, position, issuedAtMs };
}

function contentOf(content: string): readonly [string, number, number] | undefined {
  try {
    const parsed = JSON.parse(Buffer.from(content, 'base64url').toString('utf8')) as unknown;
    if (!Array.isArray(parsed) || typeof parsed[0] !== 'string') return undefined;
    return Number.isSafeInteger(parsed[1]) && Number.isSafeInteger(parsed[2])
      ? (parsed as unknown as readonly [string, number, number])
      : undefined;
  } catch {
    return undefined;
  }
}

/** Where an iterator is asked to begin. A sequence number and the types that need one go together. */
export function placeOf({
  ShardIteratorType: at,
  SequenceNumber: sequenceNumber,
}: GetShardIteratorInput): TableStreamPlace {
  if (at === 'TRIM_HORIZON' || at === 'LATEST') {
    if (sequenceNumber !== undefined)
      throw invalid(
        `One or more parameter values were invalid: SequenceNumber is not allowed for ShardIteratorType ${at}`,
      );
    return { at };
  }
  if (sequenceNumber === undefined)
    throw invalid(`One or more parameter values were invalid: SequenceNumber is required for ShardIteratorType ${at}`);
  return { at, sequenceNumber };
}

/** The model has no upper bound; AWS has (ScyllaDB's test_streams.py, run against AWS). Undefined: as many as there may be. */
export function limitOf(given: number | undefined, most: number): number {
  if (given === undefined || given <= most) return given ?? most;
  throw invalid(
    `1 validation error detected: Value '${given}' at 'limit' failed to satisfy constraint: ` +
      `Member must have value less than or equal to ${most}`,
  );
}

/** The account and region of a stream's ARN, checked in form. Throws AwsError. */
export function checkStreamArn(streamArn: string): { readonly account: string; readonly region: string } {
  const arn = parseArn(streamArn);
  if (arn?.service !== 'dynamodb' || !/^table\/[^/]+\/stream\/[^/]+$/.test(arn.resource))
    throw invalid('Invalid StreamArn');
  return arn;
}

/** A page of shards, and the shard after which the next begins. */
export function shardPage(
  { shards }: TableStream,
  { Limit, ExclusiveStartShardId: after, ShardFilter }: DescribeStreamInput,
): { readonly shards: readonly TableShard[]; readonly last: string | undefined } {
  const wanted = filtered(shards, ShardFilter);
  const found = wanted.findIndex(({ shardId }) => shardId === after);
  // One that is not there leaves nothing behind it (ScyllaDB's test_streams.py, run against AWS).
  const rest = after === undefined ? wanted : found < 0 ? [] : wanted.slice(found + 1);
  const limit = limitOf(Limit, streamLimits.shardsPerPage.value);
  const page = rest.slice(0, limit);
  return { shards: page, last: page.length < rest.length ? page.at(-1)!.shardId : undefined };
}

function filtered(shards: readonly TableShard[], filter: DescribeStreamInput['ShardFilter']): readonly TableShard[] {
  if (filter?.Type === undefined && filter?.ShardId === undefined) return shards;
  if (filter.Type === undefined || filter.ShardId === undefined)
    throw invalid('One or more parameter values were invalid: ShardFilter needs both Type and ShardId');
  return shards.filter(({ parentShardId }) => parentShardId === filter.ShardId);
}

export function streamNotFound(streamArn: string): AwsError {
  return new AwsError('ResourceNotFoundException', `Requested resource not found: Stream: ${streamArn} not found`);
}

export function invalid(message: string): AwsError {
  return new AwsError('ValidationException', message);
}
