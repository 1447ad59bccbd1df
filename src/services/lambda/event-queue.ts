import { commitOrLose, type Job, scheduleJob } from '../../kernel/agenda/agenda.ts';
import type { Platform } from '../../platform/service.ts';
import { AwsError } from '../../wire/errors.ts';
import type { Directory } from './directory.ts';
import type { Invoker, Resolved } from './invoker.ts';
import { lambdaLimits } from './limits.ts';
import { rolePrincipal } from './principals.ts';
import {
  type AttemptOutcome,
  type Condition,
  deadLetterAttributes,
  destinationRecord,
  nextStep,
  verdictBefore,
} from './rules/async.ts';
import { functionArn } from './rules/names.ts';
import { decode, encode, type InvokeConfigRecord, type QueuedDelivery, type QueuedEvent } from './state.ts';

export const eventJobKind = 'lambda.event';

/** Bodies up to this stand in the job itself. */
const inlineBytes = 64 * 1024;
const leaseMs = 30_000;
const firstDeliveryWaitMs = 1_000;
const longestDeliveryWaitMs = 300_000;
/** A dead letter or record that cannot be delivered is given up after some hours. */
const mostDeliveryAttempts = 100;

export type AcceptedEvent = Omit<
  QueuedEvent,
  'body' | 'acceptedAtMs' | 'invokeCount' | 'throttles' | 'last' | 'deliveries'
>;

/** Lambda's own queue of asynchronous invocations: an accepted event is in the store until it is over. */
export class EventQueue {
  readonly #platform: Platform;
  readonly #directory: Directory;
  readonly #invoker: Invoker;

  constructor(platform: Platform, directory: Directory, invoker: Invoker) {
    this.#platform = platform;
    this.#directory = directory;
    this.#invoker = invoker;
  }

