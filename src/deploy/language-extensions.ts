import { TemplateError } from './errors.ts';
import { Evaluator, type Scope } from './intrinsics.ts';
import { isList, isObject, isScalar, type Json, type JsonObject, type MutableObject, setMember } from './json.ts';
import { functionOf } from './references.ts';

/** What Fn::ForEach may need of the stack: collections may name parameters, mappings and the pseudo parameters. */
export type LoopScope = Pick<Scope, 'template' | 'pseudo' | 'parameters'>;

/**
 * Expands every `Fn::ForEach::Name` of a template (transform AWS::LanguageExtensions): in Conditions, Resources, resource
 * properties and Outputs. `${Variable}` is the item, `&{Variable}` the item without what is not alphanumeric.
 * Source: User Guide, "Fn::ForEach".
 *
 * @param root the template's value, with or without loops.
 * @param scope gives the values of `Ref` and `Fn::FindInMap` in collections.
 * @throws {TemplateError} naming the loop; the argument texts are LocalStack's (engine/transformers.py).
 */
export function expandLoops(root: JsonObject, scope: LoopScope): JsonObject {
  const evaluator = new Evaluator({
    ...scope,
    resource: () => undefined,
    exports: new Map(),
    availabilityZones: () => [],
  });
  return expandObject(root, new Map(), evaluator);
}

type Items = ReadonlyMap<string, string>;

function expandValue(value: Json, items: Items, evaluator: Evaluator): Json {
  if (typeof value === 'string') return replaceItems(value, items);
  if (isList(value)) return value.map((item) => expandValue(item, items, evaluator));
  if (!isObject(value)) return value;
  const call = functionOf(value);
  if (call?.name === 'Ref' && typeof call.argument === 'string') {
    const item = items.get(call.argument);
    if (item !== undefined) return item;
  }
  // A name of a condition is not text to replace in, nor is a literal `${!...}`; all else is.
  return expandObject(value, items, evaluator);
}

function expandObject(object: JsonObject, items: Items, evaluator: Evaluator): JsonObject {
  const result: MutableObject = {};
  const add = (key: string, value: Json): void => {
    if (Object.hasOwn(result, key)) {
      throw new TemplateError(`Fn::ForEach: duplicate key '${key}' after expansion`);
    }
    setMember(result, key, value);
  };
  for (const [key, value] of Object.entries(object)) {
    if (!key.startsWith('Fn::ForEach::')) {
      add(replaceItems(key, items), expandValue(value, items, evaluator));
      continue;
    }
    for (const [name, expanded] of expandLoop(key, value, items, evaluator)) add(name, expanded);
  }
  return result;
}

function expandLoop(
  key: string,
  value: Json,
  items: Items,
  evaluator: Evaluator,
): readonly (readonly [string, Json])[] {
  if (!isList(value) || value.length !== 3) {
    throw new TemplateError(`${key}: invalid number of arguments, expected 3 got ${isList(value) ? value.length : 1}`);
  }
  const [variable, collection, body] = value;
  if (typeof variable !== 'string' || !/^[A-Za-z0-9]+$/.test(variable)) {
    throw new TemplateError(`${key}: incorrect type for iteration name '${JSON.stringify(variable)}', expected str`);
  }
  if (items.has(variable))
    throw new TemplateError(`${key}: the iteration name '${variable}' is already used by an outer loop`);
  if (!isObject(body)) {
    throw new TemplateError(`${key}: incorrect type for template '${JSON.stringify(body)}', expected dict`);
  }
  const of = evaluator.value(expandValue(collection as Json, items, evaluator));
  const members = isList(of) ? of.flatMap((item) => (isList(item) ? item : [item])) : undefined;
  if (!members?.every(isScalar)) {
    throw new TemplateError(
      `${key}: incorrect type for iteration variables '${JSON.stringify(of ?? null)}', expected list`,
    );
  }
  if (
    Object.keys(body).some((name) => !name.startsWith('Fn::ForEach::') && !mentions(name, variable)) &&
    members.length > 1
  ) {
    throw new TemplateError(`${key}: no placeholder in logical resource id`);
  }
  return members.flatMap((item) =>
    Object.entries(expandObject(body, new Map([...items, [variable, String(item)]]), evaluator)),
  );
}

function mentions(name: string, variable: string): boolean {
  return name.includes(`\${${variable}}`) || name.includes(`&{${variable}}`);
}

function replaceItems(text: string, items: Items): string {
  if (items.size === 0 || !text.includes('{')) return text;
  return text.replace(/([$&])\{([A-Za-z0-9]+)\}/g, (all, sign: string, name: string) => {
    const item = items.get(name);
    if (item === undefined) return all;
    return sign === '&' ? item.replace(/[^A-Za-z0-9]/g, '') : item;
  });
}
