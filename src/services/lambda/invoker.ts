import { TokenBucket } from '../../kernel/limits/limits.ts';
import type { TraceContext } from '../../kernel/trace/trace.ts';
import type { InvocationResult, ResponseSink } from '../../platform/compute.ts';
import type { Principal } from '../../platform/context.ts';
import type { Platform } from '../../platform/service.ts';
import { AwsError } from '../../wire/errors.ts';
import { type Directory, type FunctionEntry, servedLatest } from './directory.ts';
import type { Environment, Environments } from './environments.ts';
import { lambdaLimits } from './limits.ts';
import { chosenVersion } from './rules/aliases.ts';
import { provisionedTotal, refusal, throttled, unreservedConcurrency } from './rules/concurrency.ts';
import { conflict, functionArn, functionNotFound, isVersionNumber } from './rules/names.ts';
import { closingLines, startingLine } from './rules/platform-log.ts';
import { allowsInvoke, askingService } from './rules/policy.ts';
import { type Hop, isLoop, nextHop, recursiveInvocation, withLineage } from './rules/recursion.ts';
import type { FunctionVersion, Place } from './state.ts';
import type { Workbench } from './workbench.ts';

/** A function found, and the version of it that serves. */
export interface Resolved {
  readonly entry: FunctionEntry;
  readonly version: FunctionVersion;
  /** As the invocation named it. */
  readonly qualifier: string | undefined;
}

export interface Execution {
  readonly requestId: string;
  /** JSON text. */
  readonly payload: Buffer;
  readonly traceHeader: string;
  readonly clientContext?: string;
  readonly withTail?: boolean;
  /** Takes a streamed response as it comes. */
  readonly sink?: ResponseSink;
}

export interface Executed {
  readonly version: string;
  /** `Unhandled` where the function failed; the payload is the error then. */
  readonly functionError: string | undefined;
  /** Empty where the response went into the sink (which knows); an error that came in the middle of it is here. */
  readonly payload: Buffer;
  /** The last 4 KB of the log, in base64, where asked for. */
  readonly tail: string | undefined;
}

interface Gate {
  current: number;
  rate: { readonly perSecond: number; readonly bucket: TokenBucket } | undefined;
  scaling: TokenBucket | undefined;
}

/** Runs functions: finds, admits, takes an environment, invokes, logs. */
export class Invoker {
  readonly #platform: Platform;
  readonly #directory: Directory;
  readonly #environments: Environments;
  readonly #workbench: Workbench;
  readonly #functions = new Map<string, Gate>();
  readonly #accounts = new Map<string, Gate>();

  constructor(platform: Platform, directory: Directory, environments: Environments, workbench: Workbench) {
    this.#platform = platform;
    this.#directory = directory;
    this.#environments = environments;
    this.#workbench = workbench;
  }

  /** Throws ResourceNotFoundException, or ResourceConflictException for a function that cannot be invoked yet. */
  async resolve(place: Place, name: string, qualifier: string | undefined): Promise<Resolved> {
    const found = this.#directory.find(place, name);
    const entry = found instanceof Promise ? await found : found;
    if (entry === undefined) throw functionNotFound(place, name, qualifier);
    const version =
      qualifier === undefined || qualifier === '$LATEST'
        ? servedLatest(entry.record)
        : this.#workedOn(entry, qualifier, await this.#qualified(entry, qualifier));
    if (version === undefined) throw functionNotFound(place, name, qualifier);
    if (version.state !== 'Active')
      throw conflict(
        `The operation cannot be performed at this time. The function is currently in the following state: ${version.state}${
          version.state === 'Failed' && version.stateReason !== undefined ? `. ${version.stateReason}` : ''
        }`,
      );
    return { entry, version, qualifier };
  }

