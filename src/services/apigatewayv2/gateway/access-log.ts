import type { Timer } from '../../../kernel/clock/contract.ts';
import { serviceCaller } from '../../../platform/context.ts';
import type { HttpRequest } from '../../../platform/http/request.ts';
import type { Platform } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { EventScope } from '../rules/event.ts';
import { contextValue } from '../rules/mapping.ts';

/** What is known when a request has been answered. */
export interface LogFacts {
  readonly request: HttpRequest;
  readonly scope: EventScope;
  readonly status: number;
  readonly responseLength: number;
  readonly responseLatencyMs: number;
  readonly integrationLatencyMs: number | undefined;
  readonly integrationStatus: number | undefined;
  readonly errorMessage: string | undefined;
  readonly integrationError: string | undefined;
}

/** A line of an access log; a variable without a value is `-`. */
export function accessLogLine(format: string, facts: LogFacts): string {
  return format.replace(
    /\$context\.([A-Za-z]+(?:\.[A-Za-z0-9_]+)*)/g,
    (_, name: string) => variableValue(name, facts) ?? '-',
  );
}

function variableValue(name: string, facts: LogFacts): string | undefined {
  const text = (value: number | undefined): string | undefined => (value === undefined ? undefined : String(value));
  switch (name) {
    case 'status':
      return String(facts.status);
    case 'responseLength':
      return String(facts.responseLength);
    case 'responseLatency':
      return String(facts.responseLatencyMs);
    case 'integrationLatency':
    case 'integration.latency':
      return text(facts.integrationLatencyMs);
    case 'integrationStatus':
    case 'integration.integrationStatus':
    case 'integration.status':
      return text(facts.integrationStatus);
    case 'error.message':
      return facts.errorMessage;
    case 'error.messageString':
      return facts.errorMessage === undefined ? undefined : JSON.stringify(facts.errorMessage);
    case 'integrationErrorMessage':
    case 'integration.error':
      return facts.integrationError;
    default:
      return contextValue(name, facts.request, facts.scope);
  }
}

const flushAfterMs = 500;
const batchSize = 1_000;

interface Pending {
  readonly account: string;
  readonly region: string;
  readonly logGroup: string;
  readonly events: { readonly timestamp: number; readonly message: string }[];
}

/** Sends lines to CloudWatch Logs behind the answers: a group's lines of half a second in one call. */
export class AccessLogs {
  readonly #platform: Platform;
  readonly #stream: string;
  readonly #pending = new Map<string, Pending>();
  readonly #streams = new Set<string>();
  #timer: Timer | undefined;
  #flushing: Promise<void> = Promise.resolve();

  constructor(platform: Platform) {
    this.#platform = platform;
    this.#stream = platform.random.hex(32);
  }

  write(
    where: { readonly account: string; readonly region: string; readonly logGroup: string },
    message: string,
  ): void {
    const key = `${where.account} ${where.region} ${where.logGroup}`;
    let pending = this.#pending.get(key);
    if (pending === undefined) {
      pending = { account: where.account, region: where.region, logGroup: where.logGroup, events: [] };
      this.#pending.set(key, pending);
    }
    const { clock } = this.#platform;
    pending.events.push({ timestamp: clock.now(), message });
    this.#timer ??= clock.at(clock.now() + flushAfterMs, () => void this.flush());
  }

  flush(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    const batches = [...this.#pending];
    this.#pending.clear();
    this.#flushing = this.#flushing.then(async () => {
      for (const [key, pending] of batches) await this.#send(key, pending);
    });
    return this.#flushing;
  }

  async #send(key: string, { account, region, logGroup, events }: Pending): Promise<void> {
    const { bus, log } = this.#platform;
    const caller = serviceCaller('apigateway', account, region);
    const where = { logGroupName: logGroup, logStreamName: this.#stream };
    try {
      if (!this.#streams.has(key)) {
        await bus.call(caller, 'logs', 'CreateLogStream', where).catch((error: unknown) => {
          if (!(error instanceof AwsError) || error.code !== 'ResourceAlreadyExistsException') throw error;
        });
        this.#streams.add(key);
      }
      for (let from = 0; from < events.length; from += batchSize) {
        const logEvents = events.slice(from, from + batchSize);
        await bus.call(caller, 'logs', 'PutLogEvents', { ...where, logEvents });
      }
    } catch (error) {
      // As on AWS, a log that cannot be written (its group is gone) fails no request.
      this.#streams.delete(key);
      log.warn('an access log could not be written', { logGroup, problem: String(error) });
    }
  }
}
