import { AwsError } from '../../../wire/errors.ts';
import type { InputLogEvent, RejectedLogEventsInfo } from '../../../wire/types/logs.ts';
import { dayMs, limits } from '../limits.ts';
import { chunkBytes, chunkSpanMs } from '../state.ts';

/** What PutLogEvents takes of a batch, and what it refuses by saying where it begins or ends. */
export interface AcceptedBatch {
  readonly events: readonly InputLogEvent[];
  readonly bytes: number;
  readonly rejected?: RejectedLogEventsInfo;
}

/**
 * https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html; the words are from answers that
 * public issues quote (maxbanton/cwh #101, aws-greengrass-log-manager #59) and LocalStack's recordings.
 */
export function acceptBatch(
  events: readonly InputLogEvent[],
  nowMs: number,
  retentionDays: number | undefined,
): AcceptedBatch {
  let bytes = 0;
  let previousMs = 0;
  for (const { timestamp, message } of events) {
    const size = Buffer.byteLength(message, 'utf8') + limits.eventOverhead.value;
    if (size > limits.eventBytes.value)
      throw refused(`Log event too large: ${size} bytes exceeds limit of ${limits.eventBytes.value}`);
    if (timestamp < previousMs)
      throw refused('Log events in a single PutLogEvents request must be in chronological order.');
    previousMs = timestamp;
    bytes += size;
  }
  if (bytes > limits.batchBytes.value)
    throw refused(`Upload too large: ${bytes} bytes exceeds limit of ${limits.batchBytes.value}`);
  const first = events[0];
  if (first !== undefined && previousMs - first.timestamp > limits.batchSpan.value)
    throw refused('The batch of log events in a single PutLogEvents request cannot span more than 24 hours.');

  // The ends are exclusive, the start is inclusive.
  const oldEnd = endOf(events, nowMs - limits.pastMs.value);
  const expiredEnd = retentionDays === undefined ? 0 : endOf(events, nowMs - retentionDays * dayMs);
  const newStart = endOf(events, nowMs + limits.futureMs.value + 1);
  const accepted = events.slice(Math.max(oldEnd, expiredEnd), newStart);
  if (accepted.length === events.length) return { events, bytes };
  return {
    events: accepted,
    bytes: accepted.reduce(
      (sum, { message }) => sum + Buffer.byteLength(message, 'utf8') + limits.eventOverhead.value,
      0,
    ),
    rejected: {
      ...(newStart < events.length ? { tooNewLogEventStartIndex: newStart } : {}),
      ...(oldEnd > 0 ? { tooOldLogEventEndIndex: oldEnd } : {}),
      ...(expiredEnd > oldEnd ? { expiredLogEventEndIndex: expiredEnd } : {}),
    },
  };
}

/** Cuts a batch where a chunk would span too much time or grow too large. */
export function* chunksOf(events: readonly InputLogEvent[]): Iterable<readonly (readonly [number, string])[]> {
  let chunk: [number, string][] = [];
  let bytes = 0;
  for (const { timestamp, message } of events) {
    const full = bytes + message.length > chunkBytes;
    if (chunk.length > 0 && (full || timestamp - chunk[0]![0] >= chunkSpanMs)) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push([timestamp, message]);
    bytes += message.length + limits.eventOverhead.value;
  }
  if (chunk.length > 0) yield chunk;
}

/** How many events are before a time; they are in order. */
function endOf(events: readonly InputLogEvent[], beforeMs: number): number {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (events[middle]!.timestamp < beforeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

function refused(message: string): AwsError {
  return new AwsError('InvalidParameterException', message);
}
