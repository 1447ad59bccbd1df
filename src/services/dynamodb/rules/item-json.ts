/**
 * Items as JSON text in the wire's form, B and BS in base64: what the service stores.
 * Nothing but binary values differs from the in-memory form, so items without them pass through the engine's own JSON.
 */
import { type AttributeMap, type AttributeValue, base64Of, type Item, setAttribute } from './values.ts';

/** A binary somewhere inside shows as one of these; an attribute named so only costs a walk for nothing. */
const MAY_HOLD_BINARY = /"BS?":/;

/** JSON text of a validated item. */
export function itemToJson(item: Item): string {
  return JSON.stringify(attributesToWire(item));
}

/** The item of such a text; the text is trusted. */
export function itemFromJson(text: string): Item {
  const parsed = JSON.parse(text) as WireMap;
  return MAY_HOLD_BINARY.test(text) ? attributesFromWire(parsed) : (parsed as Item);
}

export type WireMap = Readonly<Record<string, WireValue>>;
type WireValue = Readonly<Record<string, unknown>>;

/** The wire form of attributes; the same object where it holds no binary. */
export function attributesToWire(attributes: AttributeMap): AttributeMap | WireMap {
  let changed: Record<string, unknown> | undefined;
  for (const name in attributes) {
    const value = attributes[name]!;
    const wire = valueToWire(value);
    if (wire === value) continue;
    changed ??= { ...attributes };
    setAttribute(changed as Record<string, AttributeValue>, name, wire as AttributeValue);
  }
  return (changed as WireMap | undefined) ?? attributes;
}

function valueToWire(value: AttributeValue): AttributeValue | WireValue {
  if (value.S !== undefined || value.N !== undefined) return value;
  if (value.B !== undefined) return { B: base64Of(value.B) };
  if (value.BS !== undefined) return { BS: value.BS.map(base64Of) };
  if (value.M !== undefined) {
    const wire = attributesToWire(value.M);
    return wire === value.M ? value : { M: wire };
  }
  if (value.L !== undefined) {
    const list = value.L;
    const wire = list.map(valueToWire);
    return wire.every((element, index) => element === list[index]) ? value : { L: wire };
  }
  return value;
}

function attributesFromWire(attributes: WireMap): AttributeMap {
  const result: Record<string, AttributeValue> = {};
  for (const name in attributes) setAttribute(result, name, valueFromWire(attributes[name]!));
  return result;
}

function valueFromWire(value: WireValue): AttributeValue {
  if (typeof value['B'] === 'string') return { B: Buffer.from(value['B'], 'base64') };
  if (value['BS'] !== undefined) {
    return { BS: (value['BS'] as readonly string[]).map((member) => Buffer.from(member, 'base64')) };
  }
  if (value['M'] !== undefined) return { M: attributesFromWire(value['M'] as WireMap) };
  if (value['L'] !== undefined) return { L: (value['L'] as readonly WireValue[]).map(valueFromWire) };
  return value as AttributeValue;
}
