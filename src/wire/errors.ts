export type Fault = 'Sender' | 'Receiver';

export interface AwsErrorOptions {
  /** HTTP status. Left out, the model's for this code, else the common errors', else 400 (Sender) or 500 (Receiver). */
  readonly status?: number;
  readonly fault?: Fault;
  /** Further members of the error's shape, such as `Item` of a ConditionalCheckFailedException. */
  readonly fields?: Readonly<Record<string, unknown>>;
}

/**
 * An error that AWS would answer, and a client understands. `code` is the model's name of the error shape (`QueueDoesNotExist`)
 * or, for errors outside the model, the wire code (`ValidationException`). It is an answer and not a bug, so it carries no stack trace:
 * capturing one costs more than the rest of a validation.
 */
export class AwsError extends Error {
  readonly code: string;
  readonly status: number;
  readonly fault: Fault;
  readonly fields: Readonly<Record<string, unknown>>;
  /** Whether the thrower chose the status; otherwise the model's status for this code stands. */
  readonly statusGiven: boolean;

  constructor(code: string, message: string, options: AwsErrorOptions = {}) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(message);
    Error.stackTraceLimit = limit;
    const common = COMMON_STATUS[code];
    const status = options.status ?? common ?? (options.fault === 'Receiver' ? 500 : 400);
    this.code = code;
    this.status = status;
    this.fault = options.fault ?? (status >= 500 ? 'Receiver' : 'Sender');
    this.fields = options.fields ?? NO_FIELDS;
    this.statusGiven = options.status !== undefined;
  }

  override get name(): string {
    return this.code;
  }
}

/** The answer of an operation that AWS has and this cloud has not built. Status 501. */
export function notImplemented(service: string, operation: string): AwsError {
  const message = `The operation ${operation} of ${service} is not built in Unkai. See the fidelity table in src/services/${service}/README.md.`;
  return new AwsError('NotImplemented', message, { status: 501, fault: 'Receiver' });
}

const NO_FIELDS: Readonly<Record<string, unknown>> = Object.freeze({});

/** https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html, and the same page of other services. */
const COMMON_STATUS: Readonly<Record<string, number>> = {
  AccessDenied: 403,
  ExpiredToken: 403,
  InternalFailure: 500,
  InternalServerError: 500,
  InvalidClientTokenId: 403,
  MissingAuthenticationToken: 403,
  OptInRequired: 403,
  ServiceUnavailable: 503,
  SignatureDoesNotMatch: 403,
};
