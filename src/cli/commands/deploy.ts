import { blobBucket } from '../../platform/blob-bucket.ts';
import type { CloudClient } from '../client.ts';
import { CliError } from '../error.ts';
import { defaultStackName, findTemplate, type Packaged, packageTemplate } from '../package.ts';
import type { Terminal } from '../terminal.ts';
import { wait } from '../wait.ts';

export interface DeployOptions {
  readonly stack?: string;
  readonly parameter?: readonly string[];
}

export interface Endpoint {
  readonly name: string;
  readonly url: string;
}

export interface Deployed extends Packaged {
  readonly stack: string;
  readonly outputs: Readonly<Record<string, string>>;
  readonly endpoints: readonly Endpoint[];
  readonly changed: boolean;
}

/** What CreateStack takes in the request itself. */
const maxTemplateBodyBytes = 51_200;
const askEveryMs = 100;

export async function deploy(
  terminal: Terminal,
  client: CloudClient,
  target: string,
  options: DeployOptions,
): Promise<void> {
  const deployed = await deployTarget(terminal, client, target, options);
  terminal.data({
    stack: deployed.stack,
    changed: deployed.changed,
    outputs: deployed.outputs,
    endpoints: deployed.endpoints,
  });
  showDeployed(terminal, deployed);
}

export function showDeployed(terminal: Terminal, deployed: Deployed): void {
  terminal.line(
    deployed.changed ? `${terminal.paint.green('deployed')} ${deployed.stack}` : `${deployed.stack} is up to date`,
  );
  for (const [name, value] of Object.entries(deployed.outputs)) terminal.line(`  ${name} = ${value}`);
  for (const { name, url } of deployed.endpoints) terminal.line(`  ${terminal.paint.cyan(url)}  ${name}`);
}

/** Packages, creates or updates the stack, follows its events, and tells its outputs and where its APIs are. */
export async function deployTarget(
  terminal: Terminal,
  client: CloudClient,
  target: string,
  options: DeployOptions,
): Promise<Deployed> {
  const templatePath = await findTemplate(target);
  const stack = options.stack ?? defaultStackName(templatePath);
  const given = parametersOf(options.parameter ?? []);
  const packaged = await packageTemplate(templatePath, client);
  const body = JSON.stringify(packaged.template);
  const template =
    Buffer.byteLength(body) <= maxTemplateBodyBytes
      ? { TemplateBody: body }
      : { TemplateURL: `https://${blobBucket}.s3.amazonaws.com/${await client.putBlob(Buffer.from(body))}` };
  const existing = await findStack(client, stack);
  if (existing?.StackStatus === 'ROLLBACK_COMPLETE') {
    // What a failed first attempt has left can only be deleted, on AWS too; nothing in it is worth keeping.
    terminal.progress(`${stack} was rolled back when it was created: deleting what is left of it`);
    await client.call('cloudformation', 'DeleteStack', { StackName: stack });
    await follow(terminal, client, stack, existing.StackId!, Number.POSITIVE_INFINITY);
  }
  const isNew = existing === undefined || existing.StackStatus === 'ROLLBACK_COMPLETE';
  const sinceMs = isNew ? 0 : await newestEvent(client, existing.StackId!);
  const input = {
    StackName: stack,
    ...template,
    Capabilities: ['CAPABILITY_IAM' as const, 'CAPABILITY_NAMED_IAM' as const, 'CAPABILITY_AUTO_EXPAND' as const],
    Parameters: isNew ? given : withPrevious(given, existing?.Parameters ?? [], packaged.template),
  };
  let changed = true;
  let stackId: string;
  try {
    const answer = isNew
      ? await client.call('cloudformation', 'CreateStack', input)
      : await client.call('cloudformation', 'UpdateStack', input);
    stackId = answer.StackId!;
  } catch (error) {
    if (!(error instanceof CliError) || !error.message.includes('No updates are to be performed')) throw error;
    changed = false;
    stackId = existing!.StackId!;
  }
  if (changed) {
    const { status, reason } = await follow(terminal, client, stack, stackId, sinceMs);
    if (status !== 'CREATE_COMPLETE' && status !== 'UPDATE_COMPLETE') {
      throw new CliError(
        'DeployFailed',
        `${stack} ended in ${status}${reason === '' ? '' : `: ${reason}`}`,
        'nothing of this deployment is left; correct what failed and deploy again',
      );
    }
  }
  const ended = await findStack(client, stack);
  const outputs = Object.fromEntries(
    (ended?.Outputs ?? []).map(({ OutputKey, OutputValue }) => [OutputKey ?? '', OutputValue ?? '']),
  );
  return { ...packaged, stack, outputs, endpoints: await endpointsOf(client, stack), changed };
}

export async function deleteStack(terminal: Terminal, client: CloudClient, stack: string): Promise<void> {
  const existing = await findStack(client, stack);
  if (existing === undefined) throw new CliError('NoSuchStack', `there is no stack '${stack}'`, 'see: unkai status');
  const sinceMs = await newestEvent(client, existing.StackId!);
  await client.call('cloudformation', 'DeleteStack', { StackName: stack });
  const { status, reason } = await follow(terminal, client, stack, existing.StackId!, sinceMs);
  if (status !== 'DELETE_COMPLETE')
    throw new CliError(
      'DeleteFailed',
      `${stack} ended in ${status}: ${reason}`,
      'see which resource would not go, and why, above',
    );
  terminal.data({ stack, status });
  terminal.line(`deleted ${stack}`);
}

