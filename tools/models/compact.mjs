// From an official model to our compact one: no documentation, only what the wire needs; then the patches.

const PROTOCOLS = {
  'json/1.0': 'awsJson1_0',
  'json/1.1': 'awsJson1_1',
  query: 'query',
  'rest-json': 'restJson',
  'rest-xml': 'restXml',
  ec2: 'ec2Query',
  'smithy-rpc-v2-cbor': 'rpcV2Cbor',
};
const SCALARS = new Set(['string', 'integer', 'long', 'float', 'double', 'boolean', 'blob', 'timestamp', 'bigdecimal']);
const REF_KEYS = [
  'location',
  'locationName',
  'flattened',
  'timestampFormat',
  'eventpayload',
  'eventheader',
  'streaming',
  'jsonvalue',
  'xmlAttribute',
  'xmlNamespace',
  'hostLabel',
  'idempotencyToken',
  'enum',
];

/** The compact model (see ServiceModel in src/wire/model.ts) of one official service-2.json. */
export function compactModel(service, official) {
  const meta = official.metadata;
  const model = {
    service: service.name,
    apiVersion: meta.apiVersion,
    serviceId: meta.serviceId,
    protocols: protocolsOf(meta),
    signingName: meta.signingName ?? meta.endpointPrefix,
    endpointPrefix: meta.endpointPrefix,
    ...defined({ targetPrefix: meta.targetPrefix, jsonVersion: meta.jsonVersion }),
    ...defined({ xmlNamespace: meta.xmlNamespace?.uri ?? meta.xmlNamespace }),
    operations: {},
    shapes: {},
  };
  for (const [name, operation] of Object.entries(official.operations))
    model.operations[name] = compactOperation(operation);
  for (const name of reachable(official)) model.shapes[name] = compactShape(official.shapes[name]);
  return model;
}

/** Merges the patches in: objects deeply, null deletes, anything else replaces. A patch must name what exists or say `"add": true`. */
export function applyPatches(model, patchFile, service) {
  for (const patch of patchFile?.patches ?? []) {
    if (typeof patch.reason !== 'string' || patch.reason === '')
      throw new Error(`${service}: a patch without a reason`);
    for (const part of ['operations', 'shapes']) {
      for (const [name, change] of Object.entries(patch[part] ?? {})) {
        if (model[part][name] === undefined && patch.add !== true)
          throw new Error(`${service}: no ${part} ${name} to patch`);
        model[part][name] = merge(model[part][name], change);
        if (model[part][name] === undefined) delete model[part][name];
      }
    }
    if (patch.service !== undefined) Object.assign(model, merge(model, patch.service));
  }
}

/** Patterns that no JavaScript regular expression can take, as sentences; src/wire/constraints.ts reads patterns the same way. */
export function patternProblems(model) {
  return Object.entries(model.shapes)
    .filter(([, shape]) => shape.pattern !== undefined && !compiles(shape.pattern))
    .map(([name, shape]) => `shape ${name} has a pattern that does not compile: ${shape.pattern}`);
}

/** What models/index.json keeps of a model: enough to route a request without loading any model but rest-json's. */
export function indexEntry(model) {
  const { apiVersion, serviceId, protocols, signingName, endpointPrefix, targetPrefix, jsonVersion } = model;
  const entry = { file: `${model.service}.json`, apiVersion, serviceId, protocols, signingName, endpointPrefix };
  if (protocols.some((protocol) => protocol.startsWith('rest'))) {
    entry.paths = Object.entries(model.operations).map(
      ([name, operation]) => `${operation.method ?? 'POST'} ${operation.uri ?? '/'} ${name}`,
    );
  }
  const names = Object.keys(model.operations).join(' ');
  if (protocols.includes('query')) entry.actions = names;
  if (protocols.some((protocol) => protocol.startsWith('awsJson'))) entry.targets = names;
  return { ...entry, ...defined({ targetPrefix, jsonVersion }) };
}

/** The file's text: one operation or shape a line, so that a diff can be read and the file stays small. */
export function modelText(model, header) {
  const { operations, shapes, ...rest } = model;
  const lines = (object) =>
    Object.entries(object)
      .map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)
      .join(',\n');
  const head = Object.entries(rest)
    .map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)
    .join(',');
  return `{"//":${JSON.stringify(header)},\n${head},\n"operations":{\n${lines(operations)}\n},\n"shapes":{\n${lines(shapes)}\n}}\n`;
}

