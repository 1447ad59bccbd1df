import { hash } from 'node:crypto';
import { AwsError } from '../../../wire/errors.ts';
import type { MessageAttributeValue, MessageSystemAttributeValue } from '../../../wire/types/sqs.ts';
import { invalidParameter, invalidValue, missingParameter } from '../errors.ts';
import type { SqsLimits } from '../limits.ts';
import type { MessageExtras, StoredAttribute } from '../message.ts';

/** What SendMessage and an entry of SendMessageBatch have in common. */
export interface SendInput {
  readonly MessageBody: string;
  readonly DelaySeconds?: number | undefined;
  readonly MessageAttributes?: { readonly [key: string]: MessageAttributeValue } | undefined;
  readonly MessageSystemAttributes?: { readonly [key: string]: MessageSystemAttributeValue } | undefined;
  readonly MessageDeduplicationId?: string | undefined;
  readonly MessageGroupId?: string | undefined;
}

/** A message that may be sent, measured and with its attributes in stored form. */
export interface CheckedMessage {
  readonly bodyBytes: number;
  /** Body and attributes (names, types, values), which is what AWS counts. */
  readonly totalBytes: number;
  readonly extras: MessageExtras | undefined;
  readonly attributesMd5: string | undefined;
  readonly systemAttributesMd5: string | undefined;
}

// What XML 1.0 does not allow, beside lone surrogates, which isWellFormed finds.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const forbidden = /[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/;

/**
 * Checks everything about a message but its size and what only FIFO queues ask for. Throws as AWS does; sources of the words:
 * LocalStack's snapshots of AWS and its provider.
 */
export function checkMessage(
  input: SendInput,
  limits: Pick<SqsLimits, 'messageAttributes' | 'delayMs'>,
  fifo = false,
): CheckedMessage {
  const { MessageBody: body, DelaySeconds: delay, MessageGroupId: groupId } = input;
  if (typeof body !== 'string' || body === '') throw missingParameter('MessageBody');
  checkContents(body);
  if (delay !== undefined && !(delay >= 0 && delay * 1000 <= limits.delayMs)) {
    throw invalidValue(delay, 'DelaySeconds', 'DelaySeconds must be >= 0 and <= 900.');
  }
  if (input.MessageDeduplicationId !== undefined && !fifo) {
    const reason = 'The request includes a parameter that is not valid for this queue type.';
    throw invalidValue(input.MessageDeduplicationId, 'MessageDeduplicationId', reason);
  }
  if (groupId !== undefined) checkFifoId(groupId, 'MessageGroupId');
  const bodyBytes = Buffer.byteLength(body);
  if (input.MessageAttributes === undefined && input.MessageSystemAttributes === undefined) {
    const extras = groupId === undefined ? undefined : { groupId };
    return { bodyBytes, totalBytes: bodyBytes, extras, attributesMd5: undefined, systemAttributesMd5: undefined };
  }
  const attributes = storedAttributes(input.MessageAttributes, limits.messageAttributes);
  const traceHeader = traceHeaderOf(input.MessageSystemAttributes);
  const system: Record<string, StoredAttribute> | undefined =
    traceHeader === undefined ? undefined : { AWSTraceHeader: ['String', 's', traceHeader] };
  return {
    bodyBytes,
    totalBytes: bodyBytes + (attributes === undefined ? 0 : attributesBytes(attributes)),
    extras: {
      ...(attributes === undefined ? {} : { attributes }),
      ...(traceHeader === undefined ? {} : { traceHeader }),
      ...(groupId === undefined ? {} : { groupId }),
    },
    attributesMd5: attributes === undefined ? undefined : md5OfAttributes(attributes),
    systemAttributesMd5: system === undefined ? undefined : md5OfAttributes(system),
  };
}

/** `verb`: a single message "is" invalid, one in a batch "cannot be validated" (LocalStack's snapshots). */
export function checkSize(totalBytes: number, maxBytes: number, inBatch: boolean): void {
  if (totalBytes <= maxBytes) return;
  const what = inBatch ? 'cannot be validated' : 'are invalid';
  throw invalidParameter(`One or more parameters ${what}. Reason: Message must be shorter than ${maxBytes} bytes.`);
}

/**
 * The digest that SDKs check: attributes by name; of each the name, the data type, one byte for the transport and the
 * value, all but that byte with a length before it.
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
 */
export function md5OfAttributes(attributes: Readonly<Record<string, StoredAttribute>>): string {
  const parts: Buffer[] = [];
  const push = (bytes: Buffer): void => {
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32BE(bytes.length);
    parts.push(length, bytes);
  };
  for (const name of Object.keys(attributes).sort()) {
    const [dataType, transport, value] = attributes[name]!;
    push(Buffer.from(name, 'utf8'));
    push(Buffer.from(dataType, 'utf8'));
    parts.push(transport === 's' ? stringTransport : binaryTransport);
    push(Buffer.from(value, transport === 's' ? 'utf8' : 'base64'));
  }
  return hash('md5', Buffer.concat(parts), 'hex');
}

const stringTransport = Buffer.from([1]);
const binaryTransport = Buffer.from([2]);

/** Which of a message's attributes a receive asked for. */
export type AttributeFilter = 'all' | { readonly names: ReadonlySet<string>; readonly prefixes: readonly string[] };

