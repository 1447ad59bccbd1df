import type { OperationCodec } from '../codec.ts';
import { compileValidator } from '../constraints.ts';
import { AwsError } from '../errors.ts';
import { type EventWriter, eventWriter, failureMessage } from '../event-stream/events.ts';
import { eventStreamType } from '../event-stream/message.ts';
import type { WireRequest, WireResponse } from '../message.ts';
import type { Member, OperationModel, ServiceModel, Shape } from '../model.ts';
import { memberOf, shapeOf } from '../model.ts';
import { decodePercent, matchSegments, parseParameters, parseUri, segmentsOf } from '../uri.ts';
import { parseJson, readersOf, writersOf } from './aws-json.ts';
import type { ProtocolCodec, RenderedError } from './contract.ts';
import { errorBody } from './json-error.ts';
import { serialization } from './json-read.ts';
import { textReader, textWriter } from './text-value.ts';

/** REST JSON: members travel in the path, the query string, headers, and a JSON body or a body that is one member. */
export const restJson: ProtocolCodec = {
  compile: (model, operationName) => {
    const operation = model.operations[operationName]!;
    const decode = compileDecode(model, operation);
    const code = model.validation?.code ?? 'ValidationException';
    const validate =
      operation.input === undefined || operation.validation === 'service'
        ? undefined
        : compileValidator(model, operation.input, code);
    return {
      decode: (request) => {
        const input = decode(request);
        validate?.(input);
        return input;
      },
      encode: compileEncode(model, operation),
    };
  },
  encodeError: (error, model, requestId) => encodeError(error, model, requestId),
};

/** Fills one part of the input from the request. */
type Fill = (input: Record<string, unknown>, request: WireRequest, parts: RequestParts) => void;

interface RequestParts {
  readonly labels: Readonly<Record<string, string>>;
  readonly parameters: readonly (readonly [name: string, value: string])[];
}

function compileDecode(model: ServiceModel, operation: OperationModel): (request: WireRequest) => unknown {
  if (operation.input === undefined) return () => ({});
  const shape = shapeOf(model, operation.input);
  const pattern = parseUri(operation.uri ?? '/');
  const { bound, inBody } = split(shape);
  const fills: Fill[] = bound.map(([name, member]) => fillOf(model, name, member));
  const hasLabels = bound.some(([, member]) => member.location === 'uri');
  const hasParameters = bound.some(([, member]) => member.location === 'querystring');
  const body = bodyReader(model, operation.input, shape, inBody, new Set(bound.map(([name]) => name)));
  return (request) => {
    const input = body(request);
    if (fills.length === 0) return input;
    const parts: RequestParts = {
      labels: hasLabels ? (matchSegments(pattern, segmentsOf(request.path)) ?? {}) : {},
      parameters: hasParameters ? parseParameters(request.query) : [],
    };
    for (const fill of fills) fill(input, request, parts);
    return input;
  };
}

function bodyReader(
  model: ServiceModel,
  shapeName: string,
  shape: Shape,
  inBody: readonly string[],
  bound: ReadonlySet<string>,
): (request: WireRequest) => Record<string, unknown> {
  const { payload } = shape;
  if (payload === undefined) {
    if (inBody.length === 0) return () => ({});
    const read = readersOf(model).shape(shapeName, bound);
    return ({ body }) => read(parseJson(body, model)) as Record<string, unknown>;
  }
  const payloadShape = memberOf(shape.members![payload]!).shape;
  const { type } = shapeOf(model, payloadShape);
  if (type === 'blob') return ({ body }) => (body.length === 0 ? {} : { [payload]: body });
  if (type === 'string') return ({ body }) => (body.length === 0 ? {} : { [payload]: body.toString('utf8') });
  const read = readersOf(model).shape(payloadShape);
  return ({ body }) => (body.length === 0 ? {} : { [payload]: read(parseJson(body, model)) });
}

