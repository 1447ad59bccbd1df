import { AwsError } from './errors.ts';
import type { WireRequest, WireResponse } from './message.ts';
import type { ErrorModel, Protocol, ServiceModel, Shape } from './model.ts';
import { loadModel } from './model.ts';
import type { ProtocolCodec, RenderedError } from './protocols/contract.ts';
import { PROTOCOLS } from './protocols/table.ts';

/** How one operation's messages are read and written in one protocol. Compiled once, then used for every call. */
export interface OperationCodec {
  /**
   * The operation's input as the types of src/wire/types describe it. Throws AwsError: SerializationException (query: MalformedInput)
   * for what cannot be read, the service's validation error for what violates a constraint.
   */
  readonly decode: (request: WireRequest) => unknown;
  /** The response that carries `output`; undefined members are left out, RawJson is written as it stands by the JSON protocols. */
  readonly encode: (output: unknown, requestId: string) => WireResponse;
}

export interface ErrorContext {
  /** A name in models/index.json; undefined where the request did not tell it. */
  readonly service: string | undefined;
  readonly operation?: string;
  readonly protocol: Protocol;
  readonly requestId: string;
}

const codecs: { [protocol: string]: { [service: string]: { [operation: string]: OperationCodec } } } = {};

/** The codec of an operation, compiled on first use. Throws Error for a service, operation or protocol that is not there. */
export function codecFor(service: string, operation: string, protocol: Protocol): OperationCodec {
  const known = codecs[protocol]?.[service]?.[operation];
  if (known !== undefined) return known;
  const model = loadModel(service);
  if (!Object.hasOwn(model.operations, operation)) throw new Error(`${service} has no operation ${operation}`);
  const codec = protocolCodec(protocol).compile(model, operation);
  codecs[protocol] ??= {};
  codecs[protocol][service] ??= {};
  codecs[protocol][service][operation] = codec;
  return codec;
}

/**
 * The one renderer of errors. What is not an AwsError is a fault of ours: it answers InternalFailure (InternalServerError in JSON) with
 * status 500 and tells nothing of its cause; whoever catches it logs it.
 */
export function encodeError(error: unknown, context: ErrorContext): WireResponse {
  const { service, protocol, requestId } = context;
  const model = service === undefined ? NO_SERVICE : loadModel(service);
  return protocolCodec(protocol).encodeError(resolve(error, protocol, model), model, requestId);
}

function resolve(error: unknown, protocol: Protocol, model: ServiceModel): RenderedError {
  if (!(error instanceof AwsError)) return internalFailure(protocol);
  const { code, message, fields } = error;
  const [shapeName, shape] = errorShape(model, code);
  const modelled = shape?.error;
  const status = error.statusGiven || modelled === undefined ? error.status : modelled.status;
  const fault = modelled === undefined || error.statusGiven ? error.fault : modelled.fault;
  const queryCode = modelled?.code ?? model.queryCodes?.[code] ?? code;
  return { code: shapeName ?? code, queryCode, message, status, fault, fields, shape, shapeName };
}

function internalFailure(protocol: Protocol): RenderedError {
  const code = protocol === 'query' ? 'InternalFailure' : 'InternalServerError';
  const message = 'The request processing has failed because of an unknown error, exception or failure.';
  const outside = { shape: undefined, shapeName: undefined, fields: {} };
  return { code, queryCode: code, message, status: 500, fault: 'Receiver', ...outside };
}

type ErrorShape = Shape & { readonly error: ErrorModel };

const errorShapes = new WeakMap<ServiceModel, ReadonlyMap<string, readonly [name: string, shape: ErrorShape]>>();

/** The error's shape, found by its name or by the code that the query protocol knows it by. */
function errorShape(
  model: ServiceModel,
  code: string,
): readonly [string, ErrorShape] | readonly [undefined, undefined] {
  let known = errorShapes.get(model);
  if (known === undefined) errorShapes.set(model, (known = indexErrors(model)));
  return known.get(code) ?? [undefined, undefined];
}

function indexErrors(model: ServiceModel): Map<string, readonly [string, ErrorShape]> {
  const index = new Map<string, readonly [string, ErrorShape]>();
  const errors = Object.entries(model.shapes).filter(
    (entry): entry is [string, ErrorShape] => entry[1].error !== undefined,
  );
  for (const [name, shape] of errors) if (shape.error.code !== undefined) index.set(shape.error.code, [name, shape]);
  // A shape's name comes before another shape's code.
  for (const [name, shape] of errors) index.set(name, [name, shape]);
  return index;
}

function protocolCodec(protocol: Protocol): ProtocolCodec {
  const codec = PROTOCOLS[protocol];
  if (codec === undefined) throw new Error(`the protocol ${protocol} is not built`);
  return codec;
}

/** Renders the error of a request whose service is not known. */
const NO_SERVICE: ServiceModel = {
  service: '',
  apiVersion: '',
  serviceId: '',
  protocols: [],
  signingName: '',
  endpointPrefix: '',
  operations: {},
  shapes: {},
};
