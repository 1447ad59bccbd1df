import { fromBase64 } from '../base64.ts';
import { AwsError } from '../errors.ts';
import type { MemberRef, ServiceModel, Shape } from '../model.ts';
import { memberOf, shapeOf } from '../model.ts';
import { parseTimestamp } from '../timestamp.ts';

/** Takes a parsed JSON value (not null) and gives the handler's value; throws SerializationException for a wrong JSON type. */
export type JsonReader = (value: unknown) => unknown;

/**
 * Compiled readers of a model's shapes. A reader works in place: it drops what the model does not know and JSON nulls, turns
 * blobs and timestamps, and hands back the object it was given, since the value was parsed for this call alone.
 */
export class JsonReaders {
  private readonly model: ServiceModel;
  private readonly words: Words;
  private readonly opaque: ReadonlySet<string>;
  private readonly known = new Map<string, JsonReader>();

  constructor(model: ServiceModel) {
    this.model = model;
    this.words = model.jsonDialect === 'dynamodb' ? dynamoDbWords : coralWords;
    this.opaque = new Set(model.validation?.opaque ?? []);
  }

  /** The reader of a shape. `left` names members of a structure that do not stand in the body (HTTP bindings); they read as unknown. */
  shape(name: string, left?: ReadonlySet<string>): JsonReader {
    if (left !== undefined && left.size > 0) return this.structure(shapeOf(this.model, name), left);
    const known = this.known.get(name);
    if (known !== undefined) return known;
    // Recursive shapes find this one while the real one is being compiled.
    let reader: JsonReader | undefined;
    this.known.set(name, (value) => reader!(value));
    reader = this.opaque.has(name) ? asItIs : this.compile(shapeOf(this.model, name));
    this.known.set(name, reader);
    return reader;
  }

  private compile(shape: Shape): JsonReader {
    switch (shape.type) {
      case 'structure':
        return this.structure(shape, NONE_LEFT);
      case 'list':
        return this.list(shape);
      case 'map':
        return this.map(shape);
      case 'blob':
        return (value) => this.blob(value);
      case 'timestamp':
        return (value) => this.timestamp(value);
      case 'string':
        return (value) => (typeof value === 'string' ? value : this.refuse(value, 'String'));
      case 'boolean':
        return (value) => (typeof value === 'boolean' ? value : this.boolean(value));
      case 'integer':
        return this.whole('Integer');
      case 'long':
        return this.whole('Long');
      case 'float':
        return this.fraction('Float');
      case 'double':
        return this.fraction('Double');
      case 'bigdecimal':
        return this.fraction('BigDecimal');
    }
  }

  private structure(shape: Shape, left: ReadonlySet<string>): JsonReader {
    const members = new Map<string, { name: string; read: JsonReader }>();
    for (const [name, ref] of Object.entries(shape.members ?? {})) {
      if (left.has(name)) continue;
      members.set(memberOf(ref).locationName ?? name, { name, read: this.member(ref) });
    }
    const { words } = this;
    return (value) => {
      if (typeof value !== 'object') throw serialization(words.structureFromScalar);
      if (Array.isArray(value)) throw serialization(words.listNotExpected('structure'));
      const object = value as Record<string, unknown>;
      for (const key in object) {
        const member = members.get(key);
        const given = object[key];
        if (member === undefined || given === null) {
          delete object[key];
          continue;
        }
        const read = member.read(given);
        if (member.name !== key) delete object[key];
        if (read !== given || member.name !== key) object[member.name] = read;
      }
      return object;
    };
  }

  private list(shape: Shape): JsonReader {
    const read = this.member(shape.member!);
    const { words } = this;
    return (value) => {
      if (!Array.isArray(value)) {
        throw serialization(typeof value === 'object' ? words.structureNotExpected : words.listFromScalar);
      }
      for (let i = 0; i < value.length; i++) if (value[i] !== null) value[i] = read(value[i]);
      return value;
    };
  }

  private map(shape: Shape): JsonReader {
    const read = this.member(shape.value!);
    const { words } = this;
    const passes = read === asItIs;
    return (value) => {
      if (typeof value !== 'object') throw serialization(words.mapFromScalar);
      if (Array.isArray(value)) throw serialization(words.listNotExpected('map'));
      if (passes) return value;
      const object = value as Record<string, unknown>;
      for (const key of Object.keys(object)) {
        if (object[key] === null) delete object[key];
        // Not by assignment: the key may be __proto__.
        else Object.defineProperty(object, key, { ...OWN, value: read(object[key]) });
      }
      return object;
    };
  }

