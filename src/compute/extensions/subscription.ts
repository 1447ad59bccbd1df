/** What an extension asks for when it subscribes to telemetry: judged once, here. */

export type Stream = 'platform' | 'function' | 'extension';

export interface Subscription {
  readonly api: 'telemetry' | 'logs';
  /** Of the Telemetry API `2022-07-01`, `2022-12-13` or `2025-01-29`, of the Logs API `2020-08-15` or `2021-03-18`. */
  readonly schemaVersion: string;
  readonly streams: readonly Stream[];
  readonly buffering: Buffering;
  readonly destination: Destination;
}

export interface Buffering {
  readonly maxItems: number;
  readonly maxBytes: number;
  readonly timeoutMs: number;
}

export type Destination =
  | { readonly protocol: 'HTTP'; readonly port: number; readonly path: string; readonly method: 'POST' | 'PUT' }
  | { readonly protocol: 'TCP'; readonly port: number };

/** Default, least, most (docs: telemetry-api, "Configuring memory usage and buffering"). */
const bufferingBounds = {
  maxItems: [10_000, 1_000, 10_000],
  maxBytes: [262_144, 262_144, 1_048_576],
  timeoutMs: [1_000, 25, 30_000],
} as const;

const versions = {
  telemetry: ['2022-07-01', '2022-12-13', '2025-01-29'],
  logs: ['2020-08-15', '2021-03-18'],
} as const;

const streams: readonly string[] = ['platform', 'function', 'extension'];
/** "Lambda reserves port 9001" (docs: telemetry-api). */
const reservedPort = 9001;

type Fields = Readonly<Record<string, unknown>>;

/** The subscription, or what is wrong with the request; all at once, as AWS does ("URI port is not provided; types should not be empty"). */
export function parseSubscription(api: Subscription['api'], body: Buffer): Subscription | string {
  const request = object(parse(body));
  if (request === undefined) return 'request body is not a JSON object';
  const problems: string[] = [];
  const destination = parseDestination(object(request['destination']), problems);
  const types = parseTypes(request['types'], problems);
  const schemaVersion = parseVersion(api, request['schemaVersion'], problems);
  const buffering = parseBuffering(request['buffering'], problems);
  if (problems.length > 0 || destination === undefined) return problems.join('; ');
  return { api, schemaVersion, streams: types, buffering, destination };
}

function parseDestination(fields: Fields | undefined, problems: string[]): Destination | undefined {
  if (fields === undefined) {
    problems.push('destination is not provided');
    return undefined;
  }
  const { protocol } = fields;
  if (protocol === 'TCP') {
    const port = portOf(fields['port'], problems);
    return port === undefined ? undefined : { protocol, port };
  }
  if (protocol !== 'HTTP') {
    problems.push(`unknown protocol: ${String(protocol)}. Only TCP and HTTP are supported`);
    return undefined;
  }
  const uri = typeof fields['URI'] === 'string' ? fields['URI'] : '';
  const parts = /^http:\/\/([^/:?#]+)(?::(\d*))?([/?][^#]*)?$/.exec(uri);
  if (parts === null) {
    problems.push(uri === '' ? 'URI is not provided' : 'URI is not valid');
    return undefined;
  }
  if (parts[1] !== 'sandbox.localdomain' && parts[1] !== 'sandbox') {
    problems.push('URI host must be sandbox.localdomain');
    return undefined;
  }
  if (parts[2] === undefined || parts[2] === '') {
    problems.push('URI port is not provided');
    return undefined;
  }
  const port = portOf(Number(parts[2]), problems);
  const { method = 'POST', encoding = 'JSON' } = fields;
  if (method !== 'POST' && method !== 'PUT') problems.push('method must be POST or PUT');
  if (encoding !== 'JSON') problems.push('encoding must be JSON');
  const path = parts[3] ?? '/';
  return port === undefined
    ? undefined
    : { protocol, port, path: path.startsWith('/') ? path : `/${path}`, method: method === 'PUT' ? 'PUT' : 'POST' };
}

function portOf(value: unknown, problems: string[]): number | undefined {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535 && value !== reservedPort) {
    return value;
  }
  problems.push(value === undefined ? 'port is not provided' : `port ${String(value)} is not valid`);
  return undefined;
}

function parseTypes(value: unknown, problems: string[]): readonly Stream[] {
  if (!Array.isArray(value) || value.length === 0) {
    problems.push('types should not be empty');
    return [];
  }
  const unknown = value.filter((type) => !streams.includes(type as string));
  if (unknown.length > 0) problems.push(`types are not valid: ${unknown.map(String).join(', ')}`);
  return [...new Set(value as Stream[])];
}

function parseVersion(api: Subscription['api'], value: unknown, problems: string[]): string {
  // The Logs API's is optional (docs: runtimes-logs-api).
  if (value === undefined && api === 'logs') return versions.logs[0];
  const known: readonly string[] = versions[api];
  if (typeof value === 'string' && known.includes(value)) return value;
  problems.push(
    value === undefined ? 'schemaVersion is not provided' : `schemaVersion must be one of ${known.join(', ')}`,
  );
  return '';
}

function parseBuffering(value: unknown, problems: string[]): Buffering {
  const fields = object(value) ?? {};
  if (value !== undefined && object(value) === undefined) problems.push('buffering is not an object');
  const figure = (name: keyof typeof bufferingBounds): number => {
    const [normal, least, most] = bufferingBounds[name];
    const given = fields[name];
    if (given === undefined) return normal;
    if (typeof given === 'number' && Number.isInteger(given) && given >= least && given <= most) return given;
    problems.push(`buffering.${name} must be between ${least} and ${most}`);
    return normal;
  };
  return { maxItems: figure('maxItems'), maxBytes: figure('maxBytes'), timeoutMs: figure('timeoutMs') };
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}

function object(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}
