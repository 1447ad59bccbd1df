import type { Handlers } from '../../../platform/service.ts';
import type { FilterLogEventsRequest, GetLogEventsRequest } from '../../../wire/types/logs.ts';
import {
  type Environment,
  groupNameOf,
  invalidParameter,
  loadGroup,
  loadStream,
  noStream,
  transact,
} from '../environment.ts';
import { dayMs, limits } from '../limits.ts';
import { eventsBefore, groupEvents, type PlacedEvent, streamEvents, type Window } from '../reader.ts';
import { acceptBatch, chunksOf } from '../rules/batch.ts';
import { compileFilterPattern } from '../rules/filter-pattern.ts';
import {
  behind,
  groupToken,
  type Position,
  parseGroupToken,
  parseStreamToken,
  streamToken,
} from '../rules/position.ts';
import {
  type Chunk,
  type GroupRecord,
  keys,
  namesFrom,
  type StreamRecord,
  storedBytes,
  storedOf,
  write,
} from '../state.ts';
import { sequenceToken } from './streams.ts';

/** A page of FilterLogEvents reads so many chunks at most, then answers what it has and a token. */
const chunksPerPage = 1_000;
/** With more streams than this the group is read as a whole and others' events are passed over. */
const mergedStreams = 20;

export function eventOperations({ store, clock }: Environment) {
  return {
    PutLogEvents: (context, input) =>
      transact(store, async () => {
        const group = await loadGroup(store, context, input.logGroupName);
        const stream = await loadStream(store, group.value.id, input.logStreamName);
        const nowMs = clock.now();
        const { events, bytes, rejected } = acceptBatch(input.logEvents, nowMs, group.value.retentionDays);
        const info = rejected === undefined ? {} : { rejectedLogEventsInfo: rejected };
        const first = events[0];
        if (first === undefined) return { answer: { nextSequenceToken: sequenceToken(stream.value), ...info } };
        const { id: groupId } = group.value;
        const { id: streamId, name, next, firstMs = first.timestamp, lastMs } = stream.value;
        let number = next;
        const set: ReturnType<typeof write>[] = [];
        for (const chunk of chunksOf(events)) {
          const ref = { firstMs: chunk[0]![0], streamId, number: number++ };
          const value: Chunk = { stream: name, ingestedMs: nowMs, events: chunk };
          set.push(write(keys.chunk(groupId, ref), value));
          set.push({ key: keys.of(groupId, ref), value: Buffer.from(String(chunk.at(-1)![0]), 'latin1') });
        }
        const newestMs = Math.max(lastMs ?? 0, events.at(-1)!.timestamp);
        const changed: StreamRecord = {
          ...stream.value,
          firstMs: Math.min(firstMs, first.timestamp),
          lastMs: newestMs,
          ingestedMs: nowMs,
          next: number,
        };
        set.push(write(stream.key, changed));
        const moved = newestMs !== (lastMs ?? 0);
        if (moved) set.push({ key: keys.last(groupId, newestMs, name), value: Buffer.alloc(0) });
        return {
          answer: { nextSequenceToken: sequenceToken(changed), ...info },
          commit: {
            checks: [
              { key: group.key, version: group.version },
              { key: stream.key, version: stream.version },
            ],
            set,
            ...(moved ? { delete: [keys.last(groupId, lastMs ?? 0, name)] } : {}),
            sum: [{ key: keys.stored(groupId), delta: bytes }],
          },
        };
      }),

    GetLogEvents: async (context, input) => {
      const group = (await loadGroup(store, context, groupNameOf(context, input))).value;
      const stream = (await loadStream(store, group.id, input.logStreamName)).value;
      const token = input.nextToken === undefined ? undefined : parseStreamToken(input.nextToken, stream.id);
      if (input.nextToken !== undefined && token === undefined)
        throw invalidParameter('The specified nextToken is invalid.');
      const window = windowOf(input, group);
      const limit = input.limit ?? limits.pageEvents.value;
      const forward = token === undefined ? input.startFromHead === true : token.direction === 'f';
      const events = forward
        ? await take(streamEvents(store, group.id, [stream.id], window, token?.position), limit)
        : lastBytes(await eventsBefore(store, group.id, stream.id, window, token?.position, limit));
      return {
        events: events.map(({ position, message, ingestedMs }) => ({
          timestamp: position.timeMs,
          message,
          ingestionTime: ingestedMs,
        })),
        ...tokensOf(events, token?.position),
      };
    },

    FilterLogEvents: async (context, input) => {
      const group = (await loadGroup(store, context, groupNameOf(context, input))).value;
      const fits = compileFilterPattern(input.filterPattern ?? '');
      const from = input.nextToken === undefined ? undefined : parseGroupToken(input.nextToken);
      if (input.nextToken !== undefined && from === undefined)
        throw invalidParameter('The specified nextToken is invalid.');
      const streams = await wantedStreams(group.id, input);
      const limit = input.limit ?? limits.pageEvents.value;
      let chunks = 0;
      const onChunk = (): void => void chunks++;
      const window = windowOf(input, group);
      const few = streams !== undefined && streams.size <= mergedStreams;
      const source = few
        ? streamEvents(store, group.id, [...streams.keys()], window, from, onChunk)
        : groupEvents(store, group.id, window, from, onChunk);
      const alive = new Map<string, boolean>();
      const found: PlacedEvent[] = [];
      let bytes = 0;
      let nextToken: string | undefined;
      for await (const event of source) {
        const { streamId } = event.position;
        if (found.length >= limit || bytes >= limits.pageBytes.value || chunks > chunksPerPage) {
          nextToken = groupToken(event.position);
          break;
        }
        if (streams === undefined ? !(await isAlive(alive, group.id, event)) : !streams.has(streamId)) continue;
        if (!fits(event.message)) continue;
        found.push(event);
        bytes += storedBytes(event.message);
      }
      return {
        events: found.map(({ position, stream, message, ingestedMs }) => ({
          logStreamName: stream,
          timestamp: position.timeMs,
          message,
          ingestionTime: ingestedMs,
          eventId: eventId(position),
        })),
        searchedLogStreams: [],
        ...(nextToken === undefined ? {} : { nextToken }),
      };
    },
  } satisfies Handlers<'logs'>;

  /** From start (inclusive) to end (inclusive for a filter, exclusive for a stream), and nothing that retention has ended. */
  function windowOf(input: GetLogEventsRequest | FilterLogEventsRequest, { retentionDays }: GroupRecord): Window {
    const cutMs = retentionDays === undefined ? 0 : clock.now() - retentionDays * dayMs;
    const ofStream = 'logStreamName' in input;
    const end = input.endTime;
    const untilMs = end === undefined ? Number.MAX_SAFE_INTEGER : ofStream ? end : end + 1;
    return { fromMs: Math.max(input.startTime ?? 0, cutMs), untilMs };
  }

  /** Ids of the streams that a request names; undefined: all. */
  async function wantedStreams(
    groupId: string,
    input: FilterLogEventsRequest,
  ): Promise<ReadonlyMap<string, string> | undefined> {
    const { logStreamNames: names, logStreamNamePrefix: prefix } = input;
    if (names !== undefined && prefix !== undefined)
      throw invalidParameter('logStreamNames and logStreamNamePrefix are mutually exclusive parameters.');
    if (names !== undefined) {
      const found = await store.getMany(names.map((name) => keys.stream(groupId, name)));
      if (found.some((entry) => entry === undefined)) throw noStream();
      const records = found.map((entry) => storedOf<StreamRecord>(entry!).value);
      return new Map(records.map(({ id, name }) => [id, name]));
    }
    if (prefix === undefined) return undefined;
    const entries = await store.list(namesFrom(keys.streams(groupId), (name) => keys.stream(groupId, name), prefix));
    return new Map(entries.map((entry) => storedOf<StreamRecord>(entry).value).map(({ id, name }) => [id, name]));
  }

  /** Events of a deleted stream may still lie there for a moment. */
  async function isAlive(known: Map<string, boolean>, groupId: string, event: PlacedEvent): Promise<boolean> {
    const { streamId } = event.position;
    let alive = known.get(streamId);
    if (alive === undefined) {
      const entry = await store.get(keys.stream(groupId, event.stream));
      alive = entry !== undefined && storedOf<StreamRecord>(entry).value.id === streamId;
      known.set(streamId, alive);
    }
    return alive;
  }
}

