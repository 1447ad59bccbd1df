import { AwsError } from '../../../wire/errors.ts';

/**
 * Loops of functions, found as AWS finds them: the trace header carries a lineage, which counts how often an event has come
 * through each function (https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html). Its form is that of AWS's
 * headers: `Root=…;Lineage=a87bd80c:1|68fd508a:5`.
 */
const mostHops = 16;
/** A header must not grow without end where an event wanders through many functions. */
const mostFunctions = 32;

const lineagePattern = /(?:^|;)Lineage=([^;]*)/;

/** Where an event is when it has come to a function. */
export interface Hop {
  /** The header to hand to the function, its lineage one longer. */
  readonly traceHeader: string;
  /** How often it has come to this function, this time counted. */
  readonly count: number;
}

/** `functionKey` stands for the function in lineages: 8 hex digits. */
export function nextHop(traceHeader: string, functionKey: string): Hop {
  const at = traceHeader.indexOf('Lineage=');
  // What most invocations are: the first of an event.
  if (at < 0) return { traceHeader: `${traceHeader};Lineage=${functionKey}:1`, count: 1 };
  const lineage = readLineage(traceHeader);
  const count = (lineage.get(functionKey) ?? 0) + 1;
  lineage.delete(functionKey);
  const entries = [...lineage, [functionKey, count] as const].slice(-mostFunctions);
  const text = entries.map(([key, times]) => `${key}:${times}`).join('|');
  return { traceHeader: `${withoutLineage(traceHeader)};Lineage=${text}`, count };
}

export function isLoop({ count }: Hop): boolean {
  return count > mostHops;
}

/** A header of this cloud's own with the lineage of those that caused the call; of several messages the longest of each function. */
export function withLineage(traceHeader: string, causes: readonly (string | undefined)[]): string {
  const merged = new Map<string, number>();
  for (const cause of causes) {
    if (cause === undefined || !cause.includes('Lineage=')) continue;
    for (const [key, times] of readLineage(cause)) merged.set(key, Math.max(times, merged.get(key) ?? 0));
  }
  if (merged.size === 0) return traceHeader;
  return `${traceHeader};Lineage=${[...merged].map(([key, times]) => `${key}:${times}`).join('|')}`;
}

/** What the caller is told; the model has the error, the text is our own. */
export function recursiveInvocation(): AwsError {
  return new AwsError(
    'RecursiveInvocationException',
    "Lambda has detected your function being invoked in a recursive loop with other AWS resources and stopped your function's invocation.",
    { fields: { Type: 'User' } },
  );
}

function readLineage(traceHeader: string): Map<string, number> {
  const text = lineagePattern.exec(traceHeader)?.[1] ?? '';
  const lineage = new Map<string, number>();
  for (const entry of text.split('|')) {
    const [, key, times] = /^([0-9a-f]{8}):(\d{1,5})$/.exec(entry) ?? [];
    if (key !== undefined) lineage.set(key, Number(times));
  }
  return lineage;
}

function withoutLineage(traceHeader: string): string {
  return traceHeader.replace(lineagePattern, '');
}
