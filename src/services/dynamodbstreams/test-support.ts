import {
  DescribeStreamCommand,
  type DynamoDBStreamsClient,
  GetRecordsCommand,
  GetShardIteratorCommand,
  type _Record as Record,
  type Shard,
} from '@aws-sdk/client-dynamodb-streams';

/** Every shard of a stream, page by page. */
export async function shardsOf(client: DynamoDBStreamsClient, StreamArn: string): Promise<readonly Shard[]> {
  const shards: Shard[] = [];
  for (let after: string | undefined; ; ) {
    const { StreamDescription: page } = await client.send(
      new DescribeStreamCommand({ StreamArn, ...(after === undefined ? {} : { ExclusiveStartShardId: after }) }),
    );
    shards.push(...(page?.Shards ?? []));
    after = page?.LastEvaluatedShardId;
    if (after === undefined) return shards;
  }
}

/** The records of a shard that are there now, from the oldest. */
export async function recordsOfShard(
  client: DynamoDBStreamsClient,
  StreamArn: string,
  ShardId: string,
): Promise<readonly Record[]> {
  const { ShardIterator } = await client.send(
    new GetShardIteratorCommand({ StreamArn, ShardId, ShardIteratorType: 'TRIM_HORIZON' }),
  );
  const records: Record[] = [];
  for (let iterator: string | undefined = ShardIterator; iterator !== undefined; ) {
    const page: { Records?: Record[] | undefined; NextShardIterator?: string | undefined } = await client.send(
      new GetRecordsCommand({ ShardIterator: iterator }),
    );
    if (page.Records?.length === 0) break;
    records.push(...(page.Records ?? []));
    iterator = page.NextShardIterator;
  }
  return records;
}

/** All records of a stream, shard after shard. */
export async function recordsOf(client: DynamoDBStreamsClient, streamArn: string): Promise<readonly Record[]> {
  const found: Record[] = [];
  for (const { ShardId } of await shardsOf(client, streamArn))
    found.push(...(await recordsOfShard(client, streamArn, ShardId!)));
  return found;
}
