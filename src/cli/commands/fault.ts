import type { CloudClient } from '../client.ts';
import { parseNumber } from '../parsing.ts';
import type { Terminal } from '../terminal.ts';

interface Listing {
  readonly points?: readonly { readonly name: string; readonly description: string }[];
  readonly rules: readonly {
    readonly point: string;
    readonly scope: string;
    readonly rate: number;
    readonly seed: number;
    readonly chances: number;
    readonly faults: number;
  }[];
}

export async function faultList(terminal: Terminal, client: CloudClient): Promise<void> {
  const listing = (await client.control('GET', 'faults')) as Listing;
  terminal.data(listing);
  terminal.table(
    ['FAULT POINT', 'WHAT HAPPENS'],
    (listing.points ?? []).map(({ name, description }) => [name, description]),
  );
  if (listing.rules.length === 0) return terminal.line('\nnone is on');
  terminal.line();
  terminal.table(
    ['ON', 'SCOPE', 'RATE', 'SEED', 'CHANCES', 'FAULTS'],
    listing.rules.map((rule) => [
      rule.point,
      rule.scope,
      String(rule.rate),
      String(rule.seed),
      String(rule.chances),
      String(rule.faults),
    ]),
  );
}

export async function faultSet(
  terminal: Terminal,
  client: CloudClient,
  point: string,
  scope: string,
  options: { readonly rate: string; readonly seed: string; readonly times?: string },
): Promise<void> {
  const rate = parseNumber('--rate', options.rate);
  const seed = parseNumber('--seed', options.seed);
  const times = options.times === undefined ? {} : { times: parseNumber('--times', options.times) };
  terminal.data(await client.control('PUT', 'faults', { point, scope, rate, seed, ...times }));
  terminal.line(
    rate === 0 ? `${point} is off for ${scope}` : `${point} strikes ${scope} at a rate of ${rate} (seed ${seed})`,
  );
}

/** The same for one queue, by its name or ARN. */
export async function faultOnQueue(
  terminal: Terminal,
  client: CloudClient,
  point: string,
  queue: string,
  options: { readonly rate: string; readonly seed: string; readonly times?: string },
): Promise<void> {
  const scope = queue.startsWith('arn:') ? queue : await arnOf(client, queue);
  return faultSet(terminal, client, point, scope, options);
}

async function arnOf(client: CloudClient, name: string): Promise<string> {
  const { QueueUrl } = await client.call('sqs', 'GetQueueUrl', { QueueName: name });
  const AttributeNames = ['QueueArn' as const];
  const { Attributes } = await client.call('sqs', 'GetQueueAttributes', { QueueUrl: QueueUrl!, AttributeNames });
  return Attributes!['QueueArn']!;
}

export async function faultClear(terminal: Terminal, client: CloudClient): Promise<void> {
  terminal.data(await client.control('DELETE', 'faults'));
  terminal.line('no fault is on');
}