/** `All` and `.*` (and, seen on AWS, `*`) ask for all, `foo.*` for a prefix; undefined when nothing is asked for. */
export function attributeFilter(names: readonly string[] | undefined): AttributeFilter | undefined {
  if (names === undefined || names.length === 0) return undefined;
  if (names.some((name) => name === 'All' || name === '.*' || name === '*')) return 'all';
  const prefixes = names.filter((name) => name.endsWith('.*')).map((name) => name.slice(0, -2));
  return { names: new Set(names), prefixes };
}

export function filterAttributes(
  attributes: Readonly<Record<string, StoredAttribute>>,
  filter: AttributeFilter,
): Readonly<Record<string, StoredAttribute>> | undefined {
  if (filter === 'all') return attributes;
  const wanted = Object.entries(attributes).filter(
    ([name]) => filter.names.has(name) || filter.prefixes.some((prefix) => name.startsWith(prefix)),
  );
  return wanted.length === 0 ? undefined : Object.fromEntries(wanted);
}

function checkContents(text: string): void {
  if (!forbidden.test(text) && text.isWellFormed()) return;
  throw new AwsError(
    'InvalidMessageContents',
    'Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF',
  );
}

/** A group id marks the tenant of a message in a fair queue; the same alphabet as deduplication ids. */
export function checkFifoId(id: string, parameter: string): void {
  if (/^[0-9A-Za-z!"#$%&'()*+,./:;<=>?@[\\\]^_`{|}~-]{1,128}$/.test(id)) return;
  const reason = `${parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length.`;
  throw invalidValue(id, parameter, reason);
}

function storedAttributes(
  given: SendInput['MessageAttributes'],
  most: number,
): Record<string, StoredAttribute> | undefined {
  const names = given === undefined ? [] : Object.keys(given);
  if (names.length === 0) return undefined;
  if (names.length > most) {
    throw invalidParameter(`Number of message attributes [${names.length}] exceeds the allowed maximum [${most}].`);
  }
  const stored: Record<string, StoredAttribute> = {};
  for (const name of names) {
    checkAttributeName(name);
    stored[name] = storedAttribute(name, given![name]!);
  }
  return stored;
}

/** Letters beyond ASCII are taken by AWS although the documentation does not say so (a test of LocalStack's against AWS). */
function checkAttributeName(name: string): void {
  if (name.length === 0 || Buffer.byteLength(name) > 256) {
    throw invalidParameter('Message (user) attribute names must be shorter than 256 Bytes');
  }
  if (!/^[\u00c0-\u017fA-Za-z0-9_.-]+$/.test(name)) {
    throw invalidParameter(
      'Message (user) attributes name can only contain upper and lower score characters, digits, periods, hyphens and underscores. ',
    );
  }
  if (/^(aws\.|amazon\.|\.)/i.test(name) || name.endsWith('.') || name.includes('..')) {
    throw invalidParameter(
      "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. These strings are reserved for internal use. Additionally, they cannot start or end with '.'.",
    );
  }
}

function storedAttribute(name: string, given: MessageAttributeValue): StoredAttribute {
  const { DataType: dataType, StringValue: text, BinaryValue: bytes } = given;
  if (given.StringListValues?.length || given.BinaryListValues?.length) {
    const message = 'Message attribute list values in SendMessage operation are not supported.';
    throw new AwsError('UnsupportedOperation', message);
  }
  if (!dataType) throw invalidParameter('Missing required parameter DataType');
  const kind = /^(String|Number|Binary)(?:$|\.)/.exec(dataType)?.[1];
  if (kind === undefined) {
    throw invalidParameter(
      `Type for parameter MessageAttributes.Attribute_name.DataType must be prefixedwith "String", "Binary", or "Number", but was: ${dataType}`,
    );
  }
  if (Buffer.byteLength(dataType) >= 256) {
    throw invalidParameter('Message (user) attribute types must be shorter than 256 Bytes');
  }
  const length = kind === 'Binary' ? bytes?.length : text?.length;
  if (!length) {
    throw invalidParameter(`Message (user) attribute '${name}' must contain a non-empty value of type '${kind}'.`);
  }
  if (kind === 'Binary') return [dataType, 'b', Buffer.from(bytes!).toString('base64')];
  checkContents(text!);
  if (kind === 'Number' && !/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text!.trim())) {
    throw invalidParameter(`Can't cast the value of message (user) attribute '${name}' to a number.`);
  }
  return [dataType, 's', text!];
}

function attributesBytes(attributes: Readonly<Record<string, StoredAttribute>>): number {
  return Object.entries(attributes).reduce((sum, [name, [dataType, transport, value]]) => {
    const valueBytes = Buffer.byteLength(value, transport === 's' ? 'utf8' : 'base64');
    return sum + Buffer.byteLength(name) + Buffer.byteLength(dataType) + valueBytes;
  }, 0);
}

/** AWSTraceHeader is the only one that can be sent. */
function traceHeaderOf(given: SendInput['MessageSystemAttributes']): string | undefined {
  if (given === undefined) return undefined;
  const unknown = Object.keys(given).find((name) => name !== 'AWSTraceHeader');
  if (unknown !== undefined) {
    throw invalidParameter(`Message system attribute name '${unknown}' is not supported.`);
  }
  const header = (given as Record<string, MessageSystemAttributeValue | undefined>)['AWSTraceHeader'];
  if (header === undefined) return undefined;
  if (header.DataType !== 'String' || !header.StringValue) {
    throw invalidParameter(
      "Message (system) attribute 'AWSTraceHeader' must contain a non-empty value of type 'String'.",
    );
  }
  return header.StringValue;
}
