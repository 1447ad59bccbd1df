import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Fault } from './errors.ts';

export type Protocol = 'awsJson1_0' | 'awsJson1_1' | 'query' | 'restJson' | 'restXml' | 'ec2Query' | 'rpcV2Cbor';

/** A service's API, as tools/models makes it from the official model and the patches. */
export interface ServiceModel {
  readonly service: string;
  readonly apiVersion: string;
  readonly serviceId: string;
  /** The first is what current SDKs speak. */
  readonly protocols: readonly Protocol[];
  /** The service's name in a signature's scope. */
  readonly signingName: string;
  readonly endpointPrefix: string;
  /** What stands before the dot in X-Amz-Target. */
  readonly targetPrefix?: string;
  readonly jsonVersion?: string;
  readonly xmlNamespace?: string;
  /** What stands before `#` in the `__type` of a JSON error; none where AWS sends the bare name. */
  readonly errorNamespace?: string;
  /** JSON answers carry x-amz-crc32. */
  readonly crc32?: boolean;
  /** In which words a JSON body of wrong types is refused; the common one where absent. */
  readonly jsonDialect?: 'dynamodb';
  /** The member that the request's path stands for in the query protocol when it is not given (SQS's queue URL). */
  readonly pathMember?: string;
  readonly validation?: ValidationOptions;
  /** Wire codes in the query protocol and in x-amzn-query-error of errors that have no shape in the model. */
  readonly queryCodes?: Readonly<Record<string, string>>;
  readonly operations: Readonly<Record<string, OperationModel>>;
  readonly shapes: Readonly<Record<string, Shape>>;
}

export interface ValidationOptions {
  /** The error code of a violated constraint; ValidationException by default, ValidationError in the query protocol. */
  readonly code?: string;
  /** Whose wording: the common one ("1 validation error detected: …"), or SQS's own. */
  readonly style?: 'coral' | 'sqs';
  /** Shapes whose constraints the service checks by itself; JSON types are still checked. */
  readonly unchecked?: readonly string[];
  /** Shapes of JSON that pass in and out as they are, neither types nor constraints looked at. */
  readonly opaque?: readonly string[];
}

export interface OperationModel {
  /** POST where absent. */
  readonly method?: string;
  /** `/` where absent. */
  readonly uri?: string;
  /** 200 where absent. */
  readonly status?: number;
  readonly input?: string;
  readonly output?: string;
  /** The element around the result in the query protocol. */
  readonly wrapper?: string;
  /** AWS takes it without a signature. */
  readonly unsigned?: boolean;
  /** `service`: the operation checks all constraints by itself. */
  readonly validation?: 'service';
  readonly errors?: readonly string[];
}

export interface Shape {
  readonly type:
    | 'structure'
    | 'list'
    | 'map'
    | 'string'
    | 'integer'
    | 'long'
    | 'float'
    | 'double'
    | 'bigdecimal'
    | 'boolean'
    | 'blob'
    | 'timestamp';
  readonly members?: Readonly<Record<string, MemberRef>>;
  readonly required?: readonly string[];
  readonly member?: MemberRef;
  readonly key?: MemberRef;
  readonly value?: MemberRef;
  readonly min?: number;
  readonly max?: number;
  readonly pattern?: string;
  readonly enum?: readonly string[];
  readonly flattened?: boolean;
  readonly locationName?: string;
  readonly timestampFormat?: TimestampFormat;
  readonly sensitive?: boolean;
  readonly streaming?: boolean;
  readonly union?: boolean;
  readonly eventstream?: boolean;
  readonly event?: boolean;
  /** The member that is the whole HTTP body. */
  readonly payload?: string;
  readonly error?: ErrorModel;
}

export interface ErrorModel {
  /** The query protocol's code where it is not the shape's name. */
  readonly code?: string;
  readonly status: number;
  readonly fault: Fault;
}

export type TimestampFormat = 'iso8601' | 'unixTimestamp' | 'rfc822';
export type MemberRef = string | Member;

export interface Member {
  readonly shape: string;
  readonly location?: 'uri' | 'querystring' | 'header' | 'headers' | 'statusCode';
  readonly locationName?: string;
  /** The name in the query protocol where it is neither locationName nor the member's own. */
  readonly queryName?: string;
  readonly flattened?: boolean;
  readonly timestampFormat?: TimestampFormat;
  readonly idempotencyToken?: boolean;
  readonly jsonvalue?: boolean;
  readonly streaming?: boolean;
  readonly eventpayload?: boolean;
  readonly eventheader?: boolean;
  readonly enum?: readonly string[];
  readonly rawJson?: boolean;
  readonly xmlAttribute?: boolean;
  readonly min?: number;
  readonly max?: number;
  /** SQS's reason when the value is out of `min` and `max`. */
  readonly reason?: string;
}

/** One service's line in models/index.json: what routing needs without the model itself. */
export interface ServiceEntry {
  readonly file: string;
  readonly apiVersion: string;
  readonly serviceId: string;
  readonly protocols: readonly Protocol[];
  readonly signingName: string;
  readonly endpointPrefix: string;
  readonly targetPrefix?: string;
  readonly jsonVersion?: string;
  /** REST services: "METHOD uri Operation" each. */
  readonly paths?: readonly string[];
  /** Query services: the operations' names, separated by spaces. */
  readonly actions?: string;
  /** AWS JSON services: likewise. */
  readonly targets?: string;
}

const models = new Map<string, ServiceModel>();
let index: Readonly<Record<string, ServiceEntry>> | undefined;
let folder: string | undefined;

/** The model of a service by its name in models/index.json (`sqs`), read on first use. Throws for a name that is not there. */
export function loadModel(service: string): ServiceModel {
  const known = models.get(service);
  if (known !== undefined) return known;
  const entry = Object.hasOwn(loadIndex(), service) ? loadIndex()[service] : undefined;
  if (entry === undefined) throw new Error(`no model of a service named ${service} in ${modelsFolder()}`);
  const model = JSON.parse(readFileSync(join(modelsFolder(), entry.file), 'utf8')) as ServiceModel;
  models.set(service, model);
  return model;
}

/** All modelled services by name. */
export function loadIndex(): Readonly<Record<string, ServiceEntry>> {
  index ??= (JSON.parse(readFileSync(join(modelsFolder(), 'index.json'), 'utf8')) as { services: typeof index })
    .services;
  return index!;
}

/** The member behind a reference, which the files shorten to the shape's name when there is nothing else to say. */
export function memberOf(ref: MemberRef): Member {
  return typeof ref === 'string' ? { shape: ref } : ref;
}

/** The shape of that name. Throws when the model does not hold it: a broken model is a bug of ours. */
export function shapeOf(model: ServiceModel, name: string): Shape {
  const shape = model.shapes[name];
  if (shape === undefined) throw new Error(`the model of ${model.service} has no shape ${name}`);
  return shape;
}

/** The nearest models/ above this file: the same rule finds it from src/ and from a bundle in dist/. */
function modelsFolder(): string {
  if (folder !== undefined) return folder;
  let at = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const candidate = join(at, 'models');
    if (existsSync(join(candidate, 'index.json'))) {
      folder = candidate;
      return candidate;
    }
    const above = dirname(at);
    if (above === at)
      throw new Error('models/index.json was not found above the program; the installation is incomplete');
    at = above;
  }
}
