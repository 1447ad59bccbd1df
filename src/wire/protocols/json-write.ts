import { toBase64 } from '../base64.ts';
import type { Member, MemberRef, ServiceModel, Shape } from '../model.ts';
import { memberOf, shapeOf } from '../model.ts';
import { RawJson } from '../raw-json.ts';
import { formatTimestamp } from '../timestamp.ts';

/** The JSON text of a handler's value (neither undefined nor null). */
export type JsonWriter = (value: unknown) => string;

/** Compiled writers of a model's shapes: known members only, in the model's order; undefined ones left out; RawJson as it stands. */
export class JsonWriters {
  private readonly model: ServiceModel;
  private readonly opaque: ReadonlySet<string>;
  private readonly known = new Map<string, JsonWriter>();

  constructor(model: ServiceModel) {
    this.model = model;
    this.opaque = new Set(model.validation?.opaque ?? []);
  }

  /** The writer of a shape. `left` names members of a structure that do not stand in the body (HTTP bindings). */
  shape(name: string, left?: ReadonlySet<string>): JsonWriter {
    if (left !== undefined && left.size > 0) return this.structure(shapeOf(this.model, name), left);
    const known = this.known.get(name);
    if (known !== undefined) return known;
    // Recursive shapes find this one while the real one is being compiled.
    let writer: JsonWriter | undefined;
    this.known.set(name, (value) => writer!(value));
    writer = this.opaque.has(name) ? writeOpaque : this.compile(shapeOf(this.model, name));
    this.known.set(name, writer);
    return writer;
  }

  private compile(shape: Shape): JsonWriter {
    switch (shape.type) {
      case 'structure':
        return this.structure(shape, NONE_LEFT);
      case 'list':
        return this.list(shape);
      case 'map':
        return this.map(shape);
      case 'blob':
        return (value) => `"${toBase64(value as Uint8Array)}"`;
      case 'timestamp':
        return timestampWriter(shape, undefined);
      case 'boolean':
        return (value) => (value ? 'true' : 'false');
      case 'string':
        return writeString;
      default:
        return writeNumber;
    }
  }

  private structure(shape: Shape, left: ReadonlySet<string>): JsonWriter {
    const members = Object.entries(shape.members ?? {})
      .filter(([name]) => !left.has(name))
      .map(([name, ref]) => {
        const key = JSON.stringify(memberOf(ref).locationName ?? name);
        return { name, first: `{${key}:`, further: `,${key}:`, write: this.member(ref) };
      });
    return (value) => {
      if (value instanceof RawJson) return value.json;
      const object = value as Record<string, unknown>;
      let text = '';
      for (const member of members) {
        const given = object[member.name];
        if (given === undefined || given === null) continue;
        text += (text === '' ? member.first : member.further) + member.write(given);
      }
      return text === '' ? '{}' : `${text}}`;
    };
  }

  private list(shape: Shape): JsonWriter {
    const write = this.member(shape.member!);
    return (value) => {
      if (value instanceof RawJson) return value.json;
      const items = value as readonly unknown[];
      let text = '[';
      for (let i = 0; i < items.length; i++) {
        const item = items[i];
        if (i > 0) text += ',';
        text += item === undefined || item === null ? 'null' : write(item);
      }
      return `${text}]`;
    };
  }

  private map(shape: Shape): JsonWriter {
    const value = memberOf(shape.value!);
    if (this.opaque.has(value.shape)) return writeOpaque;
    const write = this.member(value);
    return (given) => {
      if (given instanceof RawJson) return given.json;
      const object = given as Record<string, unknown>;
      let text = '';
      for (const key of Object.keys(object)) {
        const inner = object[key];
        if (inner === undefined || inner === null) continue;
        text += `${text === '' ? '{' : ','}${JSON.stringify(key)}:${write(inner)}`;
      }
      return text === '' ? '{}' : `${text}}`;
    };
  }

  private member(ref: MemberRef): JsonWriter {
    const member = memberOf(ref);
    const shape = shapeOf(this.model, member.shape);
    const write =
      shape.type === 'timestamp' && member.timestampFormat !== undefined
        ? timestampWriter(shape, member)
        : this.shape(member.shape);
    if (!member.rawJson || shape.type === 'structure' || shape.type === 'list' || shape.type === 'map') return write;
    return (value) => (value instanceof RawJson ? value.json : write(value));
  }
}

const NONE_LEFT: ReadonlySet<string> = new Set();

function writeOpaque(value: unknown): string {
  return value instanceof RawJson ? value.json : JSON.stringify(value);
}

function writeString(value: unknown): string {
  return value instanceof RawJson ? value.json : JSON.stringify(typeof value === 'string' ? value : String(value));
}

/** JSON has no NaN and no infinities; AWS writes them as strings. */
function writeNumber(value: unknown): string {
  return Number.isFinite(value) ? String(value) : JSON.stringify(String(value));
}

function timestampWriter(shape: Shape, member: Member | undefined): JsonWriter {
  const format = member?.timestampFormat ?? shape.timestampFormat ?? 'unixTimestamp';
  if (format === 'unixTimestamp') return (value) => formatTimestamp(value as number, format);
  return (value) => `"${formatTimestamp(value as number, format)}"`;
}
