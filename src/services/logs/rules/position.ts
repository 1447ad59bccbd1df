/**
 * A place between events. Events are in order of time, then of stream, of the chunk they came in, and of their place in it; a
 * position stands before the event that it names.
 */
export interface Position {
  readonly timeMs: number;
  readonly streamId: string;
  readonly number: number;
  readonly index: number;
}

export function comparePositions(left: Position, right: Position): number {
  return (
    left.timeMs - right.timeMs ||
    (left.streamId < right.streamId ? -1 : left.streamId > right.streamId ? 1 : 0) ||
    left.number - right.number ||
    left.index - right.index
  );
}

/** The place right behind an event. */
export function behind(position: Position): Position {
  return { ...position, index: position.index + 1 };
}

/** Tokens of GetLogEvents look like AWS's: a direction and 56 digits. They are of one stream, so its id is left out. */
export function streamToken(direction: 'f' | 'b', { timeMs, number, index }: Omit<Position, 'streamId'>): string {
  const digits = String(timeMs).padStart(16, '0') + String(number).padStart(24, '0') + String(index).padStart(16, '0');
  return `${direction}/${digits}/s`;
}

export function parseStreamToken(
  token: string,
  streamId: string,
): { readonly direction: 'f' | 'b'; readonly position: Position } | undefined {
  const match = /^([fb])\/(\d{16})(\d{24})(\d{16})\/s$/.exec(token);
  if (match === null) return undefined;
  const [timeMs, number, index] = [Number(match[2]), Number(match[3]), Number(match[4])];
  return { direction: match[1] as 'f' | 'b', position: { timeMs, streamId, number, index } };
}

/** Tokens of FilterLogEvents are opaque. */
export function groupToken({ timeMs, streamId, number, index }: Position): string {
  return Buffer.from(JSON.stringify([timeMs, streamId, number, index]), 'utf8').toString('base64url');
}

export function parseGroupToken(token: string): Position | undefined {
  try {
    const parts = JSON.parse(Buffer.from(token, 'base64url').toString('utf8')) as unknown;
    if (!Array.isArray(parts) || parts.length !== 4) return undefined;
    const [timeMs, streamId, number, index] = parts as unknown[];
    if (typeof streamId !== 'string') return undefined;
    if (!Number.isSafeInteger(timeMs) || !Number.isSafeInteger(number) || !Number.isSafeInteger(index))
      return undefined;
    return { timeMs: Number(timeMs), streamId, number: Number(number), index: Number(index) };
  } catch {
    return undefined;
  }
}
