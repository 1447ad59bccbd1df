import type { LogEntry } from '../../kernel/store/contract.ts';
import type { Caller } from '../../platform/context.ts';
import type { StreamPosition, StreamReader, StreamRecord } from '../../platform/streams.ts';
import { AwsError } from '../../wire/errors.ts';
import type { Environment } from './environment.ts';
import { decodeChange, timeOfChange } from './rules/change-record.ts';
import type { WireMap } from './rules/item-json.ts';
import { positionOf, sequenceNumberOf, shardIdOf } from './rules/shards.ts';
import { streamLogs } from './state-streams.ts';
import { eventIdOf, findStream, oldestPosition, readShard, type Shard, shardIn, shardsOf } from './streams.ts';

const mostBytes = 10 * 1024 * 1024;

/** What pollers of functions read of tables' streams. */
export function createStreamReader(env: Environment): StreamReader {
  const { store, clock, authorizer } = env.platform;
  const horizonMs = (): number => clock.now() - env.limits.streamRetentionMs;

  const authorize = async (caller: Caller, action: string, streamArn: string): Promise<void> => {
    if (authorizer === undefined) return;
    const policy = (await findStream(env, streamArn))?.policy?.document ?? null;
    const refusal = await authorizer.deny(caller.principal, action, streamArn, undefined, policy);
    if (refusal !== undefined) throw new AwsError('AccessDeniedException', refusal);
  };

  const locate = async (shard: Shard, position: StreamPosition): Promise<number> => {
    switch (position.at) {
      case 'LATEST':
        return store.nextPosition(shard.log);
      case 'TRIM_HORIZON':
        return oldestPosition(store, shard, horizonMs());
      case 'TIMESTAMP':
        return oldestPosition(store, shard, Math.max(position.epochMs, horizonMs()));
      case 'AFTER': {
        const at = positionOf(position.sequenceNumber, shard.generation.openedAtMs, shard.number);
        if (at === undefined)
          throw new AwsError('ValidationException', `Invalid SequenceNumber: ${position.sequenceNumber}`);
        return Math.max(at + 1, shard.first);
      }
    }
  };

  return {
    async shards(streamArn, caller) {
      await authorize(caller, 'dynamodb:DescribeStream', streamArn);
      const stream = await findStream(env, streamArn);
      return (
        stream &&
        shardsOf(stream, horizonMs()).map(({ generation, number, isClosed, parent }) => ({
          shardId: shardIdOf(generation.openedAtMs, number),
          parentShardIds: parent === undefined ? [] : [parent],
          closed: isClosed,
        }))
      );
    },

    async read(streamArn, shardId, position, limit, caller) {
      await authorize(caller, 'dynamodb:GetRecords', streamArn);
      const stream = await findStream(env, streamArn);
      const shard = stream && shardIn(stream, shardId, horizonMs());
      if (shard === undefined)
        throw new AwsError('ResourceNotFoundException', `Requested resource not found: ${streamArn} ${shardId}`);
      const { openedAtMs } = shard.generation;
      const after = (next: number): StreamPosition => ({
        at: 'AFTER',
        sequenceNumber: sequenceNumberOf(openedAtMs, shard.number, next - 1),
      });
      const from = await locate(shard, position);
      if (position.at === 'LATEST') return { records: [], next: after(from), ended: false };
      let found = await readShard(store, shard, from, { records: limit, bytes: mostBytes });
      const [first] = found.entries;
      if (first !== undefined && timeOfChange(first.value) < horizonMs()) {
        const oldest = await oldestPosition(store, shard, horizonMs());
        found = await readShard(store, shard, oldest, { records: limit, bytes: mostBytes });
      }
      const records = found.entries.map((entry) => recordOf(shard, streamArn, entry));
      return { records, next: after(found.next), ended: found.ended };
    },

    watch(streamArn, onMore) {
      let end: (() => void) | undefined;
      let isOver = false;
      // Which logs are the stream's stands in the store; until that is read nothing is missed, for the first hint comes then.
      void findStream(env, streamArn).then(
        (stream) => {
          if (isOver || stream === undefined) return;
          end = store.watch(streamLogs(stream.tableId, stream.label), onMore);
          onMore();
        },
        () => undefined,
      );
      return () => {
        isOver = true;
        end?.();
      };
    },
  };
}

/** As an element of `Records` in a function's event (recorded: test_lambda_integration_dynamodbstreams.snapshot.json of LocalStack). */
function recordOf(
  { stream, generation, number }: Shard,
  streamArn: string,
  { position, value }: LogEntry,
): StreamRecord {
  const { eventName, atMs, sizeBytes, keys, newImage, oldImage, isExpiry } = decodeChange(value);
  const sequenceNumber = sequenceNumberOf(generation.openedAtMs, number, position);
  const keyMap = JSON.parse(keys) as WireMap;
  return {
    sequenceNumber,
    partitionKey: partitionKeyOf(keyMap[stream.keySchema[0]!.AttributeName]!),
    approximateArrivalMs: atMs,
    event: {
      eventID: eventIdOf(streamArn, sequenceNumber),
      eventName,
      eventVersion: '1.1',
      eventSource: 'aws:dynamodb',
      awsRegion: stream.region,
      dynamodb: {
        ApproximateCreationDateTime: Math.floor(atMs / 1000),
        Keys: keyMap,
        ...(newImage === undefined ? {} : { NewImage: JSON.parse(newImage) as WireMap }),
        ...(oldImage === undefined ? {} : { OldImage: JSON.parse(oldImage) as WireMap }),
        SequenceNumber: sequenceNumber,
        SizeBytes: sizeBytes,
        StreamViewType: stream.viewType,
      },
      ...(isExpiry ? { userIdentity: { type: 'Service', principalId: 'dynamodb.amazonaws.com' } } : {}),
    },
  };
}

function partitionKeyOf(value: Readonly<Record<string, unknown>>): string {
  return String(value['S'] ?? value['N'] ?? value['B']);
}
