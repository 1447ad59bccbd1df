import { lambdaLimits } from '../limits.ts';
import type { InvokeConfigRecord, LastResult, QueuedEvent } from '../state.ts';

/** What one attempt at an accepted event came to. */
export type AttemptOutcome =
  | { readonly outcome: 'success'; readonly result: LastResult }
  | { readonly outcome: 'function-error'; readonly result: LastResult }
  /** The event goes round in a loop of functions: it is not tried again. */
  | { readonly outcome: 'recursive' }
  /** No capacity, or the service's own fault: the event goes back to the queue. */
  | { readonly outcome: 'unavailable'; readonly statusCode: number };

export type Condition = 'Success' | 'RetriesExhausted' | 'EventAgeExceeded' | 'ZeroReservedConcurrency';

export type NextStep =
  | { readonly step: 'again'; readonly dueAtMs: number; readonly event: QueuedEvent }
  | { readonly step: 'finish'; readonly condition: Condition; readonly event: QueuedEvent };

type Config = InvokeConfigRecord | undefined;

/** Whether an event is to be given up before it is tried; undefined: try it. */
export function verdictBefore(
  event: QueuedEvent,
  config: Config,
  reservedConcurrency: number | undefined,
  nowMs: number,
): Condition | undefined {
  if (reservedConcurrency === 0) return 'ZeroReservedConcurrency';
  // An event that was never tried is tried: only what waited or failed is judged by its age.
  if (event.invokeCount + event.throttles > 0 && nowMs >= expiresAtMs(event, config)) return 'EventAgeExceeded';
  return undefined;
}

/**
 * What follows an attempt. A function error: again after one minute, then after two, as often as configured; an attempt that would
 * come after the event's greatest age is not waited for. No capacity: again after 1 s doubling to 5 min, until the age is reached
 * (https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html; conditions from recorded records).
 */
export function nextStep(event: QueuedEvent, attempt: AttemptOutcome, config: Config, nowMs: number): NextStep {
  const expiryMs = expiresAtMs(event, config);
  if (attempt.outcome === 'unavailable') {
    const waitMs = Math.min(longestThrottleWaitMs, firstThrottleWaitMs * 2 ** Math.min(event.throttles, 20));
    const dueAtMs = Math.min(nowMs + waitMs, Math.max(expiryMs, nowMs));
    return { step: 'again', dueAtMs, event: { ...event, throttles: event.throttles + 1 } };
  }
  if (attempt.outcome === 'recursive') return { step: 'finish', condition: 'RetriesExhausted', event };
  const tried: QueuedEvent = { ...event, invokeCount: event.invokeCount + 1, throttles: 0, last: attempt.result };
  if (attempt.outcome === 'success') return { step: 'finish', condition: 'Success', event: tried };
  const retries = config?.retries ?? lambdaLimits.asyncRetries.value;
  if (tried.invokeCount > retries) return { step: 'finish', condition: 'RetriesExhausted', event: tried };
  const dueAtMs = nowMs + (retryWaitsMs[tried.invokeCount - 1] ?? retryWaitsMs.at(-1)!);
  if (dueAtMs > expiryMs) return { step: 'finish', condition: 'EventAgeExceeded', event: tried };
  return { step: 'again', dueAtMs, event: tried };
}

const retryWaitsMs = [60_000, 120_000];
const firstThrottleWaitMs = 1_000;
const longestThrottleWaitMs = 300_000;

function expiresAtMs(event: QueuedEvent, config: Config): number {
  return event.acceptedAtMs + (config?.eventAgeSeconds ?? lambdaLimits.asyncEventAgeSeconds.value) * 1_000;
}

/** The documented record that destinations get, as JSON text; `body` is the event's. */
export function destinationRecord(
  event: QueuedEvent,
  body: string,
  functionArn: string,
  condition: Condition,
  nowMs: number,
): string {
  const { last } = event;
  const head = {
    version: '1.0',
    timestamp: new Date(nowMs).toISOString(),
    requestContext: {
      requestId: event.requestId,
      functionArn,
      condition,
      approximateInvokeCount: event.invokeCount,
    },
  };
  // The texts are JSON already; what the function answered may be none.
  const parts = [JSON.stringify(head).slice(0, -1), `"requestPayload":${body}`];
  if (last !== undefined) {
    const { statusCode, executedVersion, functionError } = last;
    parts.push(`"responseContext":${JSON.stringify({ statusCode, executedVersion, functionError })}`);
    parts.push(`"responsePayload":${isJson(last.payload) ? last.payload : JSON.stringify(last.payload)}`);
  }
  return `${parts.join(',')}}`;
}

/** The attributes of a dead letter: which request, with which status it failed, and the first 1 KB of the error's message. */
export function deadLetterAttributes(
  event: QueuedEvent,
  condition: Condition,
): Readonly<Record<string, { readonly type: 'String' | 'Number'; readonly value: string }>> {
  const message = errorMessage(event.last?.payload) ?? fallbackMessages[condition] ?? '';
  return {
    RequestID: { type: 'String', value: event.requestId },
    ErrorCode: { type: 'Number', value: String(event.last?.statusCode ?? 429) },
    ...(message === '' ? {} : { ErrorMessage: { type: 'String' as const, value: cut(message, 1_024) } }),
  };
}

const fallbackMessages: Partial<Record<Condition, string>> = {
  ZeroReservedConcurrency: 'Rate Exceeded.',
  EventAgeExceeded: 'Rate Exceeded.',
};

function errorMessage(payload: string | undefined): string | undefined {
  if (payload === undefined || !isJson(payload)) return undefined;
  const parsed: unknown = JSON.parse(payload);
  const message = typeof parsed === 'object' && parsed !== null && 'errorMessage' in parsed ? parsed.errorMessage : '';
  return typeof message === 'string' ? message : undefined;
}

function cut(text: string, mostBytes: number): string {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= mostBytes) return text;
  // A character cut in two becomes a replacement mark at the end.
  return bytes
    .subarray(0, mostBytes)
    .toString('utf8')
    .replace(/\uFFFD+$/, '');
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
