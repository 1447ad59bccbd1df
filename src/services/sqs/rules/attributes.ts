import { AwsError } from '../../../wire/errors.ts';
import { invalidAttribute, invalidParameter, invalidValue, unknownAttribute } from '../errors.ts';
import type { SqsLimits } from '../limits.ts';
import type { QueueRecord } from '../state.ts';
import { parseRedriveAllowPolicy, parseRedrivePolicy, type RedrivePolicy } from './redrive.ts';

/** What a queue's attributes mean, parsed once per version of its record. */
export interface QueueConfig {
  readonly delayMs: number;
  readonly visibilityMs: number;
  readonly retentionMs: number;
  readonly waitMs: number;
  readonly maxMessageBytes: number;
  readonly redrive: RedrivePolicy | undefined;
  /** Undefined: a standard queue. */
  readonly fifo: FifoConfig | undefined;
}

export interface FifoConfig {
  /** Messages without a deduplication id are known by their bodies. */
  readonly contentBased: boolean;
  readonly scope: 'queue' | 'messageGroup';
  /** Whether the throughput limit holds for each group: high throughput, together with the scope messageGroup. */
  readonly perGroup: boolean;
}

/** https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html; seconds and bytes. */
const integerAttributes: Readonly<Record<string, { min: number; max: number; initial: number | undefined }>> = {
  VisibilityTimeout: { min: 0, max: 43_200, initial: 30 },
  DelaySeconds: { min: 0, max: 900, initial: 0 },
  MaximumMessageSize: { min: 1024, max: 1_048_576, initial: 1_048_576 },
  MessageRetentionPeriod: { min: 60, max: 1_209_600, initial: 345_600 },
  ReceiveMessageWaitTimeSeconds: { min: 0, max: 20, initial: 0 },
  KmsDataKeyReusePeriodSeconds: { min: 60, max: 86_400, initial: undefined },
};

const textAttributes = ['KmsMasterKeyId', 'Policy', 'RedriveAllowPolicy', 'RedrivePolicy', 'SqsManagedSseEnabled'];

/** Read-only attributes; GetQueueAttributes computes them. */
export const computedAttributes = [
  'ApproximateNumberOfMessages',
  'ApproximateNumberOfMessagesDelayed',
  'ApproximateNumberOfMessagesNotVisible',
  'CreatedTimestamp',
  'LastModifiedTimestamp',
  'QueueArn',
] as const;

/** Attributes of FIFO queues alone, with their defaults and what they may be. */
const fifoAttributes: Readonly<Record<string, { readonly initial: string; readonly values: readonly string[] }>> = {
  FifoQueue: { initial: 'true', values: ['true'] },
  ContentBasedDeduplication: { initial: 'false', values: ['true', 'false'] },
  DeduplicationScope: { initial: 'queue', values: ['queue', 'messageGroup'] },
  FifoThroughputLimit: { initial: 'perQueue', values: ['perQueue', 'perMessageGroupId'] },
};
const fifoNames = Object.keys(fifoAttributes);
const gettable = new Set<string>([
  'All',
  ...Object.keys(integerAttributes),
  ...textAttributes,
  ...computedAttributes,
  ...fifoNames,
]);

/** Setting one of these to its default removes it (LocalStack's tests against AWS). */
const removedAtDefault: Readonly<Record<string, string>> = {
  KmsMasterKeyId: '',
  KmsDataKeyReusePeriodSeconds: '300',
  Policy: '',
  RedrivePolicy: '',
  RedriveAllowPolicy: '',
};

export function configOf(record: QueueRecord): QueueConfig {
  const number = (name: string): number => Number(record.attributes[name] ?? integerAttributes[name]!.initial);
  const redrive = record.attributes['RedrivePolicy'];
  return {
    delayMs: number('DelaySeconds') * 1000,
    visibilityMs: number('VisibilityTimeout') * 1000,
    retentionMs: number('MessageRetentionPeriod') * 1000,
    waitMs: number('ReceiveMessageWaitTimeSeconds') * 1000,
    maxMessageBytes: number('MaximumMessageSize'),
    redrive: redrive === undefined ? undefined : parseRedrivePolicy(redrive),
    fifo: isFifo(record.attributes) ? fifoConfigOf(record.attributes) : undefined,
  };
}