  /** Starts working on what is due. */
  start(): void {
    this.#platform.agenda.handle(eventJobKind, {
      concurrency: lambdaLimits.accountConcurrency.value,
      leaseMs,
      run: (job) => this.#run(job),
    });
  }

  /** Durable when it resolves. */
  async accept(accepted: AcceptedEvent, payload: Buffer): Promise<void> {
    const { blobs, clock, store } = this.#platform;
    const body =
      payload.length <= inlineBytes ? { text: payload.toString('utf8') } : { blob: await blobs.put(payload) };
    const event: QueuedEvent = { ...accepted, body, acceptedAtMs: clock.now(), invokeCount: 0, throttles: 0 };
    await store.commit({ schedule: [scheduleJob(eventJobKind, event.requestId, clock.now(), encode(event))] });
  }

  async #run(job: Job): Promise<void> {
    const event = decode<QueuedEvent>(job.payload);
    if (event.deliveries !== undefined) return this.#deliver(job, event, event.deliveries);
    const found = await this.#find(event);
    if (found === 'gone') {
      this.#platform.log.warn('an accepted event was dropped: its function is gone', {
        functionName: event.functionName,
        requestId: event.requestId,
      });
      return this.#settle([job.done()]);
    }
    const { clock } = this.#platform;
    const config = found.config;
    const verdict = verdictBefore(event, config, found.reserved, clock.now());
    if (verdict !== undefined) return this.#finish(job, event, verdict, found.resolved, config);
    const body = await this.#body(event);
    const attempt = await this.#attempt(event, found.resolved, body);
    const next = nextStep(event, attempt, config, clock.now());
    if (next.step === 'again') return this.#settle([job.again(next.dueAtMs, encode(next.event))]);
    return this.#finish(job, next.event, next.condition, found.resolved, config);
  }

  async #find(event: QueuedEvent): Promise<
    | 'gone'
    | {
        /** Undefined where the function cannot be invoked at the moment. */
        readonly resolved: Resolved | undefined;
        readonly config: InvokeConfigRecord | undefined;
        readonly reserved: number | undefined;
      }
  > {
    const entry = await this.#directory.find(event, event.functionName);
    if (entry === undefined) return 'gone';
    const config = await this.#directory.invokeConfig(entry, event.qualifier ?? '$LATEST');
    const reserved = entry.record.reservedConcurrency;
    try {
      const resolved = await this.#invoker.resolve(event, event.functionName, event.qualifier);
      return { resolved, config, reserved };
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      return error.code === 'ResourceNotFoundException' ? 'gone' : { resolved: undefined, config, reserved };
    }
  }

  async #attempt(event: QueuedEvent, resolved: Resolved | undefined, body: string): Promise<AttemptOutcome> {
    if (resolved === undefined) return { outcome: 'unavailable', statusCode: 409 };
    try {
      const done = await this.#invoker.execute(resolved, {
        requestId: event.requestId,
        payload: Buffer.from(body, 'utf8'),
        traceHeader: event.traceHeader,
        ...(event.clientContext === undefined ? {} : { clientContext: event.clientContext }),
      });
      const result = {
        statusCode: 200,
        executedVersion: done.version,
        ...(done.functionError === undefined ? {} : { functionError: done.functionError }),
        payload: done.payload.toString('utf8'),
      };
      return { outcome: done.functionError === undefined ? 'success' : 'function-error', result };
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      if (error.code === 'RecursiveInvocationException') return { outcome: 'recursive' };
      return { outcome: 'unavailable', statusCode: error.status };
    }
  }

  /** The invocations are over: what is to be sent is written down before it is sent. */
  async #finish(
    job: Job,
    event: QueuedEvent,
    condition: Condition,
    resolved: Resolved | undefined,
    config: InvokeConfigRecord | undefined,
  ): Promise<void> {
    const deliveries = await this.#deliveriesOf(event, condition, resolved, config);
    if (deliveries.length === 0) return this.#settle([job.done()]);
    const next: QueuedEvent = { ...event, body: { text: '' }, deliveries };
    return this.#settle([job.again(this.#platform.clock.now(), encode(next))]);
  }

  async #deliveriesOf(
    event: QueuedEvent,
    condition: Condition,
    resolved: Resolved | undefined,
    config: InvokeConfigRecord | undefined,
  ): Promise<readonly QueuedDelivery[]> {
    if (resolved === undefined) return [];
    const { version } = resolved;
    const destination = condition === 'Success' ? config?.onSuccess : config?.onFailure;
    const deadLetters = condition === 'Success' ? undefined : version.deadLetterArn;
    if (destination === undefined && deadLetters === undefined) return [];
    const body = await this.#body(event);
    const from = {
      roleArn: version.role,
      sourceArn: functionArn(event, event.functionName),
      attempt: 0,
    };
    const deliveries: QueuedDelivery[] = [];
    if (deadLetters !== undefined)
      deliveries.push({
        ...from,
        id: `${event.requestId}-dlq`,
        targetArn: deadLetters,
        body,
        attributes: deadLetterAttributes(event, condition),
      });
    if (destination !== undefined) {
      const arn = functionArn(event, event.functionName, event.qualifier ?? '$LATEST');
      deliveries.push({
        ...from,
        id: `${event.requestId}-destination`,
        targetArn: destination,
        body: destinationRecord(event, body, arn, condition, this.#platform.clock.now()),
      });
    }
    return deliveries;
  }

  async #deliver(job: Job, event: QueuedEvent, deliveries: readonly QueuedDelivery[]): Promise<void> {
    const left: QueuedDelivery[] = [];
    for (const delivery of deliveries) {
      const outcome = await this.#platform.targets.deliver({
        deliveryId: delivery.id,
        targetArn: delivery.targetArn,
        principal: rolePrincipal(delivery.roleArn, event.functionName, event),
        sourceArn: delivery.sourceArn,
        account: event.account,
        region: event.region,
        attempt: delivery.attempt + 1,
        body: delivery.body,
        ...(delivery.attributes === undefined ? {} : { attributes: delivery.attributes }),
      });
      if (outcome.result === 'done') continue;
      const next = { ...delivery, attempt: delivery.attempt + 1 };
      if (outcome.result === 'retriable' && next.attempt < mostDeliveryAttempts) left.push(next);
      else this.#reportLost(event, delivery, outcome.error);
    }
    if (left.length === 0) return this.#settle([job.done()]);
    const attempt = Math.max(...left.map((delivery) => delivery.attempt));
    const waitMs = Math.min(longestDeliveryWaitMs, firstDeliveryWaitMs * 2 ** Math.min(attempt - 1, 20));
    const next: QueuedEvent = { ...event, deliveries: left };
    return this.#settle([job.again(this.#platform.clock.now() + waitMs, encode(next))]);
  }

  /** On AWS a dead letter that cannot be sent is counted (DeadLetterErrors) and lost. */
  #reportLost(event: QueuedEvent, delivery: QueuedDelivery, error: AwsError): void {
    this.#platform.log.error('the outcome of an asynchronous invocation could not be delivered', {
      functionName: event.functionName,
      requestId: event.requestId,
      target: delivery.targetArn,
      problem: `${error.code}: ${error.message}`,
    });
  }

  async #body(event: QueuedEvent): Promise<string> {
    if ('text' in event.body) return event.body.text;
    const bytes = await this.#platform.blobs.get(event.body.blob);
    if (bytes === undefined) throw new Error(`the body of event ${event.requestId} is missing from the blob store`);
    return bytes.toString('utf8');
  }

  async #settle(settle: Parameters<typeof commitOrLose>[1]['settle'] & object): Promise<void> {
    await commitOrLose(this.#platform.store, { settle });
  }
}
