/**
 * Attribute values: their type, what AWS refuses of them and in which words and order, equality, order and size.
 *
 * A validated value has exactly one member; N and NS hold canonical numbers (see number.ts), B and BS decoded bytes.
 * Values are never changed in place: what an item shares with another stays as it is.
 * Sources: API reference "AttributeValue"; developer guide "Supported data types", "Item sizes and formats", "Quotas";
 * texts and order as observed on AWS by dynalite's validations/index.js and test/putItem.js.
 */
import { invalidParameter, RuleError } from './errors.ts';
import { compareNumbers, normalizeNumber, numberSizeBytes } from './number.ts';

export interface AttributeValue {
  readonly S?: string;
  readonly N?: string;
  readonly B?: Uint8Array;
  readonly BOOL?: boolean;
  readonly NULL?: boolean;
  readonly SS?: readonly string[];
  readonly NS?: readonly string[];
  readonly BS?: readonly Uint8Array[];
  readonly L?: readonly AttributeValue[];
  readonly M?: AttributeMap;
}

/**
 * Attributes by name: an item, a key, or a map value. Names may be anything, `__proto__` included: use `attributeOf`.
 */
export type AttributeMap = Readonly<Record<string, AttributeValue>>;
export type Item = AttributeMap;
export type AttributeType = 'S' | 'N' | 'B' | 'BOOL' | 'NULL' | 'SS' | 'NS' | 'BS' | 'L' | 'M';

/** 400 KB, names included. */
export const MAX_ITEM_BYTES = 400 * 1024;
/** Levels of nesting, the attribute itself being the first: 31 lists or maps around a scalar pass, 32 do not. */
export const MAX_NESTING_LEVELS = 32;
export const MAX_ATTRIBUTE_NAME_BYTES = 65_535;

// AWS looks at the members in this order, whatever order the request has them in.
const TYPES: readonly AttributeType[] = ['S', 'B', 'N', 'BOOL', 'NULL', 'BS', 'NS', 'SS', 'L', 'M'];
const TYPE_SET: ReadonlySet<string> = new Set(TYPES);

const EMPTY_VALUE = 'Supplied AttributeValue is empty, must contain exactly one of the supported datatypes';
const MANY_TYPES =
  'Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes';
const TOO_DEEP =
  'Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit';

/** The attribute of that name, or undefined; unlike plain indexing it never finds inherited members. */
export function attributeOf(attributes: AttributeMap, name: string): AttributeValue | undefined {
  return Object.hasOwn(attributes, name) ? attributes[name] : undefined;
}

/** Sets an attribute of a map under construction, also under names such as `__proto__`. */
export function setAttribute(attributes: Record<string, AttributeValue>, name: string, value: AttributeValue): void {
  if (name === '__proto__') {
    Object.defineProperty(attributes, name, { value, enumerable: true, configurable: true, writable: true });
  } else {
    attributes[name] = value;
  }
}

/** The one type a validated value has. */
export function typeOf(value: AttributeValue): AttributeType {
  for (const type in value) {
    if (value[type as AttributeType] !== undefined) return type as AttributeType;
  }
  throw new RuleError(EMPTY_VALUE);
}

/**
 * Checks a value from a request and brings its numbers to canonical form; the same object comes back where nothing
 * had to change. Throws RuleError with AWS's text.
 */
export function validateValue(value: AttributeValue, level = 1): AttributeValue {
  const single = onlyMember(value);
  if (single !== undefined) return validateMember(value, single, level, value);
  let found: AttributeType | undefined;
  for (const type of TYPES) {
    if (value[type] === undefined) continue;
    validateMember(value, type, level, undefined);
    if (found !== undefined) throw new RuleError(MANY_TYPES);
    found = type;
  }
  if (found === undefined) throw new RuleError(EMPTY_VALUE);
  return validateMember(value, found, level, undefined);
}

/** Checks all attributes of an item, key or map from a request; see `validateValue`. */
export function validateAttributes(attributes: AttributeMap): AttributeMap {
  for (const name in attributes) checkAttributeName(name);
  return validateMap(attributes, 1);
}

/** Refuses empty and overlong attribute names. */
export function checkAttributeName(name: string): void {
  if (name === '') throw invalidParameter('Empty attribute name');
  if (name.length > MAX_ATTRIBUTE_NAME_BYTES / 3 && Buffer.byteLength(name) > MAX_ATTRIBUTE_NAME_BYTES) {
    throw invalidParameter('Attribute name is too large, must be less than 65536 bytes');
  }
}