  /** Refuses a service that the function's resource policy does not name. */
  async authorize({ entry, qualifier }: Resolved, principal: Principal): Promise<void> {
    const asking = askingService(principal);
    if (asking === undefined) return;
    const policyOf = qualifier === undefined || qualifier === '$LATEST' ? '' : qualifier;
    const question = `${policyOf} ${principal.arn} ${principal.account} ${asking.sourceArn ?? ''}`;
    const resource = functionArn(entry.place, entry.record.name, policyOf === '' ? undefined : policyOf);
    let allowed = entry.permitted.get(question);
    if (allowed === undefined) {
      allowed = allowsInvoke(await this.#directory.policy(entry, policyOf), principal, asking.sourceArn, resource);
      entry.permitted.set(question, allowed);
    }
    if (allowed) return;
    throw new AwsError(
      'AccessDeniedException',
      `User: ${principal.arn} is not authorized to perform: lambda:InvokeFunction on resource: ${resource} because no resource-based policy allows the lambda:InvokeFunction action`,
      { status: 403 },
    );
  }

  /**
   * Runs one invocation to its end. Throws TooManyRequestsException, RecursiveInvocationException, or ServiceException where no environment
   * can be started.
   */
  async execute(resolved: Resolved, execution: Execution): Promise<Executed> {
    const { entry, qualifier } = resolved;
    const hop = nextHop(execution.traceHeader, entry.record.id.slice(0, 8));
    if (isLoop(hop) && entry.record.recursiveLoop !== 'Allow') throw recursiveInvocation();
    if (this.#isDebugged(resolved)) {
      const over = await this.#workbench.turn(entry.place, entry.record.name);
      try {
        // Much may have changed while it waited.
        return await this.#admit(await this.resolve(entry.place, entry.record.name, qualifier), execution, hop);
      } finally {
        over();
      }
    }
    return this.#admit(resolved, execution, hop);
  }

  /**
   * Starts the one environment of a function that is debugged, behind whatever runs in it, so that a debugger finds it before an
   * invocation does.
   */
  openForDebugger({ place, record: { name } }: FunctionEntry): void {
    const open = async (): Promise<void> => {
      const over = await this.#workbench.turn(place, name);
      try {
        const resolved = await this.resolve(place, name, undefined);
        const { version } = resolved;
        if (!this.#isDebugged(resolved) || this.#environments.count(version.environmentId).idle > 0) return;
        this.#environments.release(await this.#environments.start({ place, functionName: name, version }));
      } finally {
        over();
      }
    };
    open().catch((error: unknown) => {
      this.#platform.log.warn('a function could not be started for a debugger', {
        functionName: name,
        problem: String(error),
      });
    });
  }

