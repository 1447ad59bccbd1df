import { type Arn, parseArn } from '../../../platform/arn.ts';
import { invalidValue } from '../errors.ts';

export interface RedrivePolicy {
  readonly deadLetterTargetArn: string;
  readonly target: Arn;
  readonly maxReceiveCount: number;
}

export interface RedriveAllowPolicy {
  readonly redrivePermission: 'allowAll' | 'denyAll' | 'byQueue';
  readonly sourceQueueArns: readonly string[];
}

/**
 * Reads the attribute RedrivePolicy; whether the target exists is the caller's to see. Reasons as AWS words them in public
 * reports (serverless issue 5215, crossplane provider-aws issue 443, LocalStack's provider).
 */
export function parseRedrivePolicy(text: string): RedrivePolicy {
  const policy = parseObject(text);
  if (policy === undefined) throw invalidValue(text, 'RedrivePolicy', 'Redrive policy is not a valid JSON map.');
  for (const name of ['deadLetterTargetArn', 'maxReceiveCount']) {
    if (policy[name] === undefined || policy[name] === null) {
      const reason = `Redrive policy does not contain mandatory attribute: ${name}.`;
      throw invalidValue(text, 'RedrivePolicy', reason);
    }
  }
  const extra = Object.keys(policy).find((name) => name !== 'deadLetterTargetArn' && name !== 'maxReceiveCount');
  if (extra !== undefined) {
    throw invalidValue(
      text,
      'RedrivePolicy',
      'Only following attributes are supported: [deadLetterTargetArn, maxReceiveCount].',
    );
  }
  const { deadLetterTargetArn, maxReceiveCount } = policy;
  const count = /^\d{1,6}$/.test(String(maxReceiveCount)) ? Number(maxReceiveCount) : 0;
  if (count < 1 || count > 1000) {
    const reason = `Invalid value for maxReceiveCount: ${maxReceiveCount}, valid values are from 1 to 1000 both inclusive.`;
    throw invalidValue(text, 'RedrivePolicy', reason);
  }
  const target = typeof deadLetterTargetArn === 'string' ? queueArn(deadLetterTargetArn) : undefined;
  if (target === undefined) throw invalidValue(text, 'RedrivePolicy', 'Invalid value for deadLetterTargetArn.');
  return { deadLetterTargetArn: deadLetterTargetArn as string, target, maxReceiveCount: count };
}

/** Reads the attribute RedriveAllowPolicy. */
export function parseRedriveAllowPolicy(text: string, mostSources: number): RedriveAllowPolicy {
  const policy = parseObject(text);
  const permission = policy?.['redrivePermission'];
  if (policy === undefined || (permission !== 'allowAll' && permission !== 'denyAll' && permission !== 'byQueue')) {
    const reason = "Amazon SQS can't create the redrive allow policy, as it's in an unsupported format.";
    throw invalidValue(text, 'RedriveAllowPolicy', reason);
  }
  const arns = policy['sourceQueueArns'] ?? [];
  if (!Array.isArray(arns) || !arns.every((arn) => typeof arn === 'string' && queueArn(arn) !== undefined)) {
    const reason = "Amazon SQS can't create the redrive allow policy. The sourceQueueArns are not ARNs of queues.";
    throw invalidValue(text, 'RedriveAllowPolicy', reason);
  }
  if (permission === 'byQueue' ? arns.length === 0 || arns.length > mostSources : arns.length > 0) {
    const reason =
      permission === 'byQueue'
        ? `Amazon SQS can't create the redrive allow policy. When you specify the byQueue permission type, you must also specify 1 to ${mostSources} sourceQueueArns.`
        : "Amazon SQS can't create the redrive allow policy. You can specify sourceQueueArns only with the byQueue permission type.";
    throw invalidValue(text, 'RedriveAllowPolicy', reason);
  }
  return { redrivePermission: permission, sourceQueueArns: arns as string[] };
}

/** Whether a dead-letter queue with this RedriveAllowPolicy (undefined: none) takes messages of a source. */
export function allowsSource(policy: string | undefined, sourceArn: string): boolean {
  if (policy === undefined) return true;
  const { redrivePermission, sourceQueueArns } = parseRedriveAllowPolicy(policy, Number.POSITIVE_INFINITY);
  return redrivePermission === 'allowAll' || (redrivePermission === 'byQueue' && sourceQueueArns.includes(sourceArn));
}

/** An ARN of a queue, with the name in `resource`; undefined for anything else. */
export function queueArn(text: string): Arn | undefined {
  const arn = parseArn(text);
  if (arn === undefined || arn.service !== 'sqs' || arn.region === '' || arn.account === '') return undefined;
  return /^[A-Za-z0-9_-]{1,80}(\.fifo)?$/.test(arn.resource) ? arn : undefined;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
      ? (parsed as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