function fillOf(model: ServiceModel, name: string, member: Member): Fill {
  const wireName = member.locationName ?? name;
  const shape = shapeOf(model, member.shape);
  switch (member.location) {
    case 'uri': {
      const read = textReader(shape, refuse);
      return (input, _request, { labels }) => {
        const text = labels[wireName];
        if (text !== undefined) input[name] = read(decodePercent(text));
      };
    }
    case 'querystring':
      return fillFromQuery(model, name, wireName, shape);
    case 'headers': {
      const prefix = wireName.toLowerCase();
      return (input, { headers }) => {
        const entries = Object.entries(headers).filter(([header]) => header.startsWith(prefix));
        if (entries.length > 0) {
          input[name] = Object.fromEntries(entries.map(([header, value]) => [header.slice(prefix.length), value]));
        }
      };
    }
    case 'header': {
      const header = wireName.toLowerCase();
      const read = headerReader(model, shape);
      return (input, { headers }) => {
        const text = headers[header];
        if (text !== undefined) input[name] = read(text);
      };
    }
    default:
      throw new Error(
        `the model of ${model.service} binds ${name} to ${String(member.location)}, which no request has`,
      );
  }
}

function headerReader(model: ServiceModel, shape: Shape): (text: string) => unknown {
  if (shape.type !== 'list') return textReader(shape, refuse);
  const read = textReader(shapeOf(model, memberOf(shape.member!).shape), refuse);
  return (text) => text.split(',').map((part) => read(part.trim()));
}

function fillFromQuery(model: ServiceModel, name: string, wireName: string, shape: Shape): Fill {
  if (shape.type === 'map') {
    return (input, _request, { parameters }) => {
      if (parameters.length > 0) input[name] = Object.fromEntries(parameters);
    };
  }
  if (shape.type === 'list') {
    const read = textReader(shapeOf(model, memberOf(shape.member!).shape), refuse);
    return (input, _request, { parameters }) => {
      const values = parameters.filter(([given]) => given === wireName).map(([, value]) => read(value));
      if (values.length > 0) input[name] = values;
    };
  }
  const read = textReader(shape, refuse);
  return (input, _request, { parameters }) => {
    const found = parameters.find(([given]) => given === wireName);
    if (found !== undefined) input[name] = read(found[1]);
  };
}

function compileEncode(model: ServiceModel, operation: OperationModel): OperationCodec['encode'] {
  const status = operation.status ?? 200;
  if (operation.output === undefined) return (_output, requestId) => response(status, '', requestId, undefined);
  const shape = shapeOf(model, operation.output);
  const { bound, inBody } = split(shape);
  const headers = bound
    .filter(([, member]) => member.location !== 'statusCode')
    .map((entry) => headerWriter(model, entry));
  const statusMember = bound.find(([, member]) => member.location === 'statusCode')?.[0];
  const head = (value: Record<string, unknown>, body: Buffer | string, requestId: string): WireResponse => {
    const given = statusMember === undefined ? undefined : (value[statusMember] as number | undefined);
    const encoded = response(given ?? status, body, requestId, 'application/json');
    for (const write of headers) write(value, encoded.headers);
    return encoded;
  };
  const streamed = streamOf(model, shape);
  if (streamed !== undefined) {
    const write = eventWriter(model, streamed.shape, writersOf(model));
    return (output, requestId) => {
      const value = (output ?? {}) as Record<string, unknown>;
      const encoded = head(value, '', requestId);
      const events = value[streamed.member] as AsyncIterable<Record<string, unknown>> | undefined;
      if (events === undefined) return encoded;
      encoded.headers['content-type'] = eventStreamType;
      return { ...encoded, stream: encodeEvents(events, write, model, streamed.shape) };
    };
  }
  const body = bodyWriter(model, operation.output, shape, inBody, new Set(bound.map(([name]) => name)));
  return (output, requestId) => {
    const value = (output ?? {}) as Record<string, unknown>;
    return head(value, body(value), requestId);
  };
}

