import { eventText, type StreamItem } from './stream-batches.ts';

/** The window that is open in a shard. Windows are of one length, side by side from the epoch on, by the arrival of their records. */
export interface OpenWindow {
  readonly startMs: number;
  /** What the function has answered so far: JSON. */
  readonly state: string;
  /** The state has outgrown its bound: the window ends now. */
  readonly overgrown?: true;
}

/** Longer states end the window early (https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html). */
export const mostStateBytes = 1_048_576;
/** A window that has seen nothing yet. */
export const emptyState = '{}';

/** The start of the window that a moment is in. */
export function windowStartMs(atMs: number, tumblingSeconds: number): number {
  const lengthMs = tumblingSeconds * 1_000;
  return Math.floor(atMs / lengthMs) * lengthMs;
}

/** How many records at the head belong to one window. A record that arrived before the window began goes with it: order is kept. */
export function windowLength(items: readonly StreamItem[], startMs: number, tumblingSeconds: number): number {
  const endMs = startMs + tumblingSeconds * 1_000;
  const next = items.findIndex(({ arrivalMs }) => arrivalMs >= endMs);
  return next < 0 ? items.length : next;
}

/** The event of a batch in a window, or of the window's end. Form: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html */
export function windowEventText(
  items: readonly StreamItem[],
  window: OpenWindow,
  of: {
    readonly tumblingSeconds: number;
    readonly shardId: string;
    readonly streamArn: string;
    readonly final: boolean;
  },
): string {
  const iso = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z');
  const span = { start: iso(window.startMs), end: iso(window.startMs + of.tumblingSeconds * 1_000) };
  const more =
    `,"window":${JSON.stringify(span)},"state":${window.state},"shardId":${JSON.stringify(of.shardId)}` +
    `,"eventSourceARN":${JSON.stringify(of.streamArn)},"isFinalInvokeForWindow":${of.final}` +
    `,"isWindowTerminatedEarly":${window.overgrown === true}`;
  return eventText(items, more);
}

/** The state in a function's answer, as JSON; undefined where there is none: then the invocation has failed. */
export function answeredState(payload: string): string | undefined {
  try {
    const answer: unknown = JSON.parse(payload);
    if (typeof answer !== 'object' || answer === null || !('state' in answer)) return undefined;
    return JSON.stringify(answer.state);
  } catch {
    return undefined;
  }
}
