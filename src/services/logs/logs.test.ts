import {
  CloudWatchLogsClient,
  CreateLogGroupCommand,
  CreateLogStreamCommand,
  DeleteLogGroupCommand,
  DeleteLogStreamCommand,
  DeleteRetentionPolicyCommand,
  DescribeLogGroupsCommand,
  DescribeLogStreamsCommand,
  FilterLogEventsCommand,
  GetLogEventsCommand,
  ListTagsForResourceCommand,
  type OutputLogEvent,
  PutLogEventsCommand,
  PutRetentionPolicyCommand,
  StartQueryCommand,
  TagResourceCommand,
  UntagResourceCommand,
} from '@aws-sdk/client-cloudwatch-logs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';

let cloud: TestCloud;
let client: CloudWatchLogsClient;
let count = 0;

const day = 86_400_000;

beforeAll(async () => {
  cloud = await startTestCloud({ clock: 'virtual', services: ['logs'] });
  client = new CloudWatchLogsClient(cloud.clientConfig);
});

afterAll(async () => {
  client.destroy();
  await cloud.close();
});

async function newGroup(...streams: string[]): Promise<string> {
  const logGroupName = `/test/group-${++count}`;
  await client.send(new CreateLogGroupCommand({ logGroupName }));
  for (const logStreamName of streams) await client.send(new CreateLogStreamCommand({ logGroupName, logStreamName }));
  return logGroupName;
}

function put(logGroupName: string, logStreamName: string, ...logEvents: [number, string][]) {
  const events = logEvents.map(([timestamp, message]) => ({ timestamp, message }));
  return client.send(new PutLogEventsCommand({ logGroupName, logStreamName, logEvents: events }));
}

const messages = (events: OutputLogEvent[] | undefined) => (events ?? []).map(({ message }) => message);

