/** What an integration or a function answered, before CORS and the request's id are added. Names in lower case. */
export interface IntegrationAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string | Uint8Array;
}

/** Belong to the connection, or are computed from the body. */
const dropped: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'date',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Whether a response header of a backend may go to the client; `lower` in lower case. */
export function isForwardedHeader(lower: string): boolean {
  return !dropped.has(lower) && /^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(lower);
}

/**
 * Reads what a function returned, JSON text, by the contract of the payload format
 * (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html). Undefined: it is
 * malformed. `defaultType` is the content type of an answer that has none.
 */
export function proxyAnswer(
  payload: string,
  version: '1.0' | '2.0',
  defaultType = 'text/plain; charset=utf-8',
): IntegrationAnswer | undefined {
  let value: unknown;
  try {
    value = JSON.parse(payload);
  } catch {
    return undefined;
  }
  if (!isObject(value) || value['statusCode'] === undefined)
    return version === '2.0' ? inferred(value, payload) : undefined;
  const status = statusOf(value['statusCode']);
  if (status === undefined) return undefined;
  const headers: [string, string][] = [];
  if (!addHeaders(headers, value['headers'])) return undefined;
  if (version === '1.0' && !addMultiValueHeaders(headers, value['multiValueHeaders'])) return undefined;
  if (version === '2.0' && !addCookies(headers, value['cookies'])) return undefined;
  if (!headers.some(([name]) => name === 'content-type')) headers.push(['content-type', defaultType]);
  const { body, isBase64Encoded } = value;
  if (body === undefined || body === null) return { status, headers, body: '' };
  if (typeof body !== 'string') return version === '2.0' ? { status, headers, body: JSON.stringify(body) } : undefined;
  return { status, headers, body: isBase64Encoded === true ? Buffer.from(body, 'base64') : body };
}

/** Format 2.0: valid JSON without a status code is the body of a 200; a string is that string. */
function inferred(value: unknown, payload: string): IntegrationAnswer {
  const body = typeof value === 'string' ? value : payload;
  return { status: 200, headers: [['content-type', 'application/json']], body };
}

function statusOf(value: unknown): number | undefined {
  const status = typeof value === 'string' && /^\d{3}$/.test(value) ? Number(value) : value;
  return typeof status === 'number' && Number.isInteger(status) && status >= 200 && status <= 599 ? status : undefined;
}

function addHeaders(headers: [string, string][], given: unknown): boolean {
  if (given === undefined || given === null) return true;
  if (!isObject(given)) return false;
  for (const [name, value] of Object.entries(given)) if (!addHeader(headers, name, value)) return false;
  return true;
}

function addMultiValueHeaders(headers: [string, string][], given: unknown): boolean {
  if (given === undefined || given === null) return true;
  if (!isObject(given)) return false;
  for (const [name, values] of Object.entries(given)) {
    if (!Array.isArray(values)) return false;
    // A header given both ways goes out once for each distinct value.
    for (const value of values) {
      if (headers.some(([known, text]) => known === name.toLowerCase() && text === String(value))) continue;
      if (!addHeader(headers, name, value)) return false;
    }
  }
  return true;
}

function addCookies(headers: [string, string][], given: unknown): boolean {
  if (given === undefined || given === null) return true;
  if (!Array.isArray(given)) return false;
  return given.every((cookie) => addHeader(headers, 'set-cookie', cookie));
}

function addHeader(headers: [string, string][], name: string, value: unknown): boolean {
  if (value === null || value === undefined) return true;
  if (typeof value === 'object') return false;
  const lower = name.toLowerCase();
  const text = String(value);
  // A line break would end the header, and any other control character is refused by clients.
  if (/[^\t\x20-\x7e\x80-\xff]/.test(text)) return false;
  if (isForwardedHeader(lower)) headers.push([lower, text]);
  return true;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
