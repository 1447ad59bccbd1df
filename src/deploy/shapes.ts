import { type PropertyShape, type PropertyShapes, ResourceFailure, type ResourceType } from './contract.ts';
import { isList, isObject, isScalar, type Json, type JsonObject, mapObject, member } from './json.ts';

/**
 * Brings properties to the types that a resource type declares: parameters and functions give text where an integer or
 * boolean is wanted, and templates give numbers where text is wanted; CloudFormation accepts both.
 *
 * @throws {ResourceFailure} "Property validation failure: [...]" as CloudFormation reports it (the text for a missing
 *   property is recorded by LocalStack, test_template_engine; the others follow its form).
 */
export function shapeProperties(type: ResourceType, properties: JsonObject): JsonObject {
  const problems: string[] = [];
  for (const name of type.requiredProperties ?? []) {
    if (member(properties, name) === undefined) problems.push(`The property {/${name}} is required`);
  }
  const shaped = type.properties ? shapeObject(properties, type.properties, '', problems) : properties;
  if (problems.length > 0) {
    throw new ResourceFailure(`Property validation failure: [${problems.join(', ')}]`, 'InvalidRequest');
  }
  return shaped;
}

function shapeObject(object: JsonObject, shapes: PropertyShapes, path: string, problems: string[]): JsonObject {
  const unknown = Object.keys(object).filter((key) => !Object.hasOwn(shapes, key));
  if (unknown.length > 0) {
    problems.push(`Encountered unsupported properties in {${path === '' ? '/' : path}}: [${unknown.join(', ')}]`);
  }
  return mapObject(object, (value, key) =>
    Object.hasOwn(shapes, key) ? shapeValue(value, shapes[key] as PropertyShape, `${path}/${key}`, problems) : value,
  );
}

function shapeValue(value: Json, shape: PropertyShape, path: string, problems: string[]): Json {
  const wrong = (wanted: string): Json => {
    problems.push(`Value of property {${path}} does not match type {${wanted}}`);
    return value;
  };
  if (Array.isArray(shape)) {
    // One value where a list is wanted is taken as a list of it, as CloudFormation does.
    if (isList(value)) return value.map((item, index) => shapeValue(item, shape[0], `${path}/${index}`, problems));
    return isScalar(value) ? [shapeValue(value, shape[0], `${path}/0`, problems)] : wrong('List');
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
      if (!isObject(value)) return wrong('Map');
      return mapObject(value, (item, key) => shapeValue(item, 'string', `${path}/${key}`, problems));
    default:
      return isObject(value) ? shapeObject(value, shape as PropertyShapes, path, problems) : wrong('Object');
  }
}