function protocolsOf(meta) {
  const names = meta.protocols ?? [meta.protocol];
  return names.map((name) => {
    const protocol = PROTOCOLS[name === 'json' ? `json/${meta.jsonVersion}` : name];
    if (protocol === undefined) throw new Error(`unknown protocol ${name}`);
    return protocol;
  });
}

function compactOperation(operation) {
  const { method, requestUri, responseCode } = operation.http;
  const streams = operation.auth?.includes('smithy.api#noAuth') || operation.authtype === 'none';
  return {
    ...(requestUri === '/' && method === 'POST' ? {} : { method, uri: requestUri }),
    ...(responseCode === undefined || responseCode === 200 ? {} : { status: responseCode }),
    ...defined({ input: operation.input?.shape, output: operation.output?.shape }),
    ...defined({ wrapper: operation.output?.resultWrapper }),
    ...(streams ? { unsigned: true } : {}),
    ...(operation.errors?.length ? { errors: operation.errors.map((error) => error.shape) } : {}),
  };
}

function compactShape(shape) {
  const { type } = shape;
  const compact = { type };
  if (shape.exception) compact.error = errorOf(shape);
  if (type === 'structure') {
    for (const flag of ['union', 'payload', 'event', 'eventstream']) if (shape[flag]) compact[flag] = shape[flag];
    if (shape.required?.length) compact.required = shape.required;
    compact.members = Object.fromEntries(Object.entries(shape.members).map(([name, ref]) => [name, compactRef(ref)]));
  } else if (type === 'list') {
    compact.member = compactRef(shape.member);
  } else if (type === 'map') {
    compact.key = compactRef(shape.key);
    compact.value = compactRef(shape.value);
  } else if (!SCALARS.has(type)) {
    throw new Error(`unknown shape type ${type}`);
  }
  const { min, max, pattern, flattened, locationName, timestampFormat, sensitive, streaming } = shape;
  return {
    ...compact,
    ...defined({ min, max, pattern, flattened, locationName, timestampFormat, sensitive, streaming }),
    ...(shape.enum ? { enum: shape.enum } : {}),
  };
}

/** AWS answers 400 for a sender's fault and 500 for its own where the model gives no status. */
function errorOf(shape) {
  const fault = shape.fault ? 'Receiver' : 'Sender';
  const status = shape.error?.httpStatusCode ?? (shape.fault ? 500 : 400);
  const receiver = shape.fault || shape.error?.senderFault === false || status >= 500;
  return { ...defined({ code: shape.error?.code }), status, ...(receiver ? { fault: 'Receiver' } : { fault }) };
}

function compactRef(ref) {
  const kept = defined(Object.fromEntries(REF_KEYS.map((key) => [key, ref[key]])));
  if (typeof kept.xmlNamespace === 'object') kept.xmlNamespace = kept.xmlNamespace.uri;
  return Object.keys(kept).length === 0 ? ref.shape : { shape: ref.shape, ...kept };
}

function reachable(official) {
  const seen = new Set();
  const visit = (name) => {
    if (seen.has(name)) return;
    seen.add(name);
    const shape = official.shapes[name];
    const refs = [...Object.values(shape.members ?? {}), shape.member, shape.key, shape.value];
    for (const ref of refs) if (ref !== undefined) visit(ref.shape);
  };
  for (const operation of Object.values(official.operations)) {
    for (const ref of [operation.input, operation.output, ...(operation.errors ?? [])]) if (ref) visit(ref.shape);
  }
  for (const [name, shape] of Object.entries(official.shapes)) if (shape.exception) visit(name);
  return [...seen].sort();
}

function merge(base, change) {
  if (change === null) return undefined;
  if (typeof change !== 'object' || Array.isArray(change)) return change;
  const start = typeof base === 'string' ? { shape: base } : base;
  const merged = typeof start === 'object' && !Array.isArray(start) ? { ...start } : {};
  for (const [key, value] of Object.entries(change)) {
    const next = merge(merged[key], value);
    if (next === undefined) delete merged[key];
    else merged[key] = next;
  }
  return merged;
}

function compiles(pattern) {
  for (const flags of ['u', '']) {
    try {
      new RegExp(`^(?:${pattern.replaceAll('\\p{Print}', '[\\x20-\\x7E]')})$`, flags);
      return true;
    } catch {
      // The next reading may take it.
    }
  }
  return false;
}

function defined(object) {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}
