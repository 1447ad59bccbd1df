import type { CloudClient } from '../client.ts';
import { CliError } from '../error.ts';
import { parseNumber } from '../parsing.ts';
import { formatDuration, type Terminal } from '../terminal.ts';
import { wait } from '../wait.ts';

interface QueueLine {
  readonly name: string;
  readonly url: string;
  readonly arn: string;
  readonly waiting: number;
  readonly inFlight: number;
  readonly delayed: number;
  readonly oldestAgeMs: number | undefined;
  readonly deadLetterQueue: string | undefined;
  readonly maxReceiveCount: number | undefined;
}

/** Depths, ages, messages in flight, dead-letter queues. */
export async function queues(terminal: Terminal, client: CloudClient): Promise<void> {
  const lines = await queueLines(client);
  terminal.data(lines);
  if (lines.length === 0) return terminal.line('there are no queues');
  terminal.table(
    ['QUEUE', 'WAITING', 'IN FLIGHT', 'DELAYED', 'OLDEST', 'DEAD-LETTER QUEUE'],
    lines.map((queue) => [
      queue.name,
      String(queue.waiting),
      String(queue.inFlight),
      String(queue.delayed),
      queue.oldestAgeMs === undefined ? '-' : formatDuration(queue.oldestAgeMs),
      queue.deadLetterQueue === undefined ? '-' : `${queue.deadLetterQueue} after ${queue.maxReceiveCount}`,
    ]),
  );
}

/** Moves a dead-letter queue's messages back to where they came from, and waits for the end. */
export async function redrive(
  terminal: Terminal,
  client: CloudClient,
  name: string,
  options: { readonly to?: string; readonly rate?: string },
): Promise<void> {
  const lines = await queueLines(client);
  const source = find(lines, name);
  const rate = options.rate === undefined ? undefined : parseNumber('--rate', options.rate);
  await client.call('sqs', 'StartMessageMoveTask', {
    SourceArn: source.arn,
    ...(options.to === undefined ? {} : { DestinationArn: find(lines, options.to).arn }),
    ...(rate === undefined ? {} : { MaxNumberOfMessagesPerSecond: rate }),
  });
  for (;;) {
    const { Results = [] } = await client.call('sqs', 'ListMessageMoveTasks', { SourceArn: source.arn, MaxResults: 1 });
    const task = Results[0];
    if (task !== undefined && task.Status !== 'RUNNING') {
      const result = {
        status: task.Status,
        moved: task.ApproximateNumberOfMessagesMoved ?? 0,
        ...(task.FailureReason === undefined ? {} : { reason: task.FailureReason }),
      };
      terminal.line(`${task.Status}: ${task.ApproximateNumberOfMessagesMoved ?? 0} messages moved from ${source.name}`);
      if (task.Status === 'FAILED')
        throw new CliError('RedriveFailed', task.FailureReason ?? 'the move failed', 'see: unkai queues', result);
      terminal.data(result);
      return;
    }
    terminal.progress(
      `${task?.ApproximateNumberOfMessagesMoved ?? 0} of ${task?.ApproximateNumberOfMessagesToMove ?? '?'} moved`,
    );
    await wait(200);
  }
}

function find(lines: readonly QueueLine[], name: string): QueueLine {
  const found = lines.find((queue) => queue.name === name || queue.arn === name || queue.url === name);
  if (found !== undefined) return found;
  // CloudFormation names queues stack-Logical-RANDOM: the logical name is what people remember.
  const matching = lines.filter((queue) => queue.name.includes(name));
  if (matching.length === 1) return matching[0]!;
  const names = (matching.length === 0 ? lines : matching).map((queue) => queue.name).join(', ');
  throw new CliError(
    'NoSuchQueue',
    matching.length === 0 ? `there is no queue '${name}'` : `'${name}' could be several queues`,
    `there are: ${names}`,
  );
}

async function queueLines(client: CloudClient): Promise<QueueLine[]> {
  const lines: QueueLine[] = [];
  const { nowMs } = (await client.control('GET', 'status')) as { nowMs: number };
  let token: string | undefined;
  do {
    const page = await client.call('sqs', 'ListQueues', {
      MaxResults: 1000,
      ...(token === undefined ? {} : { NextToken: token }),
    });
    for (const url of page.QueueUrls ?? []) {
      const { Attributes = {} } = await client.call('sqs', 'GetQueueAttributes', {
        QueueUrl: url,
        AttributeNames: ['All'],
      });
      const policy = JSON.parse(Attributes['RedrivePolicy'] ?? '{}') as {
        deadLetterTargetArn?: string;
        maxReceiveCount?: number | string;
      };
      lines.push({
        name: url.slice(url.lastIndexOf('/') + 1),
        url,
        arn: Attributes['QueueArn'] ?? '',
        waiting: Number(Attributes['ApproximateNumberOfMessages'] ?? 0),
        inFlight: Number(Attributes['ApproximateNumberOfMessagesNotVisible'] ?? 0),
        delayed: Number(Attributes['ApproximateNumberOfMessagesDelayed'] ?? 0),
        oldestAgeMs: await oldestAge(client, url, nowMs),
        deadLetterQueue: policy.deadLetterTargetArn?.slice(policy.deadLetterTargetArn.lastIndexOf(':') + 1),
        maxReceiveCount: policy.maxReceiveCount === undefined ? undefined : Number(policy.maxReceiveCount),
      });
    }
    token = page.NextToken;
  } while (token !== undefined);
  return lines;
}

/** Asked of the cloud itself: on AWS only a CloudWatch metric tells it. */
async function oldestAge(client: CloudClient, url: string, nowMs: number): Promise<number | undefined> {
  const { oldestSentAtMs } = (await client.control('POST', 'inspect/sqs', { queueUrl: url })) as {
    oldestSentAtMs?: number;
  };
  return oldestSentAtMs === undefined ? undefined : Math.max(0, nowMs - oldestSentAtMs);
}
