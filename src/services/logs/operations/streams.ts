import { scheduleJob } from '../../../kernel/agenda/agenda.ts';
import type { KeyRange } from '../../../kernel/store/contract.ts';
import { decodeKey, nextKey } from '../../../kernel/store/keys.ts';
import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { LogStream } from '../../../wire/types/logs.ts';
import {
  type Environment,
  groupArn,
  groupNameOf,
  invalidParameter,
  loadGroup,
  loadStream,
  transact,
} from '../environment.ts';
import { keys, namesFrom, type Place, type StreamRecord, storedOf, write } from '../state.ts';
import { purgeStreamJob } from '../work.ts';

const defaultPage = 50;

export function streamOperations({ store, clock, random }: Environment) {
  return {
    CreateLogStream: (context, { logGroupName, logStreamName }) =>
      transact(store, async () => {
        const group = await loadGroup(store, context, logGroupName);
        const key = keys.stream(group.value.id, logStreamName);
        if ((await store.get(key)) !== undefined)
          throw new AwsError('ResourceAlreadyExistsException', 'The specified log stream already exists');
        const stream: StreamRecord = { id: random.hex(12), name: logStreamName, createdMs: clock.now(), next: 1 };
        return {
          answer: undefined,
          commit: {
            checks: [
              { key, version: null },
              { key: group.key, version: group.version },
            ],
            set: [write(key, stream), { key: keys.last(group.value.id, 0, logStreamName), value: Buffer.alloc(0) }],
          },
        };
      }),

    DeleteLogStream: (context, { logGroupName, logStreamName }) =>
      transact(store, async () => {
        const group = await loadGroup(store, context, logGroupName);
        const { key, version, value } = await loadStream(store, group.value.id, logStreamName);
        const purge = Buffer.from(JSON.stringify({ groupId: group.value.id, streamId: value.id }), 'utf8');
        return {
          answer: undefined,
          commit: {
            checks: [{ key, version }],
            delete: [key, keys.last(group.value.id, value.lastMs ?? 0, value.name)],
            schedule: [scheduleJob(purgeStreamJob, value.id, clock.now(), purge)],
          },
        };
      }),

    DescribeLogStreams: async (context, input) => {
      const byTime = input.orderBy === 'LastEventTime';
      if (byTime && input.logStreamNamePrefix !== undefined)
        throw invalidParameter('Cannot order by LastEventTime with a logStreamNamePrefix.');
      const groupName = groupNameOf(context, input);
      const { id } = (await loadGroup(store, context, groupName)).value;
      const limit = input.limit ?? defaultPage;
      const whole = byTime
        ? keys.lasts(id)
        : namesFrom(keys.streams(id), (name) => keys.stream(id, name), input.logStreamNamePrefix ?? '');
      const reverse = input.descending === true;
      const range = input.nextToken === undefined ? whole : rangeAfter(whole, input.nextToken, reverse);
      const entries = await store.list(range, { limit: limit + 1, reverse });
      const page = entries.slice(0, limit);
      const found = byTime
        ? await store.getMany(page.map(({ key }) => keys.stream(id, String(decodeKey(key)[4]))))
        : page;
      const streams = found.flatMap((entry) => (entry === undefined ? [] : [storedOf<StreamRecord>(entry).value]));
      return {
        logStreams: streams.map((stream) => streamShape(context, groupName, stream)),
        ...(entries.length > limit ? { nextToken: page.at(-1)!.key.toString('base64url') } : {}),
      };
    },
  } satisfies Handlers<'logs'>;
}

/** The token is the last key of the page before. */
function rangeAfter({ start, end }: KeyRange, token: string, reverse: boolean): KeyRange {
  const key = Buffer.from(token, 'base64url');
  if (key.compare(start) < 0 || key.compare(end) >= 0) throw invalidParameter('The specified nextToken is invalid.');
  return reverse ? { start, end: key } : { start: nextKey(key), end };
}

function streamShape(place: Place, group: string, stream: StreamRecord): LogStream {
  const { firstMs, lastMs, ingestedMs } = stream;
  return {
    logStreamName: stream.name,
    creationTime: stream.createdMs,
    ...(firstMs === undefined ? {} : { firstEventTimestamp: firstMs }),
    ...(lastMs === undefined ? {} : { lastEventTimestamp: lastMs }),
    ...(ingestedMs === undefined ? {} : { lastIngestionTime: ingestedMs, uploadSequenceToken: sequenceToken(stream) }),
    arn: `${groupArn(place, group)}:log-stream:${stream.name}`,
    // Since 2019 always zero: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_LogStream.html
    storedBytes: 0,
  };
}

/** Still answered and, since 2023, never looked at. */
export function sequenceToken({ next }: StreamRecord): string {
  return `49${String(next).padStart(54, '0')}`;
}
