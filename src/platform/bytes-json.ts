/** JSON with bytes in it, as `{"$base64": "…"}`. */
export function stringifyWithBytes(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key, shown: unknown) {
    const raw = this[key];
    return raw instanceof Uint8Array ? { $base64: Buffer.from(raw).toString('base64') } : shown;
  });
}

export function parseWithBytes(text: string): unknown {
  return JSON.parse(text, (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null) return value;
    const { $base64 } = value as { $base64?: unknown };
    return typeof $base64 === 'string' ? Buffer.from($base64, 'base64') : value;
  });
}
