import type { Member, MemberRef, ServiceModel, Shape } from '../model.ts';
import { memberOf, shapeOf } from '../model.ts';
import { formName, innerName, isFlattened } from './query-read.ts';
import { textWriter } from './text-value.ts';

/** The XML inside an element for a handler's value (neither undefined nor null). */
export type XmlWriter = (value: unknown) => string;

/** Compiled writers of a model's shapes as XML, as the query protocol has them. */
export class XmlWriters {
  private readonly model: ServiceModel;
  private readonly known = new Map<string, XmlWriter>();

  constructor(model: ServiceModel) {
    this.model = model;
  }

  shape(name: string): XmlWriter {
    const known = this.known.get(name);
    if (known !== undefined) return known;
    // Recursive shapes find this one while the real one is being compiled.
    let writer: XmlWriter | undefined;
    this.known.set(name, (value) => writer!(value));
    writer = this.compile(shapeOf(this.model, name));
    this.known.set(name, writer);
    return writer;
  }

  private compile(shape: Shape): XmlWriter {
    switch (shape.type) {
      case 'structure':
        return this.structure(shape);
      case 'list':
        return this.items(shape, memberOf(shape.member!).locationName ?? 'member');
      case 'map':
        return this.entries(shape, 'entry');
      case 'string':
      case 'blob':
      case 'timestamp': {
        const write = textWriter(shape, 'iso8601');
        return (value) => escapeXml(write(value));
      }
      default:
        return String;
    }
  }

  private structure(shape: Shape): XmlWriter {
    const members = Object.entries(shape.members ?? {}).map(([name, ref]) => {
      const member = memberOf(ref);
      return { name, write: this.element(name, member, shapeOf(this.model, member.shape)) };
    });
    return (value) => {
      const object = value as Record<string, unknown>;
      let text = '';
      for (const { name, write } of members) {
        const given = object[name];
        if (given !== undefined && given !== null) text += write(given);
      }
      return text;
    };
  }

  private element(name: string, member: Member, shape: Shape): XmlWriter {
    const tag = formName(name, member, shape);
    if (isFlattened(member, shape)) return shape.type === 'list' ? this.items(shape, tag) : this.entries(shape, tag);
    const timed = shape.type === 'timestamp' && member.timestampFormat !== undefined;
    const write = timed ? textWriter(shape, member.timestampFormat!) : this.shape(member.shape);
    return (value) => `<${tag}>${write(value)}</${tag}>`;
  }

  private items(shape: Shape, tag: string): XmlWriter {
    const write = this.inner(shape.member!);
    return (value) => (value as readonly unknown[]).map((item) => `<${tag}>${write(item)}</${tag}>`).join('');
  }

  private entries(shape: Shape, tag: string): XmlWriter {
    const keyTag = innerName(shape.key!) ?? 'key';
    const valueTag = innerName(shape.value!) ?? 'value';
    const write = this.inner(shape.value!);
    return (value) => {
      let text = '';
      for (const [key, inner] of Object.entries(value as Record<string, unknown>)) {
        if (inner === undefined || inner === null) continue;
        text += `<${tag}><${keyTag}>${escapeXml(key)}</${keyTag}><${valueTag}>${write(inner)}</${valueTag}></${tag}>`;
      }
      return text;
    };
  }

  private inner(ref: MemberRef): XmlWriter {
    return this.shape(memberOf(ref).shape);
  }
}

/** Text for inside an element or an attribute. What XML 1.0 cannot hold is written as a reference, so that it is not lost. */
export function escapeXml(text: string): string {
  return NEEDS_ESCAPE.test(text) ? text.replace(ESCAPED, escapeOne) : text;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is escaped
const NEEDS_ESCAPE = /[&<>"\u0000-\u0008\u000B-\u001F]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is escaped
const ESCAPED = /[&<>"\u0000-\u0008\u000B-\u001F]/g;
const NAMED: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escapeOne(character: string): string {
  return NAMED[character] ?? `&#x${character.charCodeAt(0).toString(16).toUpperCase()};`;
}
