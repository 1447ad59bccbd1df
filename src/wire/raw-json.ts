/**
 * JSON text that is already encoded. In an output it is written as it stands by the JSON protocols, so that a stored document
 * need not be parsed to be answered. The holder warrants that `json` is one valid JSON value.
 */
export class RawJson {
  readonly json: string;

  constructor(json: string) {
    this.json = json;
  }
}

/** A value with every RawJson in it parsed, for callers in process; what holds none is handed back as it is. */
export function withoutRawJson(value: unknown): unknown {
  if (value instanceof RawJson) return JSON.parse(value.json);
  if (Array.isArray(value)) return value.some(holdsRawJson) ? value.map(withoutRawJson) : value;
  if (!isPlain(value) || !Object.values(value).some(holdsRawJson)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, withoutRawJson(member)]));
}

function holdsRawJson(value: unknown): boolean {
  if (value instanceof RawJson) return true;
  if (Array.isArray(value)) return value.some(holdsRawJson);
  return isPlain(value) && Object.values(value).some(holdsRawJson);
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
