import type { CloudClient } from '../client.ts';
import { formatDuration, type Terminal } from '../terminal.ts';

interface Status {
  readonly version: string;
  readonly pid: number;
  readonly endpoint: string;
  readonly startedAtMs: number;
  readonly nowMs: number;
  readonly store: { readonly engine: string; readonly durable: boolean; readonly directory?: string };
  readonly clock: string;
  readonly limits: string;
  readonly auth: string;
}

/** What runs: the cloud, its stacks, functions and queues in brief. */
export async function status(terminal: Terminal, client: CloudClient): Promise<void> {
  const cloud = (await client.control('GET', 'status')) as Status;
  const { Stacks = [] } = await client.call('cloudformation', 'DescribeStacks', {});
  const { Functions = [] } = await client.call('lambda', 'ListFunctions', {});
  const { QueueUrls = [] } = await client.call('sqs', 'ListQueues', {});
  const { TableNames = [] } = await client.call('dynamodb', 'ListTables', {});
  const stacks = Stacks.map(({ StackName, StackStatus }) => ({ name: StackName, status: StackStatus }));
  terminal.data({
    ...cloud,
    stacks,
    functions: Functions.map(({ FunctionName }) => FunctionName),
    queues: QueueUrls.map((url) => url.slice(url.lastIndexOf('/') + 1)),
    tables: TableNames,
  });
  const where = cloud.store.directory === undefined ? '' : ` in ${cloud.store.directory}`;
  terminal.line(
    `Unkai ${cloud.version} at ${cloud.endpoint}, process ${cloud.pid}, up for ${formatDuration(cloud.nowMs - cloud.startedAtMs)}`,
  );
  terminal.line(
    `store ${cloud.store.engine}${where}${cloud.store.durable ? '' : ' (nothing is kept)'}, clock ${cloud.clock}, limits ${cloud.limits}, auth ${cloud.auth}`,
  );
  terminal.line(
    `${Functions.length} functions, ${QueueUrls.length} queues, ${TableNames.length} tables, ${stacks.length} stacks`,
  );
  if (stacks.length > 0) {
    terminal.line();
    terminal.table(
      ['STACK', 'STATUS'],
      stacks.map(({ name, status: text }) => [name ?? '', text ?? '']),
    );
  }
}
