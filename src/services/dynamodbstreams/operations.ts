import type { Caller } from '../../platform/context.ts';
import type { Handlers, Platform } from '../../platform/service.ts';
import type { TableStreamRecord, TableStreams } from '../../platform/table-streams.ts';
import type { StreamViewType, Record as WireRecord } from '../../wire/types/dynamodbstreams.ts';
import { streamLimits } from './limits.ts';
import {
  checkStreamArn,
  invalid,
  iteratorText,
  limitOf,
  parseIterator,
  placeOf,
  shardPage,
  streamNotFound,
} from './rules.ts';

/** DescribeStream, GetRecords, GetShardIterator, ListStreams. */
export function streamOperations(platform: Platform): Handlers<'dynamodbstreams'> {
  const { clock } = platform;
  return {
    async ListStreams(context, input) {
      const tables = await streamsOf(platform, context);
      const { ExclusiveStartStreamArn: after, TableName: tableName } = input;
      if (after !== undefined) checkStreamArn(after);
      const streams = await tables.list(context, tableName);
      const start = after === undefined ? 0 : streams.findIndex(({ arn }) => arn === after) + 1;
      if (after !== undefined && start === 0) throw invalid(`Invalid ExclusiveStartStreamArn: ${after}`);
      const end = start + limitOf(input.Limit, streamLimits.streamsPerPage.value);
      const page = streams.slice(start, end);
      return {
        Streams: page.map(({ arn, label, tableName: name }) => ({
          StreamArn: arn,
          TableName: name,
          StreamLabel: label,
        })),
        LastEvaluatedStreamArn: end < streams.length ? page.at(-1)?.arn : undefined,
      };
    },

    async DescribeStream(context, input) {
      const tables = await streamsOf(platform, context);
      await checkReach(tables, context, input.StreamArn);
      const stream = await tables.describe(input.StreamArn);
      if (stream === undefined) throw streamNotFound(input.StreamArn);
      const { shards, last } = shardPage(stream, input);
      return {
        StreamDescription: {
          StreamArn: stream.arn,
          StreamLabel: stream.label,
          StreamStatus: stream.status,
          StreamViewType: stream.viewType,
          CreationRequestDateTime: stream.createdAtMs,
          TableName: stream.tableName,
          KeySchema: stream.keySchema,
          Shards: shards.map((shard) => ({
            ShardId: shard.shardId,
            SequenceNumberRange: {
              StartingSequenceNumber: shard.startingSequenceNumber,
              EndingSequenceNumber: shard.endingSequenceNumber,
            },
            ParentShardId: shard.parentShardId,
          })),
          LastEvaluatedShardId: last,
        },
      };
    },

    async GetShardIterator(context, input) {
      const tables = await streamsOf(platform, context);
      const { StreamArn: streamArn, ShardId: shardId } = input;
      await checkReach(tables, context, streamArn);
      const position = await tables.locate(streamArn, shardId, placeOf(input));
      return { ShardIterator: iteratorText({ streamArn, shardId, position, issuedAtMs: clock.now() }) };
    },

    async GetRecords(context, input) {
      const tables = await streamsOf(platform, context);
      const most = limitOf(input.Limit, streamLimits.recordsPerRead.value);
      const iterator = parseIterator(input.ShardIterator, clock.now());
      const { streamArn, shardId, position } = iterator;
      await checkReach(tables, context, streamArn);
      const { records, next, viewType } = await tables.read(streamArn, shardId, position, {
        records: most,
        bytes: streamLimits.bytesPerRead.value,
      });
      const { region } = context;
      return {
        Records: records.map((record) => wireRecord(record, region, viewType)),
        NextShardIterator:
          next === undefined ? undefined : iteratorText({ ...iterator, position: next, issuedAtMs: clock.now() }),
      };
    },
  };
}

/** Another account's stream is reached by the policy that stands on it, which has been judged where policies are enforced. */
async function checkReach(tables: TableStreams, { account, region }: Caller, streamArn: string): Promise<void> {
  const owner = checkStreamArn(streamArn);
  if (owner.region !== region) throw streamNotFound(streamArn);
  if (owner.account !== account && (await tables.policyOf(streamArn)) === undefined) throw streamNotFound(streamArn);
}

function wireRecord(record: TableStreamRecord, awsRegion: string, viewType: StreamViewType): WireRecord {
  return {
    eventID: record.eventId,
    eventName: record.eventName,
    eventVersion: '1.1',
    eventSource: 'aws:dynamodb',
    awsRegion,
    dynamodb: {
      // AWS gives whole seconds.
      ApproximateCreationDateTime: Math.floor(record.createdAtMs / 1000) * 1000,
      Keys: record.keys,
      NewImage: record.newImage,
      OldImage: record.oldImage,
      SequenceNumber: record.sequenceNumber,
      SizeBytes: record.sizeBytes,
      StreamViewType: viewType,
    },
    userIdentity: record.isExpiry ? { PrincipalId: 'dynamodb.amazonaws.com', Type: 'Service' } : undefined,
  };
}

/** The tables' service fills the contract when it is loaded; a call to it loads it, or answers that this cloud does not run it. */
async function streamsOf({ streams, bus }: Platform, caller: Caller): Promise<TableStreams> {
  if (streams.tables === undefined) await bus.callByName(caller, 'dynamodb', 'DescribeEndpoints', {});
  return streams.tables!;
}
