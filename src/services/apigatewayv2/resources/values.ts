import type { Input, OperationName, Output } from '../../../platform/context.ts';
import { isObject } from '../../../platform/http/response.ts';
import type { Properties, ResourceContext } from '../../../platform/resource-type.ts';
import { AwsError } from '../../../wire/errors.ts';
import { creationToken } from '../environment.ts';
import { badRequest } from '../errors.ts';

/** Calls this service over the bus, as whoever acts on the stack. */
export function call<O extends OperationName<'apigatewayv2'>>(
  { bus, caller }: ResourceContext,
  operation: O,
  input: Input<'apigatewayv2', O>,
): Promise<Output<'apigatewayv2', O>> {
  return bus.call(caller, 'apigatewayv2', operation, input);
}

/** The input of a create with the step's token: asked again, it finds what it made. */
export function repeatable<T extends object>(context: ResourceContext, input: T): T {
  return { ...input, [creationToken]: `${context.stackId} ${context.logicalId} ${context.clientToken}` };
}

/** Templates write numbers and booleans as text too. */
export function text(properties: Properties, name: string): string | undefined {
  const value = properties[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'object') throw badRequest(`Value of property ${name} must be of type String`);
  return String(value);
}

export function flag(properties: Properties, name: string): boolean | undefined {
  const value = text(properties, name);
  if (value === undefined) return undefined;
  if (!/^(true|false)$/i.test(value)) throw badRequest(`Value of property ${name} must be of type Boolean`);
  return value.toLowerCase() === 'true';
}

export function number(properties: Properties, name: string): number | undefined {
  const value = text(properties, name);
  if (value === undefined) return undefined;
  const result = Number(value);
  if (value.trim() === '' || Number.isNaN(result)) throw badRequest(`Value of property ${name} must be of type Number`);
  return result;
}

export function list(properties: Properties, name: string): string[] | undefined {
  const value = properties[name];
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value)) throw badRequest(`Value of property ${name} must be of type List of String`);
  return value.map(String);
}

export function object(properties: Properties, name: string): Properties | undefined {
  const value = properties[name];
  if (value === undefined || value === null) return undefined;
  const parsed: unknown = typeof value === 'string' ? parseJson(value, name) : value;
  if (!isObject(parsed)) throw badRequest(`Value of property ${name} must be an object`);
  return parsed;
}

/** A map from names to text: tags, stage variables. */
export function texts(properties: Properties, name: string): Record<string, string> {
  const map = object(properties, name) ?? {};
  return Object.fromEntries(Object.keys(map).map((key) => [key, text(map, key) ?? '']));
}

function parseJson(value: string, name: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    throw badRequest(`Value of property ${name} must be an object`);
  }
}

/** A delete of what is already gone has succeeded. */
export async function gone(deletion: Promise<unknown>): Promise<void> {
  try {
    await deletion;
  } catch (error) {
    if (!(error instanceof AwsError) || error.code !== 'NotFoundException') throw error;
  }
}

/** A patch that makes one map of another: names that are no longer there are emptied. */
export function patchTo<T>(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, T>>,
  empty: T,
): Record<string, T> {
  const removed = Object.keys(before).filter((name) => !Object.hasOwn(after, name));
  return { ...Object.fromEntries(removed.map((name) => [name, empty])), ...after };
}
