/** Plain JSON values: what a template, a resolved property or an attribute is made of. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

export interface JsonObject {
  readonly [key: string]: Json;
}

/** A JSON object under construction. */
export type MutableObject = { [key: string]: Json };

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isList(value: unknown): value is readonly Json[] {
  return Array.isArray(value);
}

/** A string, number or boolean: what CloudFormation accepts wherever it wants a string. */
export function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

/** The value of `key`, or undefined: never something inherited from a prototype. */
export function member(object: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** Sets a member under any name, `__proto__` too, which plain assignment would swallow. */
export function setMember(object: MutableObject, key: string, value: Json): void {
  if (key === '__proto__') {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  } else {
    object[key] = value;
  }
}

/** The object with every member mapped; members mapped to undefined are left out. */
export function mapObject(object: JsonObject, f: (value: Json, key: string) => Json | undefined): JsonObject {
  const result: MutableObject = {};
  for (const [key, value] of Object.entries(object)) {
    const mapped = f(value, key);
    if (mapped !== undefined) setMember(result, key, mapped);
  }
  return result;
}

/** The object without the members that are undefined. */
export function compact(object: { readonly [key: string]: Json | undefined }): JsonObject {
  const result: MutableObject = {};
  for (const [key, value] of Object.entries(object)) if (value !== undefined) setMember(result, key, value);
  return result;
}

export function jsonEquals(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (isList(a) && isList(b)) return a.length === b.length && a.every((item, i) => jsonEquals(item, b[i]));
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((k) => Object.hasOwn(b, k) && jsonEquals(a[k], b[k]));
}

/** JSON text with members sorted at every level: equal values give equal texts. */
export function canonicalJson(value: Json): string {
  if (isList(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const members = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key] as Json)}`);
  return `{${members.join(',')}}`;
}
