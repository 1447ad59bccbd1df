import {
  type PropertyShape,
  type PropertyShapes,
  ResourceFailure,
  type ResourceType,
} from '../platform/resource-type.ts';
import { isList, isObject, isScalar, type Json, type JsonObject, mapObject, member } from './json.ts';

/**
 * Checks properties against what a resource type lists, and brings them to the types it declares: parameters and functions
 * give text where an integer or boolean is wanted, and templates give numbers where text is wanted; CloudFormation accepts both.
 *
 * @throws {ResourceFailure} "Properties validation failed for resource A with message:\n#: extraneous key [B] is not permitted"
 *   (texts: https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1514 and
 *   https://github.com/org-formation/aws-resource-providers/issues/105; those about types follow their form).
 */
export function shapeProperties(type: ResourceType, logicalId: string, properties: JsonObject): JsonObject {
  const problems: string[] = [];
  for (const name of type.required ?? []) {
    if (member(properties, name) === undefined) problems.push(`#: required key [${name}] not found`);
  }
  if (type.openProperties !== true) {
    for (const name of Object.keys(properties)) {
      if (!type.properties.includes(name)) problems.push(`#: extraneous key [${name}] is not permitted`);
    }
  }
  const shapes = type.shapes ?? {};
  const shaped = mapObject(properties, (value, name) =>
    Object.hasOwn(shapes, name) ? shapeValue(value, shapes[name] as PropertyShape, `/${name}`, problems) : value,
  );
  if (problems.length > 0) {
    throw new ResourceFailure(
      `Properties validation failed for resource ${logicalId} with message:\n${problems.join('\n')}`,
      null,
    );
  }
  return shaped;
}

function shapeObject(object: JsonObject, shapes: PropertyShapes, path: string, problems: string[]): JsonObject {
  for (const key of Object.keys(object)) {
    if (!Object.hasOwn(shapes, key)) problems.push(`#${path}: extraneous key [${key}] is not permitted`);
  }
  return mapObject(object, (value, key) =>
    Object.hasOwn(shapes, key) ? shapeValue(value, shapes[key] as PropertyShape, `${path}/${key}`, problems) : value,
  );
}

function shapeValue(value: Json, shape: PropertyShape, path: string, problems: string[]): Json {
  const wrong = (wanted: string): Json => {
    const found = isList(value) ? 'JSONArray' : isObject(value) ? 'JSONObject' : typesFound[typeof value];
    problems.push(`#${path}: expected type: ${wanted}, found: ${found ?? 'Null'}`);
    return value;
  };
  if (Array.isArray(shape)) {
    // One value where a list is wanted is taken as a list of it, as CloudFormation does.
    if (isList(value)) return value.map((item, index) => shapeValue(item, shape[0], `${path}/${index}`, problems));
    return isScalar(value) ? [shapeValue(value, shape[0], `${path}/0`, problems)] : wrong('JSONArray');
  }
  switch (shape) {
    case 'json':
      return value;
    case 'string':
      return isScalar(value) ? String(value) : wrong('String');
    case 'boolean':
      if (typeof value === 'boolean') return value;
      return value === 'true' || value === 'false' ? value === 'true' : wrong('Boolean');
    case 'integer':
    case 'number': {
      const text = typeof value === 'number' || typeof value === 'string' ? String(value).trim() : '';
      const number = Number(text);
      const fits = text !== '' && Number.isFinite(number) && (shape === 'number' || Number.isInteger(number));
      return fits ? number : wrong(shape === 'integer' ? 'Integer' : 'Number');
    }
    case 'stringMap':
      if (!isObject(value)) return wrong('JSONObject');
      return mapObject(value, (item, key) => shapeValue(item, 'string', `${path}/${key}`, problems));
    default:
      return isObject(value) ? shapeObject(value, shape as PropertyShapes, path, problems) : wrong('JSONObject');
  }
}

const typesFound: Readonly<Record<string, string>> = { string: 'String', number: 'Number', boolean: 'Boolean' };
