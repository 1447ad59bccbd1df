import { AwsError } from '../errors.ts';
import type { Member, MemberRef, ServiceModel, Shape } from '../model.ts';
import { memberOf, shapeOf } from '../model.ts';
import { textReader } from './text-value.ts';

/** Form parameters as a tree: `Tag.1.Key=a` is the node Tag, in it 1, in it Key with the text `a`. */
export interface FormNode {
  text: string | undefined;
  readonly inner: Map<string, FormNode>;
}

type NodeReader = (node: FormNode) => unknown;

/** More steps in one name than any modelled input has. */
const MAX_DEPTH = 64;

/** The tree of parameters in their order. Throws MalformedInput for names nested beyond any model. */
export function formTree(parameters: readonly (readonly [name: string, value: string])[]): FormNode {
  const root: FormNode = { text: undefined, inner: new Map() };
  for (const [name, value] of parameters) {
    const steps = name.split('.');
    if (steps.length > MAX_DEPTH) throw malformed(`${steps[0]} is nested too deep`);
    let node = root;
    for (const step of steps) {
      let next = node.inner.get(step);
      if (next === undefined) node.inner.set(step, (next = { text: undefined, inner: new Map() }));
      node = next;
    }
    node.text = value;
  }
  return root;
}

/** Compiled readers of a model's shapes from form parameters. */
export class FormReaders {
  private readonly model: ServiceModel;
  private readonly known = new Map<string, NodeReader>();

  constructor(model: ServiceModel) {
    this.model = model;
  }

  /** The reader of a shape that is not flattened. */
  shape(name: string): NodeReader {
    const known = this.known.get(name);
    if (known !== undefined) return known;
    // Recursive shapes find this one while the real one is being compiled.
    let reader: NodeReader | undefined;
    this.known.set(name, (node) => reader!(node));
    reader = this.compile(shapeOf(this.model, name));
    this.known.set(name, reader);
    return reader;
  }

  private compile(shape: Shape): NodeReader {
    switch (shape.type) {
      case 'structure':
        return this.structure(shape);
      case 'list': {
        const read = this.items(shape);
        const step = memberOf(shape.member!).locationName ?? 'member';
        return (node) => {
          const items = node.inner.get(step);
          return items === undefined ? [] : read(items);
        };
      }
      case 'map': {
        const read = this.entries(shape);
        return (node) => {
          const entries = node.inner.get('entry');
          return entries === undefined ? {} : read(entries);
        };
      }
      default: {
        const read = textReader(shape, (text, type) => malformed(`${text} can not be converted to ${type}`));
        return (node) => read(node.text ?? '');
      }
    }
  }

  private structure(shape: Shape): NodeReader {
    const members = Object.entries(shape.members ?? {}).map(([name, ref]) => this.structureMember(name, ref));
    const requiredLists = (shape.required ?? []).filter((name) => this.isFlattenedList(shape.members![name]!));
    return (node) => {
      const structure: Record<string, unknown> = {};
      for (const { name, step, read } of members) {
        const inner = node.inner.get(step);
        if (inner !== undefined) structure[name] = read(inner);
      }
      // A form cannot say "an empty list", so a missing one is empty; the service tells what it thinks of it.
      for (const name of requiredLists) structure[name] ??= [];
      return structure;
    };
  }

  private isFlattenedList(ref: MemberRef): boolean {
    const shape = shapeOf(this.model, memberOf(ref).shape);
    return shape.type === 'list' && isFlattened(memberOf(ref), shape);
  }

  private structureMember(name: string, ref: MemberRef): { name: string; step: string; read: NodeReader } {
    const member = memberOf(ref);
    const shape = shapeOf(this.model, member.shape);
    const step = formName(name, member, shape);
    if (!isFlattened(member, shape)) return { name, step, read: this.shape(member.shape) };
    return { name, step, read: shape.type === 'list' ? this.items(shape) : this.entries(shape) };
  }

  /** The items under `1`, `2`, …, by number; gaps close up. */
  private items(shape: Shape): NodeReader {
    const read = this.shape(memberOf(shape.member!).shape);
    return (node) => numbered(node).map((item) => read(item));
  }

  private entries(shape: Shape): NodeReader {
    const keyStep = innerName(shape.key!) ?? 'key';
    const valueStep = innerName(shape.value!) ?? 'value';
    const readKey = this.shape(memberOf(shape.key!).shape);
    const readValue = this.shape(memberOf(shape.value!).shape);
    return (node) => {
      const entries = numbered(node).flatMap((entry) => {
        const key = entry.inner.get(keyStep);
        const value = entry.inner.get(valueStep);
        return key === undefined ? [] : [[String(readKey(key)), value === undefined ? '' : readValue(value)] as const];
      });
      return Object.fromEntries(entries);
    };
  }
}

/** The name of a structure's member in the query protocol. A flattened list goes by its items' name, as botocore writes it. */
export function formName(name: string, member: Member, shape: Shape): string {
  const items = shape.type === 'list' && isFlattened(member, shape) ? innerName(shape.member!) : undefined;
  return items ?? member.queryName ?? member.locationName ?? name;
}

/** The name that a list's member, a map's key or a map's value has in the query protocol, if the model gives one. */
export function innerName(ref: MemberRef): string | undefined {
  const member = memberOf(ref);
  return member.queryName ?? member.locationName;
}

export function isFlattened(member: Member, shape: Shape): boolean {
  return member.flattened === true || shape.flattened === true;
}

function numbered(node: FormNode): FormNode[] {
  const items = [...node.inner].filter(([step]) => /^\d{1,9}$/.test(step));
  return items.sort(([a], [b]) => Number(a) - Number(b)).map(([, item]) => item);
}

/** https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html: the input fails to satisfy the form the service can read. */
function malformed(message: string): AwsError {
  return new AwsError('MalformedInput', message);
}