/** By stored attributes. */
export function isFifo(attributes: Readonly<Record<string, string>>): boolean {
  return attributes['FifoQueue'] === 'true';
}

function fifoConfigOf(attributes: Readonly<Record<string, string>>): FifoConfig {
  return {
    contentBased: attributes['ContentBasedDeduplication'] === 'true',
    scope: attributes['DeduplicationScope'] === 'messageGroup' ? 'messageGroup' : 'queue',
    perGroup: attributes['FifoThroughputLimit'] === 'perMessageGroupId',
  };
}

/**
 * The attributes after a change; `before` undefined: of a queue that is being created, which alone may become a FIFO queue.
 * Throws what AWS answers for the first bad one: InvalidAttributeName for unknown and read-only names, InvalidAttributeValue
 * for values, InvalidParameterValue for policies.
 */
export function changedAttributes(
  before: Readonly<Record<string, string>> | undefined,
  changes: Readonly<Record<string, string>>,
  limits: Pick<SqsLimits, 'redriveSources'>,
): Record<string, string> {
  const after: Record<string, string> = { ...before };
  const fifo = before === undefined ? /^true$/i.test(changes['FifoQueue'] ?? '') : isFifo(before);
  for (const [name, given] of Object.entries(changes)) {
    const value = fifoNames.includes(name) ? checkedFifoAttribute(name, given, fifo) : given;
    if (!fifoNames.includes(name)) checkAttribute(name, value, limits);
    if (removedAtDefault[name] === value || (emptyIsGone.has(name) && isEmptyObject(value))) delete after[name];
    else after[name] = value;
  }
  if (after['FifoThroughputLimit'] === 'perMessageGroupId' && after['DeduplicationScope'] !== 'messageGroup') {
    // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html: "allowed only when".
    const reason = 'The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup.';
    throw new AwsError(
      'InvalidAttributeValue',
      `Invalid value for the parameter FifoThroughputLimit. Reason: ${reason}`,
    );
  }
  const kms = changes['KmsMasterKeyId'] ?? '';
  const managed = changes['SqsManagedSseEnabled']?.toLowerCase();
  if (kms !== '' && managed === 'true') throw twoEncryptions();
  if (kms !== '') after['SqsManagedSseEnabled'] = 'false';
  else if (managed !== undefined) after['SqsManagedSseEnabled'] = managed;
  if (managed === 'true') {
    delete after['KmsMasterKeyId'];
    delete after['KmsDataKeyReusePeriodSeconds'];
  }
  return after;
}

const emptyIsGone = new Set(['RedrivePolicy', 'RedriveAllowPolicy', 'Policy']);

/** The name of the first attribute asked for that an existing queue has otherwise; undefined when it has them all. */
export function differingAttribute(
  record: QueueRecord,
  asked: Readonly<Record<string, string>>,
  limits: Pick<SqsLimits, 'redriveSources'>,
): string | undefined {
  const wanted = changedAttributes(undefined, asked, limits);
  const fifo = isFifo(record.attributes);
  return Object.keys(asked).find((name) => {
    const has = record.attributes[name] ?? initialValue(name, fifo);
    return has !== (wanted[name] ?? initialValue(name, fifo));
  });
}

/** Every stored or default attribute, without the computed ones. */
export function shownAttributes(record: QueueRecord): Record<string, string> {
  const shown: Record<string, string> = {};
  const fifo = isFifo(record.attributes);
  for (const name of [...Object.keys(integerAttributes), ...textAttributes, ...(fifo ? fifoNames : [])]) {
    const value = record.attributes[name] ?? initialValue(name, fifo);
    if (value !== undefined) shown[name] = value;
  }
  return shown;
}

export function isAttributeName(name: string): boolean {
  return gettable.has(name);
}

/** Throws InvalidAttributeName for a name that no queue has. */
export function checkAttributeNames(names: readonly string[]): void {
  const unknown = names.find((name) => !gettable.has(name));
  if (unknown !== undefined) throw unknownAttribute(unknown);
}

