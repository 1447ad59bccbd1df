import type { ResourceType } from '../platform/resource-type.ts';
import { isObject, type Json, type JsonObject, jsonEquals, member } from './json.ts';

/** How a resource's properties differ, and what that asks for. */
export interface PropertyDiff {
  /** Top-level properties that differ, in the new order, then those taken away. */
  readonly changed: readonly string[];
  /** Those of them, as the type declares them, that cannot change in place. */
  readonly needReplacement: readonly string[];
}

export function diffProperties(type: ResourceType, before: JsonObject, after: JsonObject): PropertyDiff {
  const names = new Set([...Object.keys(after), ...Object.keys(before)]);
  const changed = [...names].filter((name) => !jsonEquals(member(before, name), member(after, name)));
  const needReplacement = (type.createOnly ?? []).filter((path) => !jsonEquals(at(before, path), at(after, path)));
  return { changed, needReplacement };
}

function at(object: JsonObject, path: string): Json | undefined {
  let value: Json | undefined = object;
  for (const part of path.split('.')) value = isObject(value) ? member(value, part) : undefined;
  return value;
}