/** The output's member that is an event stream. */
function streamOf(
  model: ServiceModel,
  { payload, members }: Shape,
): { readonly member: string; readonly shape: string } | undefined {
  if (payload === undefined) return undefined;
  const { shape } = memberOf(members![payload]!);
  return shapeOf(model, shape).eventstream === true ? { member: payload, shape } : undefined;
}

/** A stream that fails ends in a message that says so; what was a bug is then thrown on, for whoever logs it. */
async function* encodeEvents(
  events: AsyncIterable<Record<string, unknown>>,
  write: EventWriter,
  model: ServiceModel,
  streamShape: string,
): AsyncGenerator<Buffer, void> {
  try {
    for await (const event of events) yield write(event);
  } catch (error) {
    yield failureMessage(error, model, streamShape);
    if (!(error instanceof AwsError)) throw error;
  }
}

function bodyWriter(
  model: ServiceModel,
  shapeName: string,
  shape: Shape,
  inBody: readonly string[],
  bound: ReadonlySet<string>,
): (output: Record<string, unknown>) => Buffer | string {
  const { payload } = shape;
  if (payload === undefined) return inBody.length === 0 ? () => '' : writersOf(model).shape(shapeName, bound);
  const payloadName = memberOf(shape.members![payload]!).shape;
  const payloadShape = shapeOf(model, payloadName);
  if (payloadShape.type === 'blob') return (output) => bytesOf(output[payload]);
  if (payloadShape.type === 'string') return (output) => String(output[payload] ?? '');
  const write = writersOf(model).shape(payloadName);
  return (output) => (output[payload] === undefined ? '' : write(output[payload]));
}

function bytesOf(value: unknown): Buffer | string {
  if (value === undefined || value === null) return '';
  const bytes = value as Uint8Array;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function headerWriter(
  model: ServiceModel,
  [name, member]: readonly [string, Member],
): (output: Record<string, unknown>, headers: Record<string, string>) => void {
  const wireName = member.locationName ?? name;
  const shape = shapeOf(model, member.shape);
  if (member.location === 'headers') {
    return (output, headers) => {
      for (const [key, value] of Object.entries(output[name] ?? {})) headers[wireName + key] = String(value);
    };
  }
  const scalar = shape.type === 'list' ? shapeOf(model, memberOf(shape.member!).shape) : shape;
  const write = textWriter(scalar, member.timestampFormat ?? 'rfc822');
  return (output, headers) => {
    const value = output[name];
    if (value === undefined || value === null) return;
    headers[wireName] = Array.isArray(value) ? value.map(write).join(', ') : write(value);
  };
}

function encodeError(error: RenderedError, model: ServiceModel, requestId: string): WireResponse {
  const body = errorBody(error, model, writersOf(model), {});
  const encoded = response(error.status, body, requestId, 'application/json');
  encoded.headers['x-amzn-ErrorType'] = error.code;
  for (const [name, ref] of Object.entries(error.shape?.members ?? {})) {
    const member = memberOf(ref);
    if (member.location === 'header' || member.location === 'headers') {
      headerWriter(model, [name, member])(error.fields, encoded.headers);
    }
  }
  return encoded;
}

function response(
  status: number,
  body: Buffer | string,
  requestId: string,
  contentType: string | undefined,
): WireResponse {
  const headers: Record<string, string> = { 'x-amzn-RequestId': requestId };
  if (contentType !== undefined && body.length > 0) headers['content-type'] = contentType;
  return { status, headers, body };
}

function split(shape: Shape): {
  readonly bound: readonly (readonly [string, Member])[];
  readonly inBody: readonly string[];
} {
  const members = Object.entries(shape.members ?? {}).map(([name, ref]) => [name, memberOf(ref)] as const);
  return {
    bound: members.filter(([, member]) => member.location !== undefined),
    inBody: members.filter(([, member]) => member.location === undefined).map(([name]) => name),
  };
}

function refuse(_text: string, type: string) {
  return serialization(`STRING_VALUE can not be converted to ${/^[AEIOU]/.test(type) ? 'an' : 'a'} ${type}`);
}
