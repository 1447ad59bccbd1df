/**
 * The Telemetry API (2022-07-01) and the Logs API (2020-08-15) of one run of one execution environment: who has subscribed to what, and
 * what each is told. Shapes: docs telemetry-schema-reference and runtimes-logs-api; order and words also AWS's published emulator.
 */
import { WallClock } from '../../kernel/clock/wall.ts';
import type { HttpRequest } from '../../wire/http1.ts';
import { errorMessage, message, methodNotAllowed } from '../runtime-api/messages.ts';
import { type Dial, openDelivery } from './delivery.ts';
import { forbidden } from './messages.ts';
import { Subscriber } from './subscriber.ts';
import { parseSubscription, type Stream, type Subscription } from './subscription.ts';

export interface TelemetryOptions {
  readonly dial: Dial;
  /** Epoch milliseconds in the time that the sandbox sees. */
  readonly now: () => number;
  /** The function's log format: records of the JSON format are objects. */
  readonly logFormat: 'Text' | 'JSON';
}

interface Event {
  readonly stream: Stream;
  /** `function`, `extension` or `platform.…`. */
  readonly type: string;
  readonly atMs: number;
  readonly record: unknown;
}

interface Subscribed {
  readonly subscription: Subscription;
  readonly subscriber: Subscriber;
}

/** Of the initialisation, for those who subscribe in the course of it; our bound. */
const mostEarlyEvents = 1_000;
/** Words: the emulator's runtimelogs_test.go. */
const closedAnswers = {
  telemetry: forbidden('Telemetry.SubscriptionClosed', 'Telemetry API subscription is closed already'),
  logs: forbidden('Logs.SubscriptionClosed', 'Logs API subscription is closed already'),
};
const subscribedAnswer = message(200, '"OK"');
const droppedReason = 'Consumer seems to have fallen behind as it has not acknowledged receipt of logs.';

export class Telemetry {
  readonly #options: TelemetryOptions;
  /** Deliveries go to real processes, whatever the cloud's clock says. */
  readonly #clock = new WallClock();
  readonly #subscribed = new Map<string, Subscribed>();
  #early: Event[] | undefined = [];

  constructor(options: TelemetryOptions) {
    this.#options = options;
  }

  /** Somebody listens, or may still. */
  get active(): boolean {
    return this.#early !== undefined || this.#subscribed.size > 0;
  }