async function take(source: AsyncIterable<PlacedEvent>, limit: number): Promise<PlacedEvent[]> {
  const events: PlacedEvent[] = [];
  let bytes = 0;
  for await (const event of source) {
    bytes += storedBytes(event.message);
    // A page has one event at least, however large.
    if (events.length > 0 && bytes > limits.pageBytes.value) break;
    events.push(event);
    if (events.length === limit) break;
  }
  return events;
}

/** The last events that fit into a page. */
function lastBytes(events: PlacedEvent[]): PlacedEvent[] {
  let bytes = 0;
  for (let index = events.length - 1; index >= 0; index--) {
    bytes += storedBytes(events[index]!.message);
    if (bytes > limits.pageBytes.value && index < events.length - 1) return events.slice(index + 1);
  }
  return events;
}

/** At an end a client gets the token back that it came with. */
function tokensOf(events: readonly PlacedEvent[], at: Position | undefined) {
  const beginning = { timeMs: 0, number: 0, index: 0 };
  const first = events[0]?.position ?? at ?? beginning;
  const last = events.at(-1);
  const end = last === undefined ? (at ?? beginning) : behind(last.position);
  return { nextForwardToken: streamToken('f', end), nextBackwardToken: streamToken('b', first) };
}

/** 56 digits in the order of events, unique in a group but for two streams' events at the same place. */
function eventId({ timeMs, streamId, number, index }: Position): string {
  const stream = String(Number.parseInt(streamId.slice(0, 12), 16) % 1e14).padStart(14, '0');
  return String(timeMs).padStart(14, '3') + stream + String(number).padStart(16, '0') + String(index).padStart(12, '0');
}