/** Whether two validated values are equal: numbers by value, sets whatever their order, lists and maps deeply. */
export function valuesEqual(a: AttributeValue, b: AttributeValue): boolean {
  if (a === b) return true;
  const type = typeOf(a);
  if (type !== typeOf(b)) return false;
  switch (type) {
    case 'B':
      return compareBytes(a.B!, b.B!) === 0;
    case 'SS':
    case 'NS':
      return sameMembers(a[type]!, b[type]!);
    case 'BS':
      return sameMembers(a.BS!.map(base64Of), b.BS!.map(base64Of));
    case 'L':
      return a.L!.length === b.L!.length && a.L!.every((element, index) => valuesEqual(element, b.L![index]!));
    case 'M':
      return mapsEqual(a.M!, b.M!);
    default:
      return a[type] === b[type];
  }
}

/** Whether two validated items (or keys, or maps) have the same attributes. */
export function mapsEqual(a: AttributeMap, b: AttributeMap): boolean {
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  return names.every((name) => {
    const other = attributeOf(b, name);
    return other !== undefined && valuesEqual(a[name]!, other);
  });
}

/**
 * Order of two validated values: negative, zero, positive; undefined where AWS has none, that is for different types
 * and for types other than S (by UTF-8 bytes), N and B (by unsigned bytes).
 */
export function compareValues(a: AttributeValue, b: AttributeValue): number | undefined {
  if (a.S !== undefined && b.S !== undefined) return compareStrings(a.S, b.S);
  if (a.N !== undefined && b.N !== undefined) return compareNumbers(a.N, b.N);
  if (a.B !== undefined && b.B !== undefined) return compareBytes(a.B, b.B);
  return undefined;
}

/** Order of two strings by their UTF-8 bytes, which for characters beyond the basic plane is not JavaScript's order. */
export function compareStrings(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const x = a.charCodeAt(index);
    const y = b.charCodeAt(index);
    if (x !== y) return codeUnitRank(x) - codeUnitRank(y);
  }
  return a.length - b.length;
}

/** Order of two byte strings, bytes unsigned. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

/** Bytes an item (or key, or the contents of a map) takes by AWS's formula: names in UTF-8 and values. */
export function itemSizeBytes(attributes: AttributeMap): number {
  let total = 0;
  for (const name in attributes) {
    total += Buffer.byteLength(name) + valueSizeBytes(attributes[name]!);
  }
  return total;
}

/** Bytes a validated value takes; lists and maps 3 and 1 for each element. */
export function valueSizeBytes(value: AttributeValue): number {
  if (value.S !== undefined) return Buffer.byteLength(value.S);
  if (value.N !== undefined) return numberSizeBytes(value.N);
  if (value.M !== undefined) return 3 + Object.keys(value.M).length + itemSizeBytes(value.M);
  if (value.L !== undefined) return 3 + total(value.L, (element) => 1 + valueSizeBytes(element));
  if (value.B !== undefined) return value.B.length;
  if (value.SS !== undefined) return total(value.SS, (member) => Buffer.byteLength(member));
  if (value.NS !== undefined) return total(value.NS, numberSizeBytes);
  if (value.BS !== undefined) return total(value.BS, (member) => member.length);
  return 1;
}

/** Refuses an item over 400 KB, in PutItem's words. */
export function checkItemSize(item: Item): void {
  if (itemSizeBytes(item) > MAX_ITEM_BYTES) throw new RuleError('Item size has exceeded the maximum allowed size');
}

/** Refuses an updated item over 400 KB, in UpdateItem's words. */
export function checkUpdatedItemSize(item: Item): void {
  if (itemSizeBytes(item) > MAX_ITEM_BYTES) {
    throw new RuleError('Item size to update has exceeded the maximum allowed size');
  }
}

/** How AWS prints a value in error texts: `{S:a}`. */
export function describeValue(value: AttributeValue): string {
  return `{${typeOf(value)}:${describeMember(value)}}`;
}

function describeMember(value: AttributeValue): string {
  const type = typeOf(value);
  if (type === 'B') return base64Of(value.B!);
  if (type === 'BS') return `[${value.BS!.map(base64Of).join(', ')}]`;
  if (type === 'SS' || type === 'NS') return `[${value[type]!.join(', ')}]`;
  if (type === 'L') return `[${value.L!.map(describeValue).join(', ')}]`;
  if (type === 'M') {
    return `{${Object.entries(value.M!)
      .map(([name, member]) => `${name}=${describeValue(member)}`)
      .join(', ')}}`;
  }
  return String(value[type]);
}

