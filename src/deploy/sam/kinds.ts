import { isList, isObject, type Json, type JsonObject } from '../json.ts';
import { resourceProblem } from './errors.ts';
import { isIntrinsic } from './values.ts';

export type Kind = 'map' | 'list' | 'list of maps' | 'string' | 'boolean';

/**
 * Checks the kinds of a resource's properties, so that what reads them may trust them. A function such as Fn::If may stand for
 * any of them but a map whose members the transform itself must read.
 *
 * @throws {SamProblem} "Property 'X' should be a map." as aws-sam-translator words it.
 */
export function checkKinds(
  logicalId: string,
  properties: JsonObject,
  kinds: { readonly [property: string]: Kind },
): void {
  for (const [name, kind] of Object.entries(kinds)) {
    const value = properties[name];
    if (value === undefined || isKind(value, kind)) continue;
    throw resourceProblem(logicalId, `Property '${name}' should be a ${kind}.`);
  }
}

function isKind(value: Json, kind: Kind): boolean {
  switch (kind) {
    case 'map':
      return isObject(value);
    case 'list':
      return isList(value) || isIntrinsic(value);
    case 'list of maps':
      return isList(value) && value.every(isObject);
    case 'string':
      return typeof value === 'string' || isIntrinsic(value);
    case 'boolean':
      return typeof value === 'boolean' || value === 'true' || value === 'false' || isIntrinsic(value);
  }
}