  #isDebugged({ entry, version }: Resolved): boolean {
    const found = this.#workbench.find({ place: entry.place, functionName: entry.record.name, version });
    return found?.debugPort !== undefined;
  }

  async #admit(resolved: Resolved, execution: Execution, hop: Hop): Promise<Executed> {
    const { entry, version } = resolved;
    // What runs on provisioned concurrency has its place already.
    const ready = this.#environments.takeReady(version.environmentId);
    if (ready !== undefined) return this.#run(ready, resolved, execution, hop);
    const leave = await this.#enter(entry);
    try {
      const environment =
        this.#environments.takeIdle(version.environmentId) ?? (await this.#startEnvironment(entry, version));
      return await this.#run(environment, resolved, execution, hop);
    } finally {
      leave();
    }
  }

  /** Takes a request from the rate that sync callers have: ten times the concurrency, each second. */
  async admitRate(entry: FunctionEntry): Promise<void> {
    const { limits, clock } = this.#platform;
    if (limits !== 'aws') return;
    const reserved = entry.record.reservedConcurrency;
    const concurrency = reserved ?? (await this.#unreservedLimit(entry.place));
    if (concurrency === 0) return;
    const gate =
      reserved === undefined
        ? gateOf(this.#accounts, accountKey(entry.place))
        : gateOf(this.#functions, entry.record.id);
    const perSecond = concurrency * lambdaLimits.requestRateFactor.value;
    if (gate.rate?.perSecond !== perSecond)
      gate.rate = { perSecond, bucket: new TokenBucket(perSecond, perSecond, clock.now()) };
    if (gate.rate.bucket.take(1, clock.now())) return;
    throw throttled(
      reserved === undefined ? 'FunctionInvocationRateLimitExceeded' : 'ReservedFunctionInvocationRateLimitExceeded',
    );
  }

  /** `causes`: trace headers that came with what causes the invocation, such as those of its messages; their lineage goes on. */
  traceHeader(trace: TraceContext, ...causes: readonly (string | undefined)[]): string {
    const { traceId, spanId } = trace;
    const header = `Root=1-${traceId.slice(0, 8)}-${traceId.slice(8)};Parent=${spanId};Sampled=0`;
    return causes.length === 0 ? header : withLineage(header, causes);
  }

  async #qualified(entry: FunctionEntry, qualifier: string): Promise<FunctionVersion | undefined> {
    if (isVersionNumber(qualifier)) return this.#directory.version(entry, qualifier);
    const alias = await this.#directory.alias(entry, qualifier);
    if (alias === undefined) return undefined;
    const chosen = alias.weights === undefined ? alias.version : chosenVersion(alias, this.#platform.random.float());
    return chosen === '$LATEST' ? servedLatest(entry.record) : this.#directory.version(entry, chosen);
  }

  /** Of a function that somebody works on, aliases serve his code too: that is what its clients come by. */
  #workedOn(entry: FunctionEntry, qualifier: string, found: FunctionVersion | undefined): FunctionVersion | undefined {
    if (found === undefined || isVersionNumber(qualifier)) return found;
    const latest = servedLatest(entry.record);
    const piece = this.#workbench.find({ place: entry.place, functionName: entry.record.name, version: latest });
    return piece === undefined ? found : latest;
  }

  async #enter(entry: FunctionEntry): Promise<() => void> {
    const unreservedLimit =
      this.#platform.limits === 'relaxed' ? Number.POSITIVE_INFINITY : await this.#unreservedLimit(entry.place);
    const reserved = entry.record.reservedConcurrency;
    const own = gateOf(this.#functions, entry.record.id);
    const account = gateOf(this.#accounts, accountKey(entry.place));
    const reason = refusal({
      reserved,
      provisioned: provisionedTotal(entry.record.provisioned),
      ofFunction: own.current,
      unreserved: account.current,
      unreservedLimit,
    });
    if (reason !== undefined) throw throttled(reason);
    own.current++;
    if (reserved === undefined) account.current++;
    return () => {
      own.current--;
      if (reserved === undefined) account.current--;
    };
  }

  async #unreservedLimit(place: Place): Promise<number> {
    const found = this.#directory.account(place);
    const account = found instanceof Promise ? await found : found;
    return unreservedConcurrency(account, lambdaLimits.accountConcurrency.value);
  }

  async #startEnvironment(entry: FunctionEntry, version: FunctionVersion): Promise<Environment> {
    const { limits, clock } = this.#platform;
    if (limits === 'aws') {
      const gate = gateOf(this.#functions, entry.record.id);
      gate.scaling ??= new TokenBucket(
        lambdaLimits.scalingBurst.value,
        lambdaLimits.scalingPerSecond.value,
        clock.now(),
      );
      if (!gate.scaling.take(1, clock.now())) throw throttled('ConcurrentInvocationLimitExceeded');
    }
    return this.#environments.start({ place: entry.place, functionName: entry.record.name, version });
  }

  async #run(
    environment: Environment,
    resolved: Resolved,
    execution: Execution,
    { traceHeader }: Hop,
  ): Promise<Executed> {
    const { entry, version, qualifier } = resolved;
    const { log, sandbox } = environment;
    const { requestId } = execution;
    const { clock } = this.#platform;
    log.begin(startingLine(log.platform, clock.now(), requestId), execution.withTail === true);
    let result: InvocationResult;
    try {
      result = await sandbox.invoke({
        requestId,
        payload: execution.payload,
        invokedFunctionArn: functionArn(entry.place, entry.record.name, qualifier),
        traceHeader,
        ...(execution.clientContext === undefined ? {} : { clientContext: execution.clientContext }),
        ...(execution.sink === undefined ? {} : { sink: execution.sink }),
      });
    } catch (error) {
      this.#environments.release(environment, 'failure');
      throw error;
    }
    const logged = log.end(closingLines(log.platform, clock.now(), requestId, result), sandbox.drained());
    // Without a tail the answer does not wait for its lines.
    if (execution.withTail) await logged;
    else logged.catch(() => {});
    const tail = execution.withTail ? log.tail() : undefined;
    const ending = result.outcome === 'error' && result.fatal ? (result.timedOut ? 'timeout' : 'failure') : undefined;
    this.#environments.release(environment, ending);
    return { version: version.version, ...answerOf(result), tail };
  }
}

/** What the caller gets; an answer over the limit is an error (recorded: test_lambda_too_large_response). */
function answerOf(result: InvocationResult): { readonly functionError: string | undefined; readonly payload: Buffer } {
  if (result.outcome === 'error') return { functionError: 'Unhandled', payload: result.payload };
  const most = lambdaLimits.syncResponseBytes.value;
  if (result.payload.length <= most) return { functionError: undefined, payload: result.payload };
  const errorMessage = `Response payload size exceeded maximum allowed payload size (${most} bytes).`;
  const payload = Buffer.from(JSON.stringify({ errorMessage, errorType: 'Function.ResponseSizeTooLarge' }));
  return { functionError: 'Unhandled', payload };
}

function gateOf(gates: Map<string, Gate>, key: string): Gate {
  let gate = gates.get(key);
  if (gate === undefined) gates.set(key, (gate = { current: 0, rate: undefined, scaling: undefined }));
  return gate;
}

function accountKey(place: Place): string {
  return `${place.account} ${place.region}`;
}
