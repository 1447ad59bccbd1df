import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Pair,
  parseDocument,
  type Scalar,
  type ScalarTag,
  type YAMLMap,
} from 'yaml';
import { type Position, TemplateError } from './errors.ts';
import { isList, isObject, type Json, type JsonObject, type MutableObject, setMember } from './json.ts';
import { parseJsonSource, positionOf } from './json-source.ts';

/** A template's text as data: short tags in their long form (`!Sub x` is `{"Fn::Sub": "x"}`). */
export interface TemplateSource {
  readonly root: JsonObject;
  /** Where the value at this path stands, or the nearest value around it that has a place in the text. */
  positionAt(path: readonly (string | number)[]): Position | undefined;
}

export interface SourceOptions {
  /**
   * What to do with YAML anchors: CloudFormation refuses them ("not supported", User Guide, template formats);
   * `expand` is what `sam deploy` and `aws cloudformation package` do on the client before they send the template.
   */
  readonly aliases?: 'refuse' | 'expand';
}

/** A template in S3 may have 1 MB (CloudFormation quotas); the bound of 51,200 bytes for an inline body is the service's. */
export const maxTemplateBytes = 1_000_000;

/**
 * Reads the text of a template, YAML or JSON.
 *
 * YAML is read as CloudFormation does: version 1.1 without the binary, omap, pairs, set and timestamp types
 * (User Guide, "Template formats"), and without `y` and `n` as booleans, as in SnakeYAML.
 *
 * @throws {TemplateError} with AWS's text and the place.
 */
export function parseSource(text: string, options: SourceOptions = {}): TemplateSource {
  if (Buffer.byteLength(text) > maxTemplateBytes) {
    throw new TemplateError(`Template may not exceed ${maxTemplateBytes} bytes in size.`);
  }
  const places = new WeakMap<object, Map<string | number, number>>();
  const onPlace = (container: object, key: string | number, offset: number): void => {
    const known = places.get(container);
    if (known) known.set(key, offset);
    else places.set(container, new Map([[key, offset]]));
  };
  const root = text.trimStart().startsWith('{')
    ? parseJsonSource(text, onPlace)
    : new YamlReader(text, options.aliases ?? 'refuse', onPlace).read();
  // AWS's text for a body that is a list or a scalar (LocalStack yaml_parser.py, from recorded answers).
  if (!isObject(root)) throw new TemplateError('Template format error: unsupported structure.', { line: 1, column: 1 });

  const positionAt = (path: readonly (string | number)[]): Position | undefined => {
    let container: Json | undefined = root;
    let offset: number | undefined;
    for (const key of path) {
      if (!isObject(container) && !isList(container)) break;
      const index = isList(container) ? Number(key) : key;
      const found = places.get(container)?.get(index);
      if (found === undefined) break;
      offset = found;
      container = isList(container) ? container[Number(key)] : (container as JsonObject)[String(key)];
    }
    return offset === undefined ? undefined : positionOf(text, offset);
  };
  return { root, positionAt };
}

/** Short tags that are not `Fn::` + their name. */
const plainTags: readonly string[] = ['Ref', 'Condition'];

/** The functions of the intrinsic function and rule function references. */
const functionTags: ReadonlySet<string> = new Set(
  (
    'Sub GetAtt Join If Equals And Or Not Select Split FindInMap Base64 Cidr GetAZs ImportValue Transform Length ' +
    'ToJsonString ForEach GetStackOutput Contains EachMemberEquals EachMemberIn RefAll ValueOf ValueOfAll'
  ).split(' '),
);

const standardTags: ReadonlySet<string> = new Set(
  ['str', 'int', 'float', 'bool', 'null', 'map', 'seq'].map((name) => `tag:yaml.org,2002:${name}`),
);

const unusedTags: readonly string[] = ['binary', 'omap', 'pairs', 'set', 'timestamp', 'merge', 'bool'];

/** YAML 1.1's booleans as SnakeYAML resolves them: not `y` and `n`, or a key of type N would become false. */
const booleanTag: ScalarTag = {
  default: true,
  tag: 'tag:yaml.org,2002:bool',
  identify: (value) => typeof value === 'boolean',
  test: /^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$/,
  resolve: (source) => /^(?:yes|true|on)$/i.test(source),
};

class YamlReader {
  readonly #text: string;
  readonly #aliases: 'refuse' | 'expand';
  readonly #onPlace: (container: object, key: string | number, offset: number) => void;
  readonly #document: Document.Parsed;
  /** What each anchor stands for at this point of the text. */
  readonly #anchors = new Map<string, unknown>();
  #nodesLeft = 200_000;
  #inAlias = 0;

