/**
 * Reads a trace of the writer (`strace -f -y`) and finds acknowledgements that came before the data was on disk. A write to
 * the data file is safe when a later fsync, fdatasync or msync of the file has returned, or when its descriptor was opened
 * for synchronous writes and the write itself has returned.
 */
export interface TraceResult {
  readonly acknowledged: number;
  readonly problems: readonly string[];
}

interface Call {
  readonly name: string;
  /** Between the parentheses. */
  readonly parameters: string;
  readonly result: string;
}

export function checkTrace(trace: string, dataFile: string): TraceResult {
  const problems: string[] = [];
  const synchronous = new Set<string>();
  let acknowledged = 0;
  let step: string | undefined;
  let unsynced = 0;
  let written = 0;
  for (const { name, parameters, result } of callsOf(trace)) {
    const failed = result.startsWith('-1');
    if (name === 'openat') {
      if (failed || !result.includes(dataFile)) continue;
      if (/O_D?SYNC/.test(parameters)) synchronous.add(descriptorOf(result));
      else synchronous.delete(descriptorOf(result));
      continue;
    }
    const marker = name === 'write' ? /^1<[^>]*>, "(submit|acknowledged) (\d+)\\n"/.exec(parameters) : null;
    if (marker !== null) {
      if (marker[1] === 'submit') {
        step = marker[2];
        written = 0;
        continue;
      }
      acknowledged++;
      if (step !== marker[2]) problems.push(`step ${marker[2]} was acknowledged without being submitted`);
      if (written === 0) problems.push(`step ${step} was acknowledged and nothing written`);
      else if (unsynced > 0) problems.push(`step ${step} was acknowledged while ${unsynced} writes were not synced`);
      continue;
    }
    if (name !== 'msync' && !/^\d+<[^>]*>/.exec(parameters)?.[0].includes(dataFile)) continue;
    if (name === 'fsync' || name === 'fdatasync' || name === 'msync') {
      if (result.startsWith('0')) unsynced = 0;
    } else if (!failed && /^p?writev?(64|2)?$/.test(name)) {
      written++;
      if (!synchronous.has(descriptorOf(parameters))) unsynced++;
    }
  }
  return { acknowledged, problems };
}

function descriptorOf(text: string): string {
  return /^\d+/.exec(text)?.[0] ?? '';
}

/** Calls in the order in which they returned: one that another thread interrupts stands in two lines. */
function* callsOf(trace: string): Iterable<Call> {
  const unfinished = new Map<string, string>();
  for (const line of trace.split('\n')) {
    const match = /^(\d+)\s+(.*)$/.exec(line);
    if (match === null) continue;
    const [, thread, text] = match as unknown as [string, string, string];
    if (text.endsWith('<unfinished ...>')) {
      unfinished.set(thread, text.slice(0, -'<unfinished ...>'.length));
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(text);
    const whole = resumed === null ? text : (unfinished.get(thread) ?? '') + resumed[1];
    const call = /^(\w+)\((.*)\)\s+= (.*)$/.exec(whole);
    if (call !== null) yield { name: call[1]!, parameters: call[2]!, result: call[3]! };
  }
}