/** The only member of a value that has nothing else at all: the usual case, found without a list. */
function onlyMember(value: AttributeValue): AttributeType | undefined {
  let only: AttributeType | undefined;
  for (const name in value) {
    if (only !== undefined || !TYPE_SET.has(name) || value[name as AttributeType] === undefined) return undefined;
    only = name as AttributeType;
  }
  return only;
}

/** Checks one member; `same` is what to give back if it is already in order. */
function validateMember(
  value: AttributeValue,
  type: AttributeType,
  level: number,
  same: AttributeValue | undefined,
): AttributeValue {
  switch (type) {
    case 'S':
      return same ?? { S: value.S! };
    case 'B':
      return same ?? { B: value.B! };
    case 'BOOL':
      return same ?? { BOOL: value.BOOL! };
    case 'N': {
      const canonical = normalizeNumber(value.N!);
      return same !== undefined && canonical === value.N ? same : { N: canonical };
    }
    case 'NULL':
      if (value.NULL !== true) throw invalidParameter('Null attribute value types must have the value of true');
      return same ?? { NULL: true };
    case 'SS':
      validateStringSet(value.SS!);
      return same ?? { SS: value.SS! };
    case 'NS':
      return validateNumberSet(value.NS!, same);
    case 'BS':
      validateBinarySet(value.BS!);
      return same ?? { BS: value.BS! };
    case 'L':
      return validateList(value.L!, level, same);
    case 'M': {
      const members = nested(level, () => validateMap(value.M!, level + 1));
      return same !== undefined && members === value.M ? same : { M: members };
    }
  }
}

/** A container at the last level is refused, empty or not: its elements would be a level too deep. */
function nested<T>(level: number, validate: () => T): T {
  if (level >= MAX_NESTING_LEVELS) throw new RuleError(TOO_DEEP);
  return validate();
}

function validateList(
  list: readonly AttributeValue[],
  level: number,
  same: AttributeValue | undefined,
): AttributeValue {
  return nested(level, () => {
    let changed: AttributeValue[] | undefined;
    for (const [index, element] of list.entries()) {
      const checked = validateValue(element, level + 1);
      if (checked === element) continue;
      changed ??= list.slice();
      changed[index] = checked;
    }
    return changed === undefined && same !== undefined ? same : { L: changed ?? list };
  });
}

function validateMap(attributes: AttributeMap, level: number): AttributeMap {
  let changed: Record<string, AttributeValue> | undefined;
  for (const name in attributes) {
    const value = attributes[name]!;
    const checked = validateValue(value, level);
    if (checked === value) continue;
    changed ??= { ...attributes };
    setAttribute(changed, name, checked);
  }
  return changed ?? attributes;
}

function validateStringSet(members: readonly string[]): void {
  if (members.length === 0) throw invalidParameter('An string set  may not be empty');
  if (new Set(members).size !== members.length) {
    throw invalidParameter(`Input collection [${members.join(', ')}] contains duplicates.`);
  }
}

function validateNumberSet(members: readonly string[], same: AttributeValue | undefined): AttributeValue {
  if (members.length === 0) throw invalidParameter('An number set  may not be empty');
  const canonical = members.map(normalizeNumber);
  if (new Set(canonical).size !== canonical.length) throw new RuleError('Input collection contains duplicates');
  return same !== undefined && canonical.every((member, index) => member === members[index]) ? same : { NS: canonical };
}

function validateBinarySet(members: readonly Uint8Array[]): void {
  if (members.length === 0) throw invalidParameter('Binary sets should not be empty');
  const texts = members.map(base64Of);
  if (new Set(texts).size !== texts.length) {
    throw invalidParameter(`Input collection [${texts.join(', ')}]of type BS contains duplicates.`);
  }
}

function sameMembers(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  const members = new Set(a);
  return b.every((member) => members.has(member));
}

/** Surrogates stand for characters above U+FFFF, so they rank above the rest of the basic plane. */
function codeUnitRank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

function total<T>(elements: readonly T[], size: (element: T) => number): number {
  let sum = 0;
  for (const element of elements) sum += size(element);
  return sum;
}

/** Base64 of a byte string. */
export function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
