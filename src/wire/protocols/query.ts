import type { OperationCodec } from '../codec.ts';
import { compileValidator } from '../constraints.ts';
import type { WireRequest, WireResponse } from '../message.ts';
import type { ServiceModel } from '../model.ts';
import { memberOf } from '../model.ts';
import { parseParameters } from '../uri.ts';
import type { ProtocolCodec, RenderedError } from './contract.ts';
import { FormReaders, formTree } from './query-read.ts';
import { escapeXml, XmlWriters } from './xml-write.ts';

/** AWS query: Action, Version and flattened parameters in a form body or the query string; XML back. */
export const query: ProtocolCodec = { compile, encodeError };

const CONTENT_TYPE = 'text/xml';

function compile(model: ServiceModel, operationName: string): OperationCodec {
  const operation = model.operations[operationName]!;
  const read = operation.input === undefined ? undefined : readersOf(model).shape(operation.input);
  const validate =
    operation.input === undefined || operation.validation === 'service'
      ? undefined
      : compileValidator(model, operation.input, model.validation?.code ?? 'ValidationError');
  const write = operation.output === undefined ? undefined : writersOf(model).shape(operation.output);
  const { wrapper } = operation;
  const start = `<${operationName}Response xmlns="${escapeXml(model.xmlNamespace ?? '')}">`;
  const pathMember = pathMemberOf(model, operation.input);
  return {
    decode: (request) => {
      if (read === undefined) return {};
      const input = read(formTree(formParameters(request))) as Record<string, unknown>;
      if (pathMember !== undefined && input[pathMember] === undefined && request.path.length > 1) {
        input[pathMember] = `http://${request.headers['host'] ?? 'localhost'}${request.path}`;
      }
      validate?.(input);
      return input;
    },
    encode: (output, requestId) => {
      const inner = write === undefined || output === undefined || output === null ? '' : write(output);
      const result = wrapper === undefined ? inner : `<${wrapper}>${inner}</${wrapper}>`;
      const metadata = `<ResponseMetadata><RequestId>${escapeXml(requestId)}</RequestId></ResponseMetadata>`;
      return response(200, `${start}${result}${metadata}</${operationName}Response>`, requestId);
    },
  };
}

/** The parameters of a request in the query protocol: the query string's and the form body's. */
export function formParameters(request: WireRequest): [name: string, value: string][] {
  const inQuery = parseParameters(request.query);
  return request.body.length === 0 ? inQuery : [...inQuery, ...parseParameters(request.body.toString('utf8'))];
}

function encodeError(error: RenderedError, model: ServiceModel, requestId: string): WireResponse {
  const text = [
    `<ErrorResponse xmlns="${escapeXml(model.xmlNamespace ?? '')}">`,
    `<Error><Type>${error.fault}</Type><Code>${escapeXml(error.queryCode)}</Code>`,
    `<Message>${escapeXml(error.message)}</Message></Error>`,
    `<RequestId>${escapeXml(requestId)}</RequestId></ErrorResponse>`,
  ].join('');
  return response(error.status, text, requestId);
}

function response(status: number, body: string, requestId: string): WireResponse {
  return { status, headers: { 'x-amzn-RequestId': requestId, 'content-type': CONTENT_TYPE }, body };
}

/** The input's member that the request's path stands for, where it has one (SQS: POST to the queue's URL). */
function pathMemberOf(model: ServiceModel, input: string | undefined): string | undefined {
  const { pathMember } = model;
  if (pathMember === undefined || input === undefined) return undefined;
  const ref = model.shapes[input]?.members?.[pathMember];
  return ref !== undefined && memberOf(ref).location === undefined ? pathMember : undefined;
}

const readers = new WeakMap<ServiceModel, FormReaders>();
const writers = new WeakMap<ServiceModel, XmlWriters>();

function readersOf(model: ServiceModel): FormReaders {
  let known = readers.get(model);
  if (known === undefined) readers.set(model, (known = new FormReaders(model)));
  return known;
}

function writersOf(model: ServiceModel): XmlWriters {
  let known = writers.get(model);
  if (known === undefined) writers.set(model, (known = new XmlWriters(model)));
  return known;
}
