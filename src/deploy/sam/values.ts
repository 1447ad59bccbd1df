import { createHash } from 'node:crypto';
import { compact, isList, isObject, type Json, type JsonObject, mapObject } from '../json.ts';

/** A resource of the template that comes out of the transform. */
export interface OutputResource {
  readonly Type: string;
  readonly Properties: JsonObject;
  readonly [attribute: string]: Json;
}

export const noValue: JsonObject = { Ref: 'AWS::NoValue' };

export function ref(name: string): JsonObject {
  return { Ref: name };
}

export function getAtt(name: string, attribute: string): JsonObject {
  return { 'Fn::GetAtt': [name, attribute] };
}

export function sub(text: string, variables?: JsonObject): JsonObject {
  return { 'Fn::Sub': variables ? [text, variables] : text };
}

/** The value where the condition holds, nothing otherwise; the value itself without a condition. */
export function when(condition: Json | undefined, value: Json): Json {
  return condition === undefined ? value : { 'Fn::If': [condition, value, noValue] };
}

/** An intrinsic function: an object whose only member is Ref, Condition or Fn::…. */
export function isIntrinsic(value: Json | undefined): boolean {
  if (!isObject(value)) return false;
  const keys = Object.keys(value);
  const key = keys[0] ?? '';
  return keys.length === 1 && (key === 'Ref' || key === 'Condition' || key.startsWith('Fn::'));
}

export function isNoValue(value: Json | undefined): boolean {
  return isObject(value) && value['Ref'] === 'AWS::NoValue';
}

/** The logical id that a Ref or Fn::GetAtt names. */
export function referredId(value: Json | undefined): string | undefined {
  if (!isObject(value)) return undefined;
  const argument = value['Ref'] ?? value['Fn::GetAtt'];
  const name = isList(argument) ? argument[0] : argument;
  return typeof name === 'string' ? (name.split('.')[0] as string) : undefined;
}

export function resource(
  Type: string,
  properties: { readonly [key: string]: Json | undefined },
  attributes: JsonObject = {},
): OutputResource {
  return { Type, ...attributes, Properties: compact(properties) };
}

/** `{key: value}` to CloudFormation's list of tags. */
export function tagList(tags: JsonObject | undefined): readonly JsonObject[] {
  return Object.entries(tags ?? {}).map(([Key, Value]) => ({ Key, Value }));
}

/**
 * The ten characters that aws-sam-translator appends to a logical id, so that it changes with the data
 * (logical_id_generator.py): of the SHA-1 of the data as JSON, members sorted; nothing for empty data.
 */
export function dataHash(data: Json): string {
  const text = typeof data === 'string' ? data : isEmpty(data) ? '' : pythonJson(data);
  return text === '' ? '' : createHash('sha1').update(text).digest('hex').slice(0, 10);
}

/** A logical id that ends in a name that may have other characters than letters and digits. */
export function idWithName(prefix: string, name: string): string {
  return /^[A-Za-z0-9]+$/.test(name) ? prefix + name : prefix + dataHash(name);
}

/** Parameter values put in for Ref and in Fn::Sub texts, where they are known; all else stays. */
export function resolveParameters(value: Json, parameters: ReadonlyMap<string, Json>): Json {
  if (isList(value)) return value.map((item) => resolveParameters(item, parameters));
  if (!isObject(value)) return value;
  const name = value['Ref'];
  if (isIntrinsic(value) && typeof name === 'string' && parameters.has(name)) return parameters.get(name) as Json;
  return mapObject(value, (item, key) =>
    key === 'Fn::Sub' ? resolveSub(item, parameters) : resolveParameters(item, parameters),
  );
}

function resolveSub(argument: Json, parameters: ReadonlyMap<string, Json>): Json {
  const own = isList(argument) && isObject(argument[1]) ? argument[1] : {};
  const put = (text: string): string =>
    text.replace(/\$\{([A-Za-z0-9:]+)\}/g, (all, name: string) => {
      const value = Object.hasOwn(own, name) ? undefined : parameters.get(name);
      return value === undefined || isObject(value) || isList(value) ? all : String(value);
    });
  if (typeof argument === 'string') return put(argument);
  if (!isList(argument) || typeof argument[0] !== 'string') return argument;
  return [put(argument[0]), ...argument.slice(1).map((item) => resolveParameters(item, parameters))];
}

function isEmpty(data: Json): boolean {
  return (
    data === null ||
    data === false ||
    data === 0 ||
    (isObject(data) && Object.keys(data).length === 0) ||
    (isList(data) && data.length === 0)
  );
}

/** What Python's json.dumps writes with sorted keys, no spaces and ASCII only. */
function pythonJson(value: Json): string {
  if (isList(value)) return `[${value.map(pythonJson).join(',')}]`;
  if (isObject(value)) {
    const keys = Object.keys(value).sort();
    return `{${keys.map((key) => `${pythonJson(key)}:${pythonJson(value[key] as Json)}`).join(',')}}`;
  }
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