  /** The answer to a request of the extension `name`; undefined for another path. */
  answer(request: HttpRequest, name: string): Buffer | undefined {
    const api = apiOf(request.path);
    if (api === undefined) return undefined;
    if (request.method !== 'PUT') return methodNotAllowed;
    if (this.#early === undefined) return closedAnswers[api];
    const subscription = parseSubscription(api, request.body);
    if (typeof subscription === 'string') {
      return errorMessage(400, api === 'logs' ? 'Logs.ValidationError' : 'ValidationError', subscription);
    }
    const other = [...this.#subscribed.values()].find((each) => each.subscription.api !== api);
    if (other !== undefined) {
      // Documented to be an error; the words are ours.
      const text = `the environment is subscribed to the ${other.subscription.api === 'logs' ? 'Logs' : 'Telemetry'} API already`;
      return errorMessage(400, api === 'logs' ? 'Logs.ValidationError' : 'ValidationError', text);
    }
    this.#subscribe(name, subscription);
    return subscribedAnswer;
  }

  /** From here on none can subscribe: the initialisation is over. */
  closeSubscriptions(): void {
    this.#early = undefined;
  }

  platform(type: string, record: unknown): void {
    this.#tell({ stream: 'platform', type, atMs: this.#options.now(), record });
  }

  line(stream: 'function' | 'extension', text: string): void {
    if (this.active) this.#tell({ stream, type: stream, atMs: this.#options.now(), record: text });
  }

  /** Resolves when all that was buffered has been taken, or this was closed. */
  async flush(): Promise<void> {
    await Promise.all([...this.#subscribed.values()].map(({ subscriber }) => subscriber.flush()));
  }

  close(): void {
    this.#early = undefined;
    for (const { subscriber } of this.#subscribed.values()) subscriber.close();
    this.#subscribed.clear();
  }

  #subscribe(name: string, subscription: Subscription): void {
    const earlier = this.#subscribed.get(name);
    earlier?.subscriber.close();
    const subscriber = new Subscriber({
      buffering: subscription.buffering,
      delivery: openDelivery(subscription.destination, this.#options.dial),
      clock: this.#clock,
      onDropped: (droppedRecords, droppedBytes) => {
        const record = { droppedBytes, droppedRecords, reason: droppedReason };
        this.#tell({ stream: 'platform', type: 'platform.logsDropped', atMs: this.#options.now(), record });
      },
    });
    const subscribed = { subscription, subscriber };
    this.#subscribed.set(name, subscribed);
    // Asking again changes the subscription, and repeats nothing.
    if (earlier === undefined) for (const event of this.#early ?? []) this.#give(subscribed, event);
    const record = { name, state: 'Subscribed', types: subscription.streams };
    this.platform(`platform.${subscription.api}Subscription`, record);
  }

  #tell(event: Event): void {
    if (this.#early !== undefined && this.#early.length < mostEarlyEvents) this.#early.push(event);
    for (const subscribed of this.#subscribed.values()) this.#give(subscribed, event);
  }

  #give({ subscription, subscriber }: Subscribed, event: Event): void {
    if (!subscription.streams.includes(event.stream)) return;
    const record =
      event.stream === 'platform' ? platformRecord(subscription, event) : this.#lineRecord(subscription, event);
    if (record === undefined) return;
    subscriber.push(JSON.stringify({ time: new Date(event.atMs).toISOString(), type: event.type, record }));
  }

  /** Objects since the schema version 2022-12-13, where the function logs in JSON (docs: telemetry-schema-reference, `function`). */
  #lineRecord({ api, schemaVersion }: Subscription, { record }: Event): unknown {
    if (api === 'logs' || schemaVersion === '2022-07-01' || this.#options.logFormat !== 'JSON') return record;
    try {
      const parsed: unknown = JSON.parse(record as string);
      return typeof parsed === 'object' && parsed !== null ? parsed : record;
    } catch {
      return record;
    }
  }
}

function apiOf(path: string): Subscription['api'] | undefined {
  if (path === '/2022-07-01/telemetry' || path === '/2022-07-01/telemetry/') return 'telemetry';
  return path === '/2020-08-15/logs' || path === '/2020-08-15/logs/' ? 'logs' : undefined;
}

/** Members of the Logs API's records; types that it does not know are left out. */
const logsMembers: Readonly<Record<string, readonly string[]>> = {
  'platform.start': ['requestId', 'version'],
  'platform.end': ['requestId'],
  'platform.runtimeDone': ['requestId', 'status'],
  'platform.report': ['requestId', 'metrics'],
  'platform.extension': ['name', 'state', 'events', 'errorType'],
  'platform.logsSubscription': ['name', 'state', 'types'],
  'platform.logsDropped': ['droppedBytes', 'droppedRecords', 'reason'],
};
const onlyInLogs = new Set(['platform.end', 'platform.fault', 'platform.logsSubscription']);

function platformRecord({ api, schemaVersion }: Subscription, { type, record }: Event): unknown {
  if (api === 'telemetry') return onlyInLogs.has(type) ? undefined : record;
  if (type === 'platform.fault') return record;
  if (type === 'platform.runtimeDone' && schemaVersion !== '2021-03-18') return undefined;
  const members = logsMembers[type];
  if (members === undefined) return undefined;
  const fields = record as Readonly<Record<string, unknown>>;
  return Object.fromEntries(members.filter((name) => fields[name] !== undefined).map((name) => [name, fields[name]]));
}