describe('groups and streams', () => {
  test('are made once, described by prefix and page, and deleted', async () => {
    const names = ['/paged/a', '/paged/b', '/paged/c', '/paging'];
    for (const logGroupName of names) await client.send(new CreateLogGroupCommand({ logGroupName }));
    await expect(client.send(new CreateLogGroupCommand({ logGroupName: names[0]! }))).rejects.toMatchObject({
      name: 'ResourceAlreadyExistsException',
      message: 'The specified log group already exists',
    });
    const first = await client.send(new DescribeLogGroupsCommand({ logGroupNamePrefix: '/paged/', limit: 2 }));
    expect(first.logGroups?.map((group) => group.logGroupName)).toEqual(['/paged/a', '/paged/b']);
    const rest = await client.send(
      new DescribeLogGroupsCommand({ logGroupNamePrefix: '/paged/', limit: 2, nextToken: first.nextToken }),
    );
    expect(rest.logGroups?.map((group) => group.logGroupName)).toEqual(['/paged/c']);
    expect(rest.nextToken).toBeUndefined();
    expect(first.logGroups?.[0]).toEqual({
      logGroupName: '/paged/a',
      creationTime: expect.any(Number),
      metricFilterCount: 0,
      arn: 'arn:aws:logs:us-east-1:000000000000:log-group:/paged/a:*',
      logGroupArn: 'arn:aws:logs:us-east-1:000000000000:log-group:/paged/a',
      storedBytes: 0,
      logGroupClass: 'STANDARD',
      deletionProtectionEnabled: false,
    });
    const byPattern = await client.send(new DescribeLogGroupsCommand({ logGroupNamePattern: 'aging' }));
    expect(byPattern.logGroups?.map((group) => group.logGroupName)).toEqual(['/paging']);
    await client.send(new DeleteLogGroupCommand({ logGroupName: '/paged/a' }));
    await expect(client.send(new DeleteLogGroupCommand({ logGroupName: '/paged/a' }))).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
      message: 'The specified log group does not exist.',
    });
  });

  test('streams are in order of names or of last events, both ways, by page', async () => {
    const group = await newGroup('a', 'b', 'c', 'd');
    const now = cloud.clock.now();
    await put(group, 'a', [now - 1000, 'x']);
    await put(group, 'c', [now - 3000, 'x']);
    await put(group, 'b', [now - 2000, 'x']);
    const names = async (options: object): Promise<(string | undefined)[]> => {
      const found: (string | undefined)[] = [];
      let nextToken: string | undefined;
      do {
        const page = await client.send(
          new DescribeLogStreamsCommand({ logGroupName: group, limit: 2, nextToken, ...options }),
        );
        found.push(...(page.logStreams ?? []).map((stream) => stream.logStreamName));
        nextToken = page.nextToken;
      } while (nextToken !== undefined);
      return found;
    };
    expect(await names({})).toEqual(['a', 'b', 'c', 'd']);
    expect(await names({ descending: true })).toEqual(['d', 'c', 'b', 'a']);
    expect(await names({ orderBy: 'LastEventTime', descending: true })).toEqual(['a', 'b', 'c', 'd']);
    await put(group, 'c', [now, 'y']);
    expect(await names({ orderBy: 'LastEventTime', descending: true })).toEqual(['c', 'a', 'b', 'd']);
    expect(await names({ logStreamNamePrefix: 'b' })).toEqual(['b']);
    const { logStreams } = await client.send(
      new DescribeLogStreamsCommand({ logGroupIdentifier: `arn:aws:logs:us-east-1:000000000000:log-group:${group}` }),
    );
    expect(logStreams?.[2]).toMatchObject({ firstEventTimestamp: now - 3000, lastEventTimestamp: now, storedBytes: 0 });
    await expect(names({ orderBy: 'LastEventTime', logStreamNamePrefix: 'a' })).rejects.toMatchObject({
      name: 'InvalidParameterException',
    });
  });

  test('tags are added and taken', async () => {
    const group = await newGroup();
    const resourceArn = `arn:aws:logs:us-east-1:000000000000:log-group:${group}`;
    await client.send(new TagResourceCommand({ resourceArn, tags: { one: '1', two: '2' } }));
    await client.send(new UntagResourceCommand({ resourceArn, tagKeys: ['one'] }));
    const { tags } = await client.send(new ListTagsForResourceCommand({ resourceArn }));
    expect(tags).toEqual({ two: '2' });
  });

  test('a name that was deleted begins anew', async () => {
    const group = await newGroup('s');
    await put(group, 's', [cloud.clock.now(), 'old']);
    await client.send(new DeleteLogStreamCommand({ logGroupName: group, logStreamName: 's' }));
    expect((await client.send(new FilterLogEventsCommand({ logGroupName: group }))).events).toEqual([]);
    await client.send(new CreateLogStreamCommand({ logGroupName: group, logStreamName: 's' }));
    expect((await client.send(new GetLogEventsCommand({ logGroupName: group, logStreamName: 's' }))).events).toEqual(
      [],
    );
    await cloud.clock.advance(1000);
    const [{ storedBytes } = {}] =
      (await client.send(new DescribeLogGroupsCommand({ logGroupNamePrefix: group }))).logGroups ?? [];
    expect(storedBytes).toBe(0);
  });

  test('what is not built says so', async () => {
    await expect(
      client.send(new StartQueryCommand({ logGroupName: 'x', queryString: 'x', startTime: 0, endTime: 1 })),
    ).rejects.toMatchObject({ name: 'NotImplemented' });
  });
});

