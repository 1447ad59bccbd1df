import type { ServiceModel } from '../model.ts';
import { memberOf } from '../model.ts';
import type { RenderedError } from './contract.ts';
import type { JsonWriters } from './json-write.ts';

/**
 * The JSON body of an error: `start`'s members first, then the message under the name that the model gives it (`message` or `Message`),
 * then the further members of the shape. Lambda's errors also tell whose fault it was in `Type` (User or Service).
 */
export function errorBody(
  error: RenderedError,
  model: ServiceModel,
  writers: JsonWriters,
  start: Record<string, string>,
): string {
  const head = Object.entries(start).map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  const members = error.shape?.members ?? {};
  const messageName = Object.keys(members).find((name) => name.toLowerCase() === 'message');
  const parts = head;
  if (members['Type'] !== undefined && error.fields['Type'] === undefined) {
    parts.push(`"Type":"${error.fault === 'Sender' ? 'User' : 'Service'}"`);
  }
  const outside = error.code === 'SerializationException' && model.jsonDialect === 'dynamodb' ? 'Message' : 'message';
  if (error.message !== '') parts.push(`${JSON.stringify(messageName ?? outside)}:${JSON.stringify(error.message)}`);
  for (const [name, value] of Object.entries(error.fields)) {
    const ref = members[name];
    if (value === undefined || value === null || ref === undefined || name === messageName) continue;
    const member = memberOf(ref);
    if (member.location !== undefined) continue;
    parts.push(`${JSON.stringify(member.locationName ?? name)}:${writers.shape(member.shape)(value)}`);
  }
  return `{${parts.join(',')}}`;
}
