import { TemplateError } from './errors.ts';
import { isList, isObject, type Json, type JsonObject, type MutableObject, setMember } from './json.ts';

/** Looks up one reference: `('ssm', 'name:version')`, `('secretsmanager', 'id:SecretString:key:stage:version')`. */
export type DynamicLookup = (service: 'ssm' | 'ssm-secure' | 'secretsmanager', reference: string) => Promise<string>;

/**
 * Replaces every `{{resolve:service:reference}}` in the properties' text.
 * Source: User Guide, "Get values stored in other services using dynamic references" (at most 60 in a template).
 *
 * @throws {TemplateError} for a service that has no dynamic references; and what the lookup throws.
 */
export async function resolveDynamicReferences(properties: JsonObject, lookup: DynamicLookup): Promise<JsonObject> {
  return (await resolveValue(properties, lookup)) as JsonObject;
}

async function resolveValue(value: Json, lookup: DynamicLookup): Promise<Json> {
  if (typeof value === 'string') return value.includes('{{resolve:') ? resolveText(value, lookup) : value;
  if (isList(value)) {
    const list: Json[] = [];
    for (const item of value) list.push(await resolveValue(item, lookup));
    return list;
  }
  if (!isObject(value)) return value;
  const result: MutableObject = {};
  for (const [key, item] of Object.entries(value)) setMember(result, key, await resolveValue(item, lookup));
  return result;
}

async function resolveText(text: string, lookup: DynamicLookup): Promise<string> {
  const parts: string[] = [];
  let end = 0;
  for (const match of text.matchAll(/\{\{resolve:([^:{}]+):([^{}]+)\}\}/g)) {
    const [whole, service, reference] = match as unknown as [string, string, string];
    if (service !== 'ssm' && service !== 'ssm-secure' && service !== 'secretsmanager') {
      throw new TemplateError(`Template error: ${service} is not a service that dynamic references can name`);
    }
    parts.push(text.slice(end, match.index), await lookup(service, reference));
    end = (match.index as number) + whole.length;
  }
  return parts.join('') + text.slice(end);
}
