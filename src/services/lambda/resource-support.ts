import type { Input, OperationName, Output } from '../../platform/context.ts';
import type { ResourceContext } from '../../platform/resource-type.ts';
import { AwsError } from '../../wire/errors.ts';

/** A call on Lambda in the name of who works on the stack. */
export function call<O extends OperationName<'lambda'>>(
  context: ResourceContext,
  operation: O,
  input: Input<'lambda', O>,
): Promise<Output<'lambda', O>> {
  return context.bus.call(context.caller, 'lambda', operation, input);
}

/**
 * Properties as an operation's input: CloudFormation takes numbers and booleans as text as well, which the API does not. What is undefined
 * is left out. The operation judges the rest.
 */
export function asInput<T>(properties: Readonly<Record<string, unknown>>): T {
  return coerced(properties, '') as T;
}

function coerced(value: unknown, name: string): unknown {
  if (Array.isArray(value)) return value.map((element) => coerced(element, ''));
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
    // The values of variables and tags are text, whatever they look like.
    if (name === 'Variables') return Object.fromEntries(entries.map(([key, inner]) => [key, String(inner)]));
    return Object.fromEntries(entries.map(([key, inner]) => [key, coerced(inner, key)]));
  }
  if (typeof value !== 'string') return value;
  if (numbers.has(name) && value.trim() !== '' && Number.isFinite(Number(value))) return Number(value);
  if (booleans.has(name) && (value === 'true' || value === 'false')) return value === 'true';
  return value;
}

const numbers = new Set([
  'BatchSize',
  'FunctionWeight',
  'MaximumBatchingWindowInSeconds',
  'MaximumConcurrency',
  'MaximumEventAgeInSeconds',
  'MaximumPollers',
  'MaximumRecordAgeInSeconds',
  'MaximumRetryAttempts',
  'MemorySize',
  'MinimumPollers',
  'ParallelizationFactor',
  'Size',
  'Timeout',
  'TumblingWindowInSeconds',
]);

const booleans = new Set(['BisectBatchOnFunctionError', 'Enabled', 'InvokedViaFunctionUrl', 'Ipv6AllowedForDualStack']);

export function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

export function textOf(value: unknown): string | undefined {
  return value === undefined || value === null ? undefined : String(value);
}

/** CloudFormation's list of Key and Value. */
export function tagsOf(value: unknown): Readonly<Record<string, string>> {
  const list: readonly unknown[] = Array.isArray(value) ? value : [];
  return Object.fromEntries(
    list.map((tag) => {
      const { Key, Value } = recordOf(tag);
      return [String(Key), String(Value ?? '')];
    }),
  );
}

/** The tags that CloudFormation puts on what it makes. */
export function stackTags(context: ResourceContext): Readonly<Record<string, string>> {
  return {
    'aws:cloudformation:stack-name': context.stackName,
    'aws:cloudformation:stack-id': context.stackId,
    'aws:cloudformation:logical-id': context.logicalId,
  };
}

/** For `catch`: gives `instead` where the resource is not there. */
export function ifMissing<T>(instead: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof AwsError && error.code === 'ResourceNotFoundException') return instead;
    throw error;
  };
}