  private member(ref: MemberRef): JsonReader {
    return this.shape(memberOf(ref).shape);
  }

  private blob(value: unknown): Buffer {
    if (typeof value !== 'string') {
      if (typeof value === 'object') this.refuse(value, 'Blob');
      throw serialization(this.words.blobFromScalar);
    }
    const bytes = fromBase64(value);
    if (bytes !== undefined) return bytes;
    const wrongLength = value.length % 4 !== 0;
    const expected = `Base64 encoded length is expected a multiple of 4 bytes but found: ${value.length}`;
    throw serialization(wrongLength ? expected : 'Invalid last non-pad Base64 character dectected');
  }

  private timestamp(value: unknown): number {
    const epochMs = typeof value === 'number' || typeof value === 'string' ? parseTimestamp(value) : undefined;
    return epochMs ?? this.refuse(value, 'Date');
  }

  /** Words for yes and no are taken, whatever their case (recorded on AWS by the dynalite project). */
  private boolean(value: unknown): boolean {
    if (typeof value !== 'string') return this.refuse(value, 'Boolean');
    const upper = value.toUpperCase();
    if (upper === 'TRUE' || upper === '1' || upper === 'YES') return true;
    if (upper === 'FALSE' || upper === '0' || upper === 'NO') return false;
    throw serialization('Unexpected token received from parser');
  }

  /** A fraction is cut off, as AWS's parser does. */
  private whole(type: string): JsonReader {
    return (value) => (typeof value === 'number' ? Math.trunc(value) : this.refuse(value, type));
  }

  private fraction(type: string): JsonReader {
    return (value) => {
      if (typeof value === 'number') return value;
      const special = typeof value === 'string' ? SPECIAL_NUMBERS.get(value) : undefined;
      return special ?? this.refuse(value, type);
    };
  }

  private refuse(value: unknown, type: string): never {
    const { words } = this;
    if (Array.isArray(value)) throw serialization(words.listNotExpected(type));
    if (typeof value === 'object') throw serialization(words.structureNotExpected);
    throw serialization(words.notConverted(tokenOf(value), type));
  }
}

/** The error of a body that cannot be read; `message` undefined where AWS gives none. */
export function serialization(message: string): AwsError {
  return new AwsError('SerializationException', message);
}

const NONE_LEFT: ReadonlySet<string> = new Set();
const OWN = { writable: true, enumerable: true, configurable: true } as const;
const SPECIAL_NUMBERS = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
]);

interface Words {
  readonly structureFromScalar: string;
  readonly structureNotExpected: string;
  readonly listFromScalar: string;
  readonly mapFromScalar: string;
  readonly blobFromScalar: string;
  readonly listNotExpected: (type: string) => string;
  readonly notConverted: (token: string, type: string) => string;
}

/** Answers of ECS, SSM and others, quoted in public issues: "STRING_VALUE can not be converted to an Integer", "Expected list or null". */
const coralWords: Words = {
  structureFromScalar: 'Expected null',
  structureNotExpected: 'Start of structure or map found where not expected.',
  listFromScalar: 'Expected list or null',
  mapFromScalar: 'Expected map or null',
  blobFromScalar: 'only base-64-encoded strings are convertible to bytes',
  listNotExpected: () => 'Start of list found where not expected',
  notConverted: (token, type) => `${token} can not be converted to ${/^[AEIOU]/.test(type) ? 'an' : 'a'} ${type}`,
};

/** DynamoDB's, recorded on AWS by the dynalite project. */
const dynamoDbWords: Words = {
  structureFromScalar: 'Unexpected value type in payload',
  structureNotExpected: 'Start of structure or map found where not expected',
  listFromScalar: 'Unexpected field type',
  mapFromScalar: 'Unexpected field type',
  blobFromScalar: 'only base-64-encoded strings are convertible to bytes',
  listNotExpected: (type) => `Unrecognized collection type ${JAVA_TYPES[type] ?? `class java.lang.${type}`}`,
  notConverted: (token, type) => `${token} cannot be converted to ${type}`,
};

const JAVA_TYPES: Readonly<Record<string, string>> = {
  Blob: 'class java.nio.ByteBuffer',
  Date: 'class java.util.Date',
  map: 'java.util.Map',
  structure: 'class java.lang.Object',
};

function tokenOf(value: unknown): string {
  if (typeof value === 'string') return 'STRING_VALUE';
  if (typeof value === 'number') return Number.isInteger(value) ? 'NUMBER_VALUE' : 'DECIMAL_VALUE';
  return value ? 'TRUE_VALUE' : 'FALSE_VALUE';
}

function asItIs(value: unknown): unknown {
  return value;
}
