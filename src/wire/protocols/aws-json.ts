import { crc32 } from 'node:zlib';
import type { OperationCodec } from '../codec.ts';
import { compileValidator } from '../constraints.ts';
import { notImplemented } from '../errors.ts';
import type { WireResponse } from '../message.ts';
import type { ServiceModel } from '../model.ts';
import { memberOf, shapeOf } from '../model.ts';
import type { ProtocolCodec, RenderedError } from './contract.ts';
import { errorBody } from './json-error.ts';
import { JsonReaders, serialization } from './json-read.ts';
import { JsonWriters } from './json-write.ts';

/** AWS JSON 1.0 and 1.1: POST to `/`, the operation in X-Amz-Target, one JSON object either way. They differ in the content type. */
export function awsJson(version: '1.0' | '1.1'): ProtocolCodec {
  const contentType = `application/x-amz-json-${version}`;
  return {
    compile: (model, operation) => compile(model, operation, contentType),
    encodeError: (error, model, requestId) => encodeError(error, model, requestId, contentType),
  };
}

function compile(model: ServiceModel, operationName: string, contentType: string): OperationCodec {
  const operation = model.operations[operationName]!;
  const read = operation.input === undefined ? undefined : readersOf(model).shape(operation.input);
  const code = model.validation?.code ?? 'ValidationException';
  const validate =
    operation.input === undefined || operation.validation === 'service'
      ? undefined
      : compileValidator(model, operation.input, code);
  const write = operation.output === undefined ? undefined : writersOf(model).shape(operation.output);
  const streams = operation.output !== undefined && hasEventStream(model, operation.output);
  const respond = responder(model, contentType);
  return {
    decode: ({ body }) => {
      const value = parseJson(body, model);
      const input = read === undefined ? {} : read(value);
      validate?.(input);
      return input;
    },
    encode: (output, requestId) => {
      if (streams) throw notImplemented(model.service, operationName);
      const empty = output === undefined || output === null || write === undefined;
      return respond(200, empty ? emptyOutput(write !== undefined) : write(output), requestId);
    },
  };
}

function encodeError(error: RenderedError, model: ServiceModel, requestId: string, contentType: string): WireResponse {
  const type = typeOf(error, model);
  const body = errorBody(error, model, writersOf(model), { __type: type });
  const response = responder(model, contentType)(error.status, body, requestId);
  // SQS, which spoke the query protocol before, tells the older code as well.
  if (model.queryCodes !== undefined) {
    response.headers['x-amzn-query-error'] = `${error.queryCode};${error.fault}`;
  }
  return response;
}

/** The namespaces of AWS's framework errors, and the service's own for errors in its model (seen in recorded responses). */
function typeOf(error: RenderedError, model: ServiceModel): string {
  if (model.errorNamespace === undefined) return error.code;
  if (error.shape !== undefined) return `${model.errorNamespace}#${error.code}`;
  return error.code === 'ValidationException'
    ? `com.amazon.coral.validate#${error.code}`
    : `com.amazon.coral.service#${error.code}`;
}

function responder(
  model: ServiceModel,
  contentType: string,
): (status: number, text: string, requestId: string) => WireResponse {
  if (model.crc32 !== true) {
    return (status, body, requestId) => ({
      status,
      headers: { 'x-amzn-RequestId': requestId, 'content-type': contentType },
      body,
    });
  }
  return (status, text, requestId) => {
    const body = Buffer.from(text, 'utf8');
    return {
      status,
      headers: { 'x-amzn-RequestId': requestId, 'x-amz-crc32': String(crc32(body)), 'content-type': contentType },
      body,
    };
  };
}

/** An operation without an output shape answers no body at all. */
function emptyOutput(hasShape: boolean): string {
  return hasShape ? '{}' : '';
}

/** A request's JSON body; an empty one reads as `{}` except where AWS refuses it. */
export function parseJson(body: Buffer, model: ServiceModel): unknown {
  if (body.length === 0 && model.jsonDialect !== 'dynamodb') return {};
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    throw serialization('');
  }
  if (value === null) throw serialization('');
  return value;
}

function hasEventStream(model: ServiceModel, shapeName: string): boolean {
  const members = Object.values(shapeOf(model, shapeName).members ?? {});
  return members.some((ref) => shapeOf(model, memberOf(ref).shape).eventstream === true);
}

const readers = new WeakMap<ServiceModel, JsonReaders>();
const writers = new WeakMap<ServiceModel, JsonWriters>();

/** The compiled readers of a model, shared by all its operations. */
export function readersOf(model: ServiceModel): JsonReaders {
  let known = readers.get(model);
  if (known === undefined) readers.set(model, (known = new JsonReaders(model)));
  return known;
}

/** The compiled writers of a model, shared by all its operations. */
export function writersOf(model: ServiceModel): JsonWriters {
  let known = writers.get(model);
  if (known === undefined) writers.set(model, (known = new JsonWriters(model)));
  return known;
}