  constructor(
    text: string,
    aliases: 'refuse' | 'expand',
    onPlace: (container: object, key: string | number, offset: number) => void,
  ) {
    this.#text = text;
    this.#aliases = aliases;
    this.#onPlace = onPlace;
    this.#document = parseDocument(text, {
      version: '1.1',
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: 'error',
      customTags: (tags) => [
        ...tags.filter((tag) => typeof tag === 'string' || !unusedTags.includes(tag.tag.replace(/^.*:/, ''))),
        booleanTag,
      ],
    });
  }

  read(): Json {
    const error = this.#document.errors[0];
    if (error) {
      const position = positionOf(this.#text, error.pos[0]);
      // AWS's text, recorded by LocalStack (test_validations); the parser's own reason helps and follows the place.
      throw new TemplateError(
        `Template format error: YAML not well-formed. (line ${position.line}, column ${position.column})`,
        position,
      );
    }
    return this.#value(this.#document.contents, 0);
  }

  #value(node: unknown, depth: number): Json {
    if (--this.#nodesLeft < 0 || depth > 500)
      this.#fail('Template format error: the template is nested too deeply.', 0);
    if (isAlias(node)) {
      // AWS's text: https://github.com/seeebiii/aws-cloudformation-templates/issues/1
      if (this.#aliases === 'refuse') {
        this.#fail('Template error: YAML aliases are not allowed in CloudFormation templates', node.range?.[0]);
      }
      const target = this.#anchors.get(node.source);
      if (target === undefined) this.#fail('Template format error: YAML not well-formed.', node.range?.[0]);
      this.#inAlias++;
      const value = this.#value(target, depth + 1);
      this.#inAlias--;
      return value;
    }
    const anchor = (node as { anchor?: string } | null)?.anchor;
    if (anchor !== undefined && this.#inAlias === 0) this.#anchors.set(anchor, node);
    const plain = this.#untagged(node, depth);
    const tag = (node as { tag?: string } | null)?.tag;
    return tag === undefined || standardTags.has(tag) ? plain : this.#function(tag, plain, node as Scalar);
  }

  #untagged(node: unknown, depth: number): Json {
    if (isMap(node)) return this.#map(node, depth);
    if (isSeq(node)) {
      const list: Json[] = [];
      node.items.forEach((item, index) => {
        this.#onPlace(list, index, (item as Scalar).range?.[0] ?? 0);
        list.push(this.#value(item, depth + 1));
      });
      return list;
    }
    if (!isScalar(node)) return null;
    if (typeof node.value === 'number' && Number.isInteger(node.value) && !Number.isSafeInteger(node.value)) {
      return node.source ?? String(node.value);
    }
    return typeof node.value === 'number' && !Number.isFinite(node.value) ? (node.source ?? '') : (node.value as Json);
  }

  #map(node: YAMLMap, depth: number): Json {
    const object: MutableObject = {};
    const merged: MutableObject = {};
    for (const pair of node.items as Pair<Scalar, unknown>[]) {
      const key = this.#key(pair.key);
      const offset = pair.key?.range?.[0] ?? 0;
      if (key === '<<' && this.#aliases === 'expand' && pair.key.type === 'PLAIN') {
        const sources = this.#value(pair.value, depth + 1);
        for (const source of isList(sources) ? sources : [sources]) {
          if (!isObject(source)) this.#fail('Template format error: YAML not well-formed.', offset);
          for (const [name, value] of Object.entries(source))
            if (!Object.hasOwn(merged, name)) setMember(merged, name, value);
        }
        continue;
      }
      if (Object.hasOwn(object, key)) this.#fail(`Template format error: duplicate key "${key}".`, offset);
      this.#onPlace(object, key, offset);
      setMember(object, key, this.#value(pair.value, depth + 1));
    }
    for (const [name, value] of Object.entries(merged))
      if (!Object.hasOwn(object, name)) setMember(object, name, value);
    return object;
  }

  /** A key as it is written: a key `On` stays "On", a key 404 "404". */
  #key(node: unknown): string {
    if (!isScalar(node)) {
      const range = (node as Scalar | null)?.range;
      return this.#fail(
        'Template format error: [/] map keys must be strings; received a list or map instead',
        range?.[0],
      );
    }
    return node.source ?? String(node.value);
  }

  #function(tag: string, value: Json, node: Scalar): Json {
    const name = tag.replace(/^!/, '');
    const long = plainTags.includes(name) ? name : functionTags.has(name) ? `Fn::${name}` : undefined;
    if (long === undefined) return this.#fail(`Template format error: unsupported YAML tag ${tag}`, node.range?.[0]);
    const object: MutableObject = {};
    const offset = node.range?.[0] ?? 0;
    this.#onPlace(object, long, offset);
    if (long === 'Fn::GetAtt' && typeof value === 'string' && value.includes('.')) {
      const dot = value.indexOf('.');
      object[long] = [value.slice(0, dot), value.slice(dot + 1)];
    } else {
      object[long] = value;
    }
    return object;
  }

  #fail(message: string, offset: number | undefined): never {
    throw new TemplateError(message, offset === undefined ? undefined : positionOf(this.#text, offset));
  }
}