describe('PutLogEvents', () => {
  test('takes what is in time and says what is not', async () => {
    const group = await newGroup('s');
    const now = cloud.clock.now();
    const answer = await put(group, 's', [now - 15 * day, 'old']);
    expect(answer.rejectedLogEventsInfo).toEqual({ tooOldLogEventEndIndex: 1 });
    const mixed = await put(group, 's', [now, 'good'], [now + 3 * 3_600_000, 'new']);
    expect(mixed.rejectedLogEventsInfo).toEqual({ tooNewLogEventStartIndex: 1 });
    expect(mixed.nextSequenceToken).toMatch(/^\d{56}$/);
    const { events } = await client.send(new GetLogEventsCommand({ logGroupName: group, logStreamName: 's' }));
    expect(messages(events)).toEqual(['good']);
  });

  test.each([
    [
      'order',
      [
        [2000, 'b'],
        [1000, 'a'],
      ],
      'Log events in a single PutLogEvents request must be in chronological order.',
    ],
    [
      'span',
      [
        [0, 'a'],
        [day + 1, 'b'],
      ],
      'The batch of log events in a single PutLogEvents request cannot span more than 24 hours.',
    ],
    ['size of an event', [[0, 'x'.repeat(1_048_551)]], 'Log event too large: 1048577 bytes exceeds limit of 1048576'],
    [
      'size of a batch',
      [
        [0, 'x'.repeat(600_000)],
        [0, 'x'.repeat(600_000)],
      ],
      'Upload too large: 1200052 bytes exceeds limit of 1048576',
    ],
  ] as [string, [number, string][], string][])('refuses by %s', async (_name, events, message) => {
    const group = await newGroup('s');
    const start = cloud.clock.now() - 2 * day;
    const placed = events.map(([offset, text]): [number, string] => [start + offset, text]);
    await expect(put(group, 's', ...placed)).rejects.toMatchObject({ name: 'InvalidParameterException', message });
  });

  test('refuses an unknown stream', async () => {
    const group = await newGroup();
    await expect(put(group, 'none', [cloud.clock.now(), 'x'])).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
      message: 'The specified log stream does not exist.',
    });
  });

  test('many at once into one stream all arrive', async () => {
    const group = await newGroup('s');
    const now = cloud.clock.now();
    await Promise.all(Array.from({ length: 12 }, (_, index) => put(group, 's', [now + index, `m${index}`])));
    const { events } = await client.send(new GetLogEventsCommand({ logGroupName: group, logStreamName: 's' }));
    expect(messages(events)).toEqual(Array.from({ length: 12 }, (_, index) => `m${index}`));
    const { logGroups } = await client.send(new DescribeLogGroupsCommand({ logGroupNamePrefix: group }));
    expect(logGroups?.[0]?.storedBytes).toBe(12 * 26 + 10 * 2 + 2 * 3);
  });
});

describe('GetLogEvents', () => {
  test('walks forwards and backwards, and gives the same token at the end', async () => {
    const group = await newGroup('s');
    const now = cloud.clock.now();
    // Batches overlap in time, so that chunks interleave.
    for (let batch = 0; batch < 5; batch++)
      await put(
        group,
        's',
        ...Array.from({ length: 10 }, (_, index): [number, string] => [
          now + index * 5 + batch,
          `${index * 5 + batch}`,
        ]),
      );
    const all = Array.from({ length: 50 }, (_, index) => String(index));
    const get = (options: object) =>
      client.send(new GetLogEventsCommand({ logGroupName: group, logStreamName: 's', ...options }));
    const tail = await get({ limit: 7 });
    expect(messages(tail.events)).toEqual(all.slice(-7));
    const before = await get({ limit: 7, nextToken: tail.nextBackwardToken });
    expect(messages(before.events)).toEqual(all.slice(-14, -7));
    const again = await get({ limit: 7, nextToken: before.nextForwardToken, startFromHead: true });
    expect(messages(again.events)).toEqual(all.slice(-7));

    const seen: (string | undefined)[] = [];
    let page = await get({ limit: 8, startFromHead: true });
    for (;;) {
      seen.push(...messages(page.events));
      const token = page.nextForwardToken;
      page = await get({ limit: 8, startFromHead: true, nextToken: token });
      if (page.nextForwardToken === token) break;
    }
    expect(seen).toEqual(all);
    expect(page.events).toEqual([]);
    await put(group, 's', [now + 100, 'later']);
    expect(messages((await get({ nextToken: page.nextForwardToken, startFromHead: true })).events)).toEqual(['later']);

    const range = await get({ startTime: now + 10, endTime: now + 13 });
    expect(messages(range.events)).toEqual(['10', '11', '12']);
    await expect(get({ nextToken: 'invalid-token' })).rejects.toMatchObject({
      name: 'InvalidParameterException',
      message: 'The specified nextToken is invalid.',
    });
  });

  test('a page holds at most a megabyte, with the newest in the tail', async () => {
    const group = await newGroup('s');
    const now = cloud.clock.now();
    for (let index = 0; index < 4; index++) await put(group, 's', [now + index, `${index}`.repeat(400_000)]);
    const { events } = await client.send(new GetLogEventsCommand({ logGroupName: group, logStreamName: 's' }));
    expect(events?.map(({ message }) => message?.[0])).toEqual(['2', '3']);
    const head = await client.send(
      new GetLogEventsCommand({ logGroupName: group, logStreamName: 's', startFromHead: true }),
    );
    expect(head.events?.map(({ message }) => message?.[0])).toEqual(['0', '1']);
  });
});