/** Where each API and each function URL of a stack is reached from this machine, by a path that needs no name of its own. */
async function endpointsOf(client: CloudClient, stack: string): Promise<Endpoint[]> {
  const { StackResources = [] } = await client.call('cloudformation', 'DescribeStackResources', { StackName: stack });
  const apis = StackResources.filter(({ ResourceType }) => ResourceType === 'AWS::ApiGatewayV2::Api');
  const endpoints: Endpoint[] = [];
  for (const api of apis) {
    const { Items = [] } = await client.call('apigatewayv2', 'GetStages', { ApiId: api.PhysicalResourceId! });
    for (const stage of Items) {
      const suffix = stage.StageName === '$default' ? '' : `/${stage.StageName}`;
      endpoints.push({
        name: api.LogicalResourceId!,
        url: `${client.endpoint}/_aws/execute-api/${api.PhysicalResourceId}${suffix}`,
      });
    }
  }
  for (const url of StackResources.filter(({ ResourceType }) => ResourceType === 'AWS::Lambda::Url')) {
    // The physical id is the function's ARN, which carries the alias.
    const { FunctionUrl } = await client.call('lambda', 'GetFunctionUrlConfig', {
      FunctionName: url.PhysicalResourceId!,
    });
    const [urlId] = new URL(FunctionUrl).hostname.split('.');
    endpoints.push({ name: url.LogicalResourceId!, url: `${client.endpoint}/_aws/lambda-url/${urlId}/` });
  }
  return endpoints;
}

async function findStack(client: CloudClient, stack: string) {
  try {
    const { Stacks } = await client.call('cloudformation', 'DescribeStacks', { StackName: stack });
    const [found] = Stacks ?? [];
    return found?.StackStatus === 'DELETE_COMPLETE' ? undefined : found;
  } catch (error) {
    if (error instanceof CliError && error.message.includes('does not exist')) return undefined;
    throw error;
  }
}

async function newestEvent(client: CloudClient, stackId: string): Promise<number> {
  const { StackEvents = [] } = await client.call('cloudformation', 'DescribeStackEvents', { StackName: stackId });
  return StackEvents[0]?.Timestamp ?? 0;
}

/** Prints the stack's events as they come until the stack has settled; the reason is the first failure's. */
async function follow(
  terminal: Terminal,
  client: CloudClient,
  stack: string,
  stackId: string,
  sinceMs: number,
): Promise<{ status: string; reason: string }> {
  const seen = new Set<string>();
  let reason = '';
  for (;;) {
    const { StackEvents = [] } = await client.call('cloudformation', 'DescribeStackEvents', { StackName: stackId });
    let settled: string | undefined;
    for (const event of [...StackEvents].reverse()) {
      if (seen.has(event.EventId!) || (event.Timestamp ?? 0) <= sinceMs) continue;
      seen.add(event.EventId!);
      const status = event.ResourceStatus ?? '';
      const why = event.ResourceStatusReason ?? '';
      if (status.endsWith('_FAILED') && reason === '' && !/cancelled/i.test(why))
        reason = `${event.LogicalResourceId}: ${why}`;
      const paint =
        status.endsWith('_FAILED') || status.includes('ROLLBACK')
          ? terminal.paint.red
          : status.endsWith('_COMPLETE')
            ? terminal.paint.green
            : terminal.paint.dim;
      terminal.progress(
        `${paint(status.padEnd(20))} ${event.LogicalResourceId} ${terminal.paint.dim(event.ResourceType ?? '')}${why === '' ? '' : `  ${why}`}`,
      );
      const isStack = event.PhysicalResourceId === stackId && event.LogicalResourceId === stack;
      if (isStack) settled = isSettled(status) ? status : undefined;
    }
    if (settled !== undefined) return { status: settled, reason };
    await wait(askEveryMs);
  }
}

function isSettled(status: string): boolean {
  return !status.endsWith('_IN_PROGRESS');
}

function parametersOf(texts: readonly string[]): { ParameterKey: string; ParameterValue: string }[] {
  return texts.map((text) => {
    const equals = text.indexOf('=');
    if (equals <= 0)
      throw new CliError(
        'BadParameter',
        `'${text}' is not KEY=VALUE`,
        'write it like --parameter VendorUrl=http://127.0.0.1:4580',
      );
    return { ParameterKey: text.slice(0, equals), ParameterValue: text.slice(equals + 1) };
  });
}

/** A parameter that was given once stays until it is given anew, as long as the template still has it. */
function withPrevious(
  given: readonly { ParameterKey: string; ParameterValue: string }[],
  previous: readonly { readonly ParameterKey?: string | undefined }[],
  template: { readonly [key: string]: unknown },
) {
  const declared = Object.keys((template['Parameters'] ?? {}) as object);
  const kept = previous
    .map(({ ParameterKey }) => ParameterKey ?? '')
    .filter((key) => declared.includes(key) && !given.some(({ ParameterKey }) => ParameterKey === key))
    .map((key) => ({ ParameterKey: key, UsePreviousValue: true }));
  return [...given, ...kept];
}
