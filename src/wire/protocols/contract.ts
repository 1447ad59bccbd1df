import type { OperationCodec } from '../codec.ts';
import type { Fault } from '../errors.ts';
import type { WireResponse } from '../message.ts';
import type { ErrorModel, ServiceModel, Shape } from '../model.ts';

/** One protocol: a file of this folder, registered in table.ts. */
export interface ProtocolCodec {
  /** Compiles the codec of one operation of `model`. */
  readonly compile: (model: ServiceModel, operation: string) => OperationCodec;
  readonly encodeError: (error: RenderedError, model: ServiceModel, requestId: string) => WireResponse;
}

/** An error resolved against the model, ready for any protocol. */
export interface RenderedError {
  /** The shape's name, or the code outside the model. */
  readonly code: string;
  /** The code that the query protocol, and x-amzn-query-error, carry. */
  readonly queryCode: string;
  readonly message: string;
  readonly status: number;
  readonly fault: Fault;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly shape: (Shape & { readonly error: ErrorModel }) | undefined;
  readonly shapeName: string | undefined;
}
