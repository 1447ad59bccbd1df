import type { CloudClient } from '../client.ts';
import { CliError } from '../error.ts';
import type { Terminal } from '../terminal.ts';
import { wait } from '../wait.ts';
import { findFunction } from './functions.ts';

export interface LogsOptions {
  readonly follow?: boolean;
  readonly since?: string;
  readonly filter?: string;
}

const followEveryMs = 300;
/** A line may be written a little after its time: look back so far for late ones. */
const lateMs = 5_000;

/** Prints the log of a function, or of all, in order of time; with `--follow` goes on until interrupted. */
export async function logs(
  terminal: Terminal,
  client: CloudClient,
  name: string | undefined,
  options: LogsOptions,
): Promise<void> {
  const chosen = name === undefined ? undefined : `/aws/lambda/${await findFunction(client, name)}`;
  const seen = new Set<string>();
  const { nowMs } = (await client.control('GET', 'status')) as { nowMs: number };
  let fromMs = options.since === undefined ? 0 : nowMs - (await import('../parsing.ts')).parseDuration(options.since);
  for (;;) {
    const groups = chosen === undefined ? await lambdaGroups(client) : [chosen];
    const lines = (await Promise.all(groups.map((group) => eventsOf(client, group, fromMs, options.filter)))).flat();
    lines.sort((a, b) => a.timestamp - b.timestamp);
    for (const line of lines) {
      if (seen.has(line.id)) continue;
      seen.add(line.id);
      fromMs = Math.max(fromMs, line.timestamp - lateMs);
      terminal.data({ timestamp: line.timestamp, group: line.group, stream: line.stream, message: line.message });
      const from = chosen === undefined ? `${terminal.paint.cyan(line.group.replace('/aws/lambda/', ''))}  ` : '';
      terminal.line(`${terminal.paint.dim(new Date(line.timestamp).toISOString())}  ${from}${line.message.trimEnd()}`);
    }
    if (options.follow !== true) return;
    await wait(followEveryMs);
  }
}

interface LogLine {
  readonly id: string;
  readonly timestamp: number;
  readonly group: string;
  readonly stream: string;
  readonly message: string;
}

async function lambdaGroups(client: CloudClient): Promise<string[]> {
  const names: string[] = [];
  let token: string | undefined;
  do {
    const page = await client.call('logs', 'DescribeLogGroups', {
      logGroupNamePrefix: '/aws/lambda/',
      ...(token === undefined ? {} : { nextToken: token }),
    });
    for (const { logGroupName } of page.logGroups ?? []) if (logGroupName !== undefined) names.push(logGroupName);
    token = page.nextToken;
  } while (token !== undefined);
  return names;
}

async function eventsOf(
  client: CloudClient,
  group: string,
  fromMs: number,
  filter: string | undefined,
): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  let token: string | undefined;
  do {
    const page = await client
      .call('logs', 'FilterLogEvents', {
        logGroupName: group,
        startTime: fromMs,
        ...(filter === undefined ? {} : { filterPattern: filter }),
        ...(token === undefined ? {} : { nextToken: token }),
      })
      .catch((error: unknown) => {
        // A function that never ran has no log yet.
        if (error instanceof CliError && error.code === 'ResourceNotFoundException')
          return { events: [], nextToken: undefined };
        throw error;
      });
    for (const event of page.events ?? []) {
      lines.push({
        id: event.eventId ?? '',
        timestamp: event.timestamp ?? 0,
        group,
        stream: event.logStreamName ?? '',
        message: event.message ?? '',
      });
    }
    token = page.nextToken;
  } while (token !== undefined);
  return lines;
}
