/**
 * Attribute values as the wire hands them on (the JSON of the request, nothing looked at) and as the rules want them: members of
 * the right type, no nulls, nothing unknown, B and BS as bytes. What is in order already, which is everything but
 * binary values, comes back as the same object.
 * Texts: recorded on AWS by the dynalite project (its SerializationException tests); src/wire/protocols/json-read.ts
 * has the same for the rest of a request.
 */
import { invalidParameter, RuleError } from './errors.ts';
import { type AttributeMap, type AttributeValue, setAttribute } from './values.ts';

/** Members of data operations that hold attributes by name. */
const ATTRIBUTE_MEMBERS = ['Key', 'Item', 'ExclusiveStartKey', 'ExpressionAttributeValues'] as const;
/** Legacy members that hold conditions or updates by name, with values inside. */
const LEGACY_MEMBERS = ['Expected', 'KeyConditions', 'QueryFilter', 'ScanFilter', 'AttributeUpdates'] as const;

type Members = Readonly<Record<string, unknown>>;

/**
 * A data operation's input (or an entry of a batch's) with its attribute values read; `R` is the rules' type of it. The
 * input itself is left as it is. Throws RuleError (SerializationException).
 */
export function readInput<R>(input: object): R {
  const members = input as Members;
  let changed: Record<string, unknown> | undefined;
  for (const name of ATTRIBUTE_MEMBERS) {
    const given = members[name];
    if (given === undefined) continue;
    const read = readAttributes(given as Members);
    if (read !== given) (changed ??= { ...members })[name] = read;
  }
  for (const name of LEGACY_MEMBERS) {
    const given = members[name];
    if (given !== undefined) (changed ??= { ...members })[name] = readLegacy(given as Members);
  }
  return (changed ?? members) as R;
}

/** Attributes by name; see `readInput`. */
export function readAttributes(given: Members): AttributeMap {
  let changed: Record<string, AttributeValue> | undefined;
  for (const name in given) {
    const value = given[name];
    const read = readValue(value);
    if (read === value) continue;
    changed ??= { ...given } as Record<string, AttributeValue>;
    setAttribute(changed, name, read);
  }
  return changed ?? (given as AttributeMap);
}

function readLegacy(given: Members): Members {
  const entries = Object.entries(given).map(([name, entry]) => {
    const { Value, AttributeValueList, ...others } = entry as Members;
    const read = {
      ...others,
      ...(Value === undefined ? {} : { Value: readValue(Value) }),
      ...(AttributeValueList === undefined ? {} : { AttributeValueList: readList(AttributeValueList) }),
    };
    return [name, read] as const;
  });
  return Object.fromEntries(entries);
}

function readValue(given: unknown): AttributeValue {
  if (given === null) return {};
  if (typeof given !== 'object') throw serialization('Unexpected value type in payload');
  if (Array.isArray(given)) throw serialization('Unrecognized collection type class java.lang.Object');
  const members = given as Members;
  let changed: Record<string, unknown> | undefined;
  for (const type in members) {
    const member = members[type];
    const read = member === null ? undefined : readMember(type, member);
    if (read === member) continue;
    changed ??= { ...members };
    if (read === undefined) delete changed[type];
    else changed[type] = read;
  }
  return (changed ?? members) as AttributeValue;
}

/** Undefined for a member that no attribute value has. */
function readMember(type: string, member: unknown): unknown {
  switch (type) {
    case 'S':
      // Half a surrogate pair has no UTF-8 form; where it came from is a client's mistake that Java's encoder replaces, too.
      return typeof member === 'string' ? member.toWellFormed() : refuse(member, 'String');
    case 'N':
      return typeof member === 'string' ? member : refuse(member, 'String');
    case 'B':
      return readBinary(member);
    case 'BOOL':
    case 'NULL':
      return typeof member === 'boolean' ? member : readBoolean(member);
    case 'M':
      if (typeof member !== 'object') throw serialization('Unexpected field type');
      if (Array.isArray(member)) throw serialization('Unrecognized collection type java.util.Map');
      return readAttributes(member as Members);
    case 'L':
      return readList(member);
    case 'SS':
    case 'NS':
      for (const each of listOf(member)) {
        if (typeof each === 'string') continue;
        if (each === null) throw nullMember(type === 'SS' ? 'string' : 'number');
        refuse(each, 'String');
      }
      return member;
    case 'BS':
      return listOf(member).map((each) => {
        if (each === null) throw nullMember('binary');
        return readBinary(each);
      });
    default:
      return undefined;
  }
}

function readList(given: unknown): readonly AttributeValue[] {
  const list = listOf(given);
  let changed: AttributeValue[] | undefined;
  for (let index = 0; index < list.length; index++) {
    const read = readValue(list[index]);
    if (read === list[index]) continue;
    changed ??= list.slice() as AttributeValue[];
    changed[index] = read;
  }
  return changed ?? (list as readonly AttributeValue[]);
}

function listOf(given: unknown): readonly unknown[] {
  if (Array.isArray(given)) return given;
  throw serialization(
    typeof given === 'object' ? 'Start of structure or map found where not expected' : 'Unexpected field type',
  );
}

function readBinary(given: unknown): Uint8Array {
  if (given instanceof Uint8Array) return given;
  if (typeof given !== 'string') {
    if (typeof given === 'object') refuse(given, 'Blob');
    throw serialization('only base-64-encoded strings are convertible to bytes');
  }
  if (given.length % 4 !== 0) {
    throw serialization(`Base64 encoded length is expected a multiple of 4 bytes but found: ${given.length}`);
  }
  const bytes = Buffer.from(given, 'base64');
  const padding = given.endsWith('==') ? 2 : given.endsWith('=') ? 1 : 0;
  if (bytes.length !== (given.length / 4) * 3 - padding || given.includes('-') || given.includes('_')) {
    throw serialization('Invalid last non-pad Base64 character dectected');
  }
  return bytes;
}

function readBoolean(given: unknown): boolean {
  if (typeof given !== 'string') refuse(given, 'Boolean');
  const upper = (given as string).toUpperCase();
  if (upper === 'TRUE' || upper === '1' || upper === 'YES') return true;
  if (upper === 'FALSE' || upper === '0' || upper === 'NO') return false;
  throw serialization('Unexpected token received from parser');
}

function refuse(given: unknown, type: 'String' | 'Blob' | 'Boolean'): never {
  if (Array.isArray(given)) {
    const java = type === 'Blob' ? 'java.nio.ByteBuffer' : `java.lang.${type}`;
    throw serialization(`Unrecognized collection type class ${java}`);
  }
  if (typeof given === 'object') throw serialization('Start of structure or map found where not expected');
  throw serialization(`${tokenOf(given)} cannot be converted to ${type}`);
}

function tokenOf(given: unknown): string {
  if (typeof given === 'string') return 'STRING_VALUE';
  if (typeof given === 'number') return Number.isInteger(given) ? 'NUMBER_VALUE' : 'DECIMAL_VALUE';
  return given === true ? 'TRUE_VALUE' : 'FALSE_VALUE';
}

function nullMember(kind: string): RuleError {
  return invalidParameter(`An ${kind} set may not have a null ${kind} as a member`);
}

function serialization(message: string): RuleError {
  return new RuleError(message, 'SerializationException');
}
