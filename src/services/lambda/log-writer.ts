import type { Clock, Timer } from '../../kernel/clock/contract.ts';
import { serviceCaller } from '../../platform/context.ts';
import type { Logger } from '../../platform/log.ts';
import type { Bus } from '../../platform/service.ts';
import { isRetriable } from '../../platform/targets.ts';
import { AwsError } from '../../wire/errors.ts';
import type { Place } from './state.ts';

/** One PutLogEvents is not sent sooner than this after the one before: a busy function's lines go in batches. */
const pauseMs = 100;
const mostAttempts = 5;
/** PutLogEvents: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html */
const mostEvents = 10_000;
const mostBytes = 1_048_576;
const bytesPerEvent = 26;
const mostEventBytes = mostBytes - bytesPerEvent;

interface LogEvent {
  readonly timestamp: number;
  readonly message: string;
}

export interface LogWriterOptions {
  readonly clock: Clock;
  readonly bus: Bus;
  readonly log: Logger;
}

/** Where the lines of one environment go. */
export class LogStream {
  readonly place: Place;
  readonly group: string;
  readonly name: string;
  created = false;
  events: LogEvent[] = [];

  constructor(place: Place, group: string, name: string) {
    this.place = place;
    this.group = group;
    this.name = name;
  }
}

/** Sends functions' lines to CloudWatch Logs behind the answers, in batches per stream, as the lambda service. */
export class LogWriter {
  readonly #options: LogWriterOptions;
  #waiting = new Set<LogStream>();
  #flushing: Promise<void> | undefined;
  #timer: Timer | undefined;
  #endBusy: (() => void) | undefined;
  #flushedAtMs = Number.NEGATIVE_INFINITY;
  #refused = false;

  constructor(options: LogWriterOptions) {
    this.#options = options;
  }

  write(stream: LogStream, message: string): void {
    stream.events.push({ timestamp: this.#options.clock.now(), message });
    if (this.#waiting.size === 0 && this.#flushing === undefined) this.#arm();
    this.#waiting.add(stream);
  }

  /** Resolves when everything written so far is stored. */
  async flush(): Promise<void> {
    while (this.#flushing !== undefined || this.#waiting.size > 0) {
      if (this.#flushing === undefined) this.#begin();
      await this.#flushing;
    }
  }

  /** Lines that wait are work: virtual time flows until they are stored. */
  #arm(): void {
    const { clock } = this.#options;
    this.#endBusy ??= clock.busy();
    const soonest = this.#flushedAtMs + pauseMs;
    if (clock.now() >= soonest) setImmediate(() => this.#begin());
    else this.#timer = clock.at(soonest, () => this.#begin());
  }

  #begin(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#flushing !== undefined || this.#waiting.size === 0) return;
    this.#flushing = this.#sendWaiting().finally(() => {
      this.#flushing = undefined;
      this.#flushedAtMs = this.#options.clock.now();
      if (this.#waiting.size > 0) return this.#arm();
      this.#endBusy?.();
      this.#endBusy = undefined;
    });
  }

  async #sendWaiting(): Promise<void> {
    const streams = this.#waiting;
    this.#waiting = new Set();
    await Promise.all([...streams].map((stream) => this.#sendStream(stream)));
  }

  async #sendStream(stream: LogStream): Promise<void> {
    const { events } = stream;
    stream.events = [];
    for (const batch of batches(events)) {
      for (let attempt = 1; ; attempt++) {
        try {
          await this.#put(stream, batch);
          break;
        } catch (error) {
          if (attempt < mostAttempts && error instanceof AwsError && isRetriable(error)) {
            await this.#options.clock.sleep(pauseMs * 2 ** attempt);
            continue;
          }
          this.#report(stream, batch.length, error);
          break;
        }
      }
    }
  }

  async #put(stream: LogStream, logEvents: readonly LogEvent[]): Promise<void> {
    if (!stream.created) await this.#create(stream);
    const { bus } = this.#options;
    const input = { logGroupName: stream.group, logStreamName: stream.name, logEvents };
    const caller = serviceCaller('lambda', stream.place.account, stream.place.region);
    try {
      await bus.call(caller, 'logs', 'PutLogEvents', input);
    } catch (error) {
      // Someone deleted the group or the stream; Lambda makes them anew.
      if (!(error instanceof AwsError) || error.code !== 'ResourceNotFoundException') throw error;
      await this.#create(stream);
      await bus.call(caller, 'logs', 'PutLogEvents', input);
    }
  }

  async #create(stream: LogStream): Promise<void> {
    const { bus } = this.#options;
    const caller = serviceCaller('lambda', stream.place.account, stream.place.region);
    const names = { logGroupName: stream.group, logStreamName: stream.name };
    try {
      await bus.call(caller, 'logs', 'CreateLogStream', names).catch(unlessExists);
    } catch (error) {
      if (!(error instanceof AwsError) || error.code !== 'ResourceNotFoundException') throw error;
      await bus.call(caller, 'logs', 'CreateLogGroup', { logGroupName: stream.group }).catch(unlessExists);
      await bus.call(caller, 'logs', 'CreateLogStream', names).catch(unlessExists);
    }
    stream.created = true;
  }

  /** Once for each cause that lasts: a cloud without CloudWatch Logs would say it with every line. */
  #report(stream: LogStream, lines: number, error: unknown): void {
    const missing = error instanceof AwsError && error.status === 501;
    if (missing && this.#refused) return;
    this.#refused ||= missing;
    const problem = error instanceof Error ? error.message : String(error);
    this.#options.log.error('log lines of a function were lost', {
      group: stream.group,
      stream: stream.name,
      lines,
      problem,
    });
  }
}

function* batches(events: readonly LogEvent[]): Iterable<readonly LogEvent[]> {
  let batch: LogEvent[] = [];
  let bytes = 0;
  for (const event of events) {
    const message = event.message.length > mostEventBytes / 4 ? cut(event.message) : event.message;
    // PutLogEvents refuses an empty message.
    if (message === '') continue;
    const size = Buffer.byteLength(message) + bytesPerEvent;
    if (batch.length === mostEvents || bytes + size > mostBytes) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(message === event.message ? event : { ...event, message });
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

function cut(message: string): string {
  const bytes = Buffer.from(message, 'utf8');
  return bytes.length <= mostEventBytes ? message : bytes.subarray(0, mostEventBytes - 3).toString('utf8');
}

function unlessExists(error: unknown): void {
  if (!(error instanceof AwsError) || error.code !== 'ResourceAlreadyExistsException') throw error;
}