/** A standard queue's name; https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html */
export function checkQueueName(name: string, fifo: boolean): void {
  if (fifo) {
    if (/^[A-Za-z0-9_-]{1,75}\.fifo$/.test(name)) return;
    throw invalidParameter(
      'The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length',
    );
  }
  if (!/^[A-Za-z0-9_-]{1,80}$/.test(name)) {
    throw invalidParameter('Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length');
  }
}

/**
 * The value in its stored form. Standard queues know none of these attributes, and the words for that differ (LocalStack's
 * snapshots of AWS: test_create_standard_queue_with_fifo_attribute_raises_error, test_set_unsupported_attribute_fifo).
 */
function checkedFifoAttribute(name: string, given: string, fifo: boolean): string {
  if (!fifo) {
    if (name === 'FifoQueue' || name === 'ContentBasedDeduplication') throw unknownAttribute(name);
    throw new AwsError('InvalidAttributeName', `You can specify the ${name} only when FifoQueue is set to true.`);
  }
  const { values } = fifoAttributes[name]!;
  const value = /^(true|false)$/i.test(given) ? given.toLowerCase() : given;
  if (values.includes(value)) return value;
  if (name === 'FifoQueue' && value === 'false') {
    const reason = 'Modifying queue type is not supported.';
    throw new AwsError('InvalidAttributeValue', `Invalid value for the parameter ${name}. Reason: ${reason}`);
  }
  throw invalidAttribute(name);
}

function checkAttribute(name: string, value: string, limits: Pick<SqsLimits, 'redriveSources'>): void {
  const range = Object.hasOwn(integerAttributes, name) ? integerAttributes[name] : undefined;
  if (range !== undefined) {
    const number = /^-?\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
    if (!(number >= range.min && number <= range.max)) throw invalidAttribute(name);
    return;
  }
  switch (name) {
    case 'SqsManagedSseEnabled':
      if (!/^(true|false)$/i.test(value)) throw invalidAttribute(name);
      return;
    case 'KmsMasterKeyId':
      return;
    case 'Policy':
      if (value !== '' && parsedObject(value) === undefined) throw invalidAttribute(name);
      return;
    case 'RedrivePolicy':
      if (value !== '' && !isEmptyObject(value)) parseRedrivePolicy(value);
      return;
    case 'RedriveAllowPolicy':
      if (value !== '' && !isEmptyObject(value)) parseRedriveAllowPolicy(value, limits.redriveSources);
      return;
    default:
      throw unknownAttribute(name);
  }
}

function initialValue(name: string, fifo: boolean): string | undefined {
  if (name === 'SqsManagedSseEnabled') return 'true';
  if (fifo && Object.hasOwn(fifoAttributes, name)) return fifoAttributes[name]!.initial;
  const initial = Object.hasOwn(integerAttributes, name) ? integerAttributes[name]!.initial : undefined;
  return initial === undefined ? undefined : String(initial);
}

function twoEncryptions(): AwsError {
  return new AwsError(
    'InvalidAttributeName',
    'You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.',
  );
}

function isEmptyObject(text: string): boolean {
  const parsed = text.length < 16 ? parsedObject(text) : undefined;
  return parsed !== undefined && Object.keys(parsed).length === 0;
}

function parsedObject(text: string): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
      ? (parsed as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** Tags: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-queue-tags.html */
export function changedTags(
  queueName: string,
  before: Readonly<Record<string, string>>,
  added: Readonly<Record<string, string>>,
  options: { readonly most: number; readonly reserved: boolean },
): Record<string, string> {
  for (const [key, value] of Object.entries(added)) {
    if (key.length < 1 || key.length > 128) {
      throw invalidParameter('Tag keys must be between 1 and 128 characters in length.');
    }
    if (value.length > 256) throw invalidParameter('Tag values must be between 0 and 256 characters in length.');
    if (/^aws:/i.test(key) && !options.reserved) throw invalidValue(key, 'TagKey', 'aws: is a reserved prefix.');
  }
  const after = { ...before, ...added };
  const own = Object.keys(after).filter((key) => !key.startsWith('aws:')).length;
  if (own > options.most) throw invalidParameter(`Too many tags added for queue ${queueName}.`);
  return after;
}