describe('FilterLogEvents', () => {
  test('interleaves streams in time order, by pattern, stream and page', async () => {
    const group = await newGroup('a/1', 'a/2', 'b/1');
    const now = cloud.clock.now();
    for (let round = 0; round < 4; round++)
      for (const [offset, stream] of ['b/1', 'a/2', 'a/1'].entries())
        await put(group, stream, [
          now + round * 90_000 + offset * 20_000,
          `${stream} ${round} ${round % 2 ? 'odd' : 'even'}`,
        ]);
    const filter = async (options: object): Promise<(string | undefined)[]> => {
      const found: (string | undefined)[] = [];
      let nextToken: string | undefined;
      do {
        const page = await client.send(
          new FilterLogEventsCommand({ logGroupName: group, limit: 3, nextToken, ...options }),
        );
        found.push(...(page.events ?? []).map(({ message }) => message));
        nextToken = page.nextToken;
      } while (nextToken !== undefined);
      return found;
    };
    const all = [0, 1, 2, 3].flatMap((round) =>
      ['b/1', 'a/2', 'a/1'].map((stream) => `${stream} ${round} ${round % 2 ? 'odd' : 'even'}`),
    );
    expect(await filter({})).toEqual(all);
    expect(await filter({ logStreamNames: ['a/1', 'b/1'] })).toEqual(all.filter((text) => !text.startsWith('a/2')));
    expect(await filter({ logStreamNamePrefix: 'a/' })).toEqual(all.filter((text) => text.startsWith('a/')));
    expect(await filter({ filterPattern: 'odd' })).toEqual(all.filter((text) => text.endsWith('odd')));
    expect(await filter({ startTime: now + 90_000, endTime: now + 110_000 })).toEqual(['b/1 1 odd', 'a/2 1 odd']);
    await expect(filter({ nextToken: 'invalid-token' })).rejects.toMatchObject({
      message: 'The specified nextToken is invalid.',
    });
    await expect(filter({ logStreamNames: ['none'] })).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
    const { events } = await client.send(new FilterLogEventsCommand({ logGroupName: group }));
    const ids = events?.map(({ eventId }) => eventId) ?? [];
    expect(new Set(ids).size).toBe(all.length);
    expect(ids.every((id) => /^\d{56}$/.test(id ?? ''))).toBe(true);
  });
});

describe('retention', () => {
  test('hides what is over, removes it later, and can be lifted', async () => {
    const group = await newGroup('s');
    const start = cloud.clock.now();
    await put(group, 's', [start - 12 * 3_600_000, 'first']);
    await expect(
      client.send(new PutRetentionPolicyCommand({ logGroupName: group, retentionInDays: 2 })),
    ).rejects.toMatchObject({ name: 'InvalidParameterException' });
    await client.send(new PutRetentionPolicyCommand({ logGroupName: group, retentionInDays: 1 }));
    await put(group, 's', [start, 'second']);
    const get = async () => {
      const found = await client.send(new FilterLogEventsCommand({ logGroupName: group }));
      return (found.events ?? []).map(({ message }) => message);
    };
    expect(await get()).toEqual(['first', 'second']);
    await cloud.clock.advance(12 * 3_600_000 + 1);
    expect(await get()).toEqual(['second']);
    await cloud.clock.advance(2 * 3_600_000);
    const { logGroups } = await client.send(new DescribeLogGroupsCommand({ logGroupNamePrefix: group }));
    expect(logGroups?.[0]).toMatchObject({ retentionInDays: 1, storedBytes: 26 + 'second'.length });
    const expired = await put(
      group,
      's',
      [cloud.clock.now() - 26 * 3_600_000, 'x'],
      [cloud.clock.now() - 13 * 3_600_000, 'third'],
    );
    expect(expired.rejectedLogEventsInfo).toMatchObject({ expiredLogEventEndIndex: 1 });
    await client.send(new DeleteRetentionPolicyCommand({ logGroupName: group }));
    await cloud.clock.advance(5 * day);
    expect(await get()).toEqual(['second', 'third']);
  });
});
