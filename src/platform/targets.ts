import type { TraceContext } from '../kernel/trace/trace.ts';
import { AwsError } from '../wire/errors.ts';
import { parseArn } from './arn.ts';
import type { Principal } from './context.ts';

/** An event on its way to an ARN: a rule's target, a subscription, a destination, a dead-letter queue. */
export interface Delivery {
  /** The same for every attempt: a receiver that promises "once" drops one it has seen. */
  readonly deliveryId: string;
  readonly targetArn: string;
  /** In whose name: the source's service, or the role it was given. */
  readonly principal: Principal;
  /** What sends it: a queue's, rule's, function's ARN. */
  readonly sourceArn: string;
  readonly account: string;
  readonly region: string;
  readonly trace?: TraceContext;
  readonly attempt: number;
  /** The event as text: JSON for most targets. */
  readonly body: string;
  /** What only some targets know: message attributes, a message group, a partition key. */
  readonly attributes?: Readonly<Record<string, DeliveryAttribute>>;
  readonly messageGroupId?: string;
  readonly messageDeduplicationId?: string;
}

export interface DeliveryAttribute {
  readonly type: 'String' | 'Number' | 'Binary';
  readonly value: string;
}

export type DeliveryOutcome =
  | { readonly result: 'done' }
  /** Worth another attempt: throttled, unavailable, an internal error. */
  | { readonly result: 'retriable'; readonly error: AwsError }
  /** Never going to work: no permission, the target is gone, the event is not acceptable. */
  | { readonly result: 'permanent'; readonly error: AwsError };

export interface TargetHandler {
  /** Delivers by calls on the bus; throws what they throw. */
  deliver(delivery: Delivery): Promise<void>;
}

/** The one door for delivery by ARN. */
export class Targets {
  readonly #handlers = new Map<string, TargetHandler>();

  /** `service` is the ARN's third part. */
  register(service: string, handler: TargetHandler): void {
    this.#handlers.set(service, handler);
  }

  /** Whether something here takes events for this ARN. */
  takes(targetArn: string): boolean {
    const arn = parseArn(targetArn);
    return arn !== undefined && this.#handlers.has(arn.service);
  }

  async deliver(delivery: Delivery): Promise<DeliveryOutcome> {
    const arn = parseArn(delivery.targetArn);
    const handler = arn === undefined ? undefined : this.#handlers.get(arn.service);
    if (handler === undefined) {
      const error = new AwsError(
        'InvalidParameterValue',
        `${delivery.targetArn} is not the ARN of something that takes events here`,
      );
      return { result: 'permanent', error };
    }
    try {
      await handler.deliver(delivery);
      return { result: 'done' };
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      return { result: isRetriable(error) ? 'retriable' : 'permanent', error };
    }
  }
}

/** As AWS's SDKs judge it: throttles and what the service itself got wrong. */
export function isRetriable(error: AwsError): boolean {
  return error.status >= 500
    ? error.status !== 501
    : error.status === 429 || /Throttl|TooManyRequests|LimitExceeded|SlowDown/.test(error.code);
}
