import type { Caller } from '../../../platform/context.ts';
import type { Authorization } from '../../../platform/service.ts';

/** https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html */
export function touchedResource(
  operation: string,
  input: unknown,
  { account, region }: Caller,
): Authorization | undefined {
  const from = (input ?? {}) as Readonly<Record<string, unknown>>;
  const text = (name: string): string | undefined => (typeof from[name] === 'string' ? from[name] : undefined);
  const arn = text('resourceArn');
  if (arn !== undefined) return { resource: arn };
  const groups = `arn:aws:logs:${region}:${account}:log-group:`;
  const identifier = text('logGroupIdentifier');
  const name = text('logGroupName') ?? (identifier?.startsWith('arn:') ? identifier.split(':')[6] : identifier);
  const stream = text('logStreamName');
  if (name === undefined) {
    const prefix = text('logGroupNamePrefix') ?? '';
    return operation === 'DescribeLogGroups' ? { resource: `${groups}${prefix}*` } : undefined;
  }
  if (stream !== undefined && ofStream.has(operation)) return { resource: `${groups}${name}:log-stream:${stream}` };
  return { resource: `${groups}${name}${operation === 'CreateLogGroup' ? '' : ':*'}` };
}

const ofStream = new Set(['PutLogEvents', 'GetLogEvents', 'DeleteLogStream']);
