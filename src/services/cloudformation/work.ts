import {
  type EngineHost,
  type Interruption,
  runStack,
  type StackOperation,
  type StackResult,
} from '../../deploy/engine.ts';
import type { JournalEntry, StackOutput } from '../../deploy/engine-state.ts';
import { type Job, scheduleJob } from '../../kernel/agenda/agenda.ts';
import type { Check, Commit } from '../../kernel/store/contract.ts';
import { parseArn } from '../../platform/arn.ts';
import type { Caller } from '../../platform/context.ts';
import { type DeletionPayload, deletionJob, startDeletion } from './deleting.ts';
import { dynamicReference } from './dynamic-references.ts';
import type { Environment } from './environment.ts';
import { foldRows, StepWriter } from './events.ts';
import { publishExports, unpublished } from './exports.ts';
import { limits } from './limits.ts';
import { isAccomplished, isBusy, isRolledBack } from './rules/statuses.ts';
import { type JobPayload, operationJob } from './starting.ts';
import {
  type CancelRecord,
  decode,
  encode,
  type JournalRecord,
  keys,
  type OperationRecord,
  type ResourcesRecord,
  read,
  type StackRecord,
  type Stored,
} from './state.ts';
import { availabilityZones, exportsOf, loadTemplate, pseudoOf, resolvedParameters, typesOf } from './templates.ts';

const forgetJob = 'cloudformation.forget';

/** Operations side by side in one process: more than any depth of nested stacks, each of which waits for the one inside. */
const operationsAtATime = 200;

/** How long a crash may delay an operation; runs renew it. */
const leaseMs = 5_000;

/** Registers what happens by itself: operations of stacks, and the end of deleted ones. */
export function startWork(env: Environment): void {
  const { agenda } = env.platform;
  agenda.handle(operationJob, {
    concurrency: operationsAtATime,
    leaseMs,
    run: (job) => runOperation(env, job),
  });
  agenda.handle(deletionJob, {
    concurrency: operationsAtATime,
    leaseMs,
    run: (job) => deleteWhenIdle(env, job),
  });
  agenda.handle(forgetJob, { concurrency: 1, leaseMs: 60_000, run: (job) => forget(env, job) });
}

/** The journal and resources from which the stack's state now follows. */
export async function loadProgress(
  { platform: { store } }: Environment,
  stack: StackRecord,
  operation: OperationRecord,
): Promise<{ readonly base: ResourcesRecord; readonly journal: readonly JournalRecord[] }> {
  const log = keys.journal(stack, stack.id, operation.id);
  const journal: JournalRecord[] = [];
  for (let from = 1; ; ) {
    const page = await store.readLog(log, from, 1000);
    journal.push(...page.map((entry) => decode<JournalRecord>(entry.value)));
    const last = page.at(-1);
    if (last === undefined || page.length < 1000) break;
    from = last.position + 1;
  }
  return { base: await loadResources(store, stack, operation.resources), journal };
}

export async function loadResources(
  store: Environment['platform']['store'],
  stack: StackRecord,
  revision: string | undefined,
): Promise<ResourcesRecord> {
  const found =
    revision === undefined ? undefined : await read<ResourcesRecord>(store, keys.resources(stack, stack.id, revision));
  return found?.record ?? { live: [], leftOver: [], rows: [] };
}

class Superseded extends Error {
  override readonly name = 'Superseded';
}

async function runOperation(env: Environment, job: Job): Promise<void> {
  const { store } = env.platform;
  const payload = decode<JobPayload>(job.payload);
  const stack = await read<StackRecord>(store, keys.stack(payload, payload.stackId));
  const key = keys.operation(payload, payload.stackId, payload.operation);
  const found = await read<OperationRecord>(store, key);
  if (stack === undefined || found === undefined || found.record.ended) {
    await store.commit({ settle: [job.done()] });
    return;
  }
  // The fence: whoever ran this before and is still at it fails with its next step.
  const record = { ...found.record, run: found.record.run + 1 };
  const claimed = await store.commit({
    checks: [{ key, version: found.version }],
    set: [{ key, value: encode(record) }],
  });
  if (!claimed.ok) throw new Superseded('another run of this operation has begun');
  try {
    await new Run(env, job, stack.record, { record, version: claimed.version }).run();
  } catch (error) {
    if (!job.signal.aborted) throw error;
    // The cloud shuts down: whoever starts next goes on at once.
    await store.commit({ settle: [job.again(env.platform.clock.now())] });
  }
}

/** One run of an operation: the engine's host. */
class Run {
  readonly #env: Environment;
  readonly #job: Job;
  readonly #operation: OperationRecord;
  readonly #fence: Check;
  readonly #steps: StepWriter;
  #stack: StackRecord;
  #interruption: Interruption | undefined;
  /** The step that ends the operation: it is written together with all that follows from it. */
  #last: JournalEntry | undefined;
  #journal: JournalRecord[] = [];

  constructor(env: Environment, job: Job, stack: StackRecord, operation: Stored<OperationRecord>) {
    this.#env = env;
    this.#job = job;
    this.#stack = stack;
    this.#operation = operation.record;
    this.#fence = { key: keys.operation(stack, stack.id, operation.record.id), version: operation.version };
    this.#steps = new StepWriter(stack, stack.id, operation.record);
  }

  async run(): Promise<void> {
    const stack = this.#stack;
    const { setup, kind } = this.#operation;
    const { base, journal } = await loadProgress(this.#env, stack, this.#operation);
    this.#journal = [...journal];
    const pseudo = pseudoOf(stack, stack, setup.notificationArns);
    const operation: StackOperation = {
      kind,
      operationId: this.#operation.id,
      pseudo,
      tags: Object.fromEntries(setup.tags.map(({ Key, Value }) => [Key, Value])),
      previous: base.live,
      leftOver: base.leftOver,
      onFailure: this.#operation.onFailure,
      retainExceptOnCreate: this.#operation.retainExceptOnCreate,
      retain: new Set(this.#operation.retain),
      ...(kind !== 'DELETE' && {
        template: (await loadTemplate(this.#env, stack, setup.template)).template,
        parameters: resolvedParameters(setup.parameters),
      }),
    };
    await this.#look();
    const entries = journal.map(({ change }): JournalEntry => ({ change, events: [] }));
    const result = await runStack(operation, await this.#host(), entries);
    await this.#end(result, base);
  }

  async #host(): Promise<EngineHost> {
    const { platform } = this.#env;
    const caller = callerOf(this.#operation);
    return {
      types: typesOf(this.#env),
      journal: (entry) => this.#record(entry),
      caller,
      bus: platform.bus,
      sleep: (delayMs) => platform.clock.sleep(delayMs, this.#job.signal),
      dynamicReference: dynamicReference(platform.bus, caller),
      exports: await exportsOf(this.#env, this.#stack),
      availabilityZones,
      signal: this.#job.signal,
      interruption: () => this.#interrupted(),
      publish: (outputs) => this.#publish(outputs),
    };
  }

  async #record(entry: JournalEntry): Promise<void> {
    if (entry.change.kind === 'stack' && entry.change.phase === 'done') {
      this.#last = entry;
      return;
    }
    const { change } = entry;
    const status = change.kind === 'stack' ? change : undefined;
    await this.#commit((stack, atMs) => ({
      append: this.#steps.appends([entry], atMs),
      ...(status && { set: [{ key: keys.stack(stack, stack.id), value: encode(withStatus(stack, status)) }] }),
    }));
    await this.#look();
  }

  /** Whether someone has asked the operation to stop. */
  async #look(): Promise<void> {
    if (this.#interruption !== undefined) return;
    const { store } = this.#env.platform;
    const found = await read<CancelRecord>(store, keys.cancel(this.#stack, this.#stack.id, this.#operation.id));
    if (found !== undefined) this.#interruption = found.record;
  }

  #interrupted(): Interruption | undefined {
    const { deadlineMs } = this.#operation;
    if (deadlineMs !== undefined && this.#env.platform.clock.now() >= deadlineMs) {
      return { reason: 'Stack creation time exceeded the specified timeout. ' };
    }
    return this.#interruption;
  }

  #publish(outputs: readonly StackOutput[]): Promise<string | undefined> {
    return publishExports(this.#env, this.#stack, outputs, this.#fence);
  }

  /** All that an operation's end means, in one commit: nobody sees its status without what it has made. */
  async #end(result: StackResult, base: ResourcesRecord): Promise<void> {
    const last = this.#last;
    if (last?.change.kind !== 'stack') throw new Error('an operation has ended without a status');
    const { change } = last;
    const { status } = change;
    const revision = this.#env.platform.random.uuid();
    const rows = foldRows(base.rows, this.#journal);
    const live = new Set(result.resources.map((resource) => resource.logicalId));
    const deleted = status === 'DELETE_COMPLETE';
    const gone = deleted || status === 'ROLLBACK_COMPLETE';
    const resources: ResourcesRecord = {
      live: result.resources,
      leftOver: result.leftOver,
      rows: gone ? rows : rows.filter((row) => live.has(row.logicalId)),
    };
    await this.#commit(async (stack, atMs) => {
      const ended = this.#ended(stack, status, result, atMs);
      const imports = importChanges(stack, this.#operation, status);
      const exports = deleted ? await unpublished(this.#env, stack) : {};
      const run: OperationRecord = { ...this.#operation, ended: true };
      return {
        append: this.#steps.appends([last], atMs),
        set: [
          { key: keys.stack(stack, stack.id), value: encode({ ...withStatus(ended, change), resources: revision }) },
          { key: keys.resources(stack, stack.id, revision), value: encode(resources) },
          { key: this.#fence.key, value: encode(run) },
          ...imports.set,
        ],
        delete: [
          ...imports.delete,
          ...(exports.delete ?? []),
          ...templatesToDrop(stack, this.#operation, status),
          ...(deleted ? [keys.name(stack, stack.name)] : []),
          keys.cancel(stack, stack.id, this.#operation.id),
          // A result of this very operation that it replaces: of a rollback that is continued.
          ...(stack.resources !== undefined && stack.resources !== this.#operation.resources
            ? [keys.resources(stack, stack.id, stack.resources)]
            : []),
        ],
        settle: [this.#job.done()],
        ...(deleted && { schedule: [forgetLater(stack, atMs)] }),
      };
    });
  }

  /** The stack as the end of the operation leaves it. */
  #ended(stack: StackRecord, status: string, result: StackResult, atMs: number): StackRecord {
    const { before } = this.#operation;
    if (before !== undefined && isRolledBack(status)) {
      const { setup, outputs, disableRollback, changeSetArn, updatedAtMs } = before;
      const { changeSetArn: _set, ...rest } = stack;
      return {
        ...rest,
        setup,
        outputs,
        disableRollback,
        ...(changeSetArn !== undefined && { changeSetArn }),
        updatedAtMs: stack.updatedAtMs ?? updatedAtMs ?? atMs,
      };
    }
    if (isAccomplished(status)) return { ...stack, outputs: result.outputs };
    if (status === 'DELETE_COMPLETE') return { ...stack, deletedAtMs: atMs };
    if (status === 'ROLLBACK_COMPLETE') return { ...stack, outputs: [] };
    return stack;
  }

  /** Commits under the fence; over again while only the stack's record has changed meanwhile (its protection, say). */
  async #commit(compose: (stack: StackRecord, atMs: number) => Commit | Promise<Commit>): Promise<void> {
    const { store, clock } = this.#env.platform;
    for (;;) {
      const key = keys.stack(this.#stack, this.#stack.id);
      const now = await read<StackRecord>(store, key);
      if (now === undefined) throw new Superseded('the stack is gone');
      this.#stack = now.record;
      const commit = await compose(now.record, clock.now());
      const checks = [this.#fence, { key, version: now.version }, ...(commit.checks ?? [])];
      const result = await store.commit({ ...commit, checks });
      if (result.ok) {
        for (const { log, value } of commit.append ?? []) {
          if (log.equals(keys.journal(this.#stack, this.#stack.id, this.#operation.id)))
            this.#journal.push(decode<JournalRecord>(value));
        }
        return;
      }
      if (!('check' in result.conflict) || result.conflict.check === 0)
        throw new Superseded('another run of this operation has begun');
      this.#job.signal.throwIfAborted();
    }
  }
}

function withStatus(
  { reason: _reason, ...stack }: StackRecord,
  { status, reason }: { readonly status: string; readonly reason?: string },
): StackRecord {
  return { ...stack, status, ...(reason !== undefined && { reason }) };
}

/** The one who asked, or the role that the stack was given. */
function callerOf({ caller, setup: { roleArn } }: OperationRecord): Caller {
  const role = roleArn === undefined ? undefined : parseArn(roleArn);
  if (roleArn === undefined || role === undefined) return caller;
  const name = role.resource.split('/').at(-1) as string;
  const session = 'AWSCloudFormation';
  return {
    ...caller,
    principal: {
      kind: 'assumed-role',
      arn: `arn:${role.partition}:sts::${role.account}:assumed-role/${name}/${session}`,
      account: role.account,
      id: `${name}:${session}`,
      roleArn,
    },
  };
}

/** Imports hold from the operation's start, so that nobody takes the export away meanwhile; here is what they come to. */
function importChanges(
  stack: StackRecord,
  { setup, before }: OperationRecord,
  status: string,
): { readonly set: NonNullable<Commit['set']>; readonly delete: NonNullable<Commit['delete']> } {
  const all = new Set([...setup.imports, ...(before?.setup.imports ?? [])]);
  const none = status === 'DELETE_COMPLETE' || status === 'ROLLBACK_COMPLETE';
  const settled = isAccomplished(status) || isRolledBack(status) || none;
  const holds = new Set(none ? [] : isRolledBack(status) ? before?.setup.imports : settled ? setup.imports : all);
  return {
    set: [...holds].map((name) => ({
      key: keys.import(stack, name, stack.id),
      value: encode({ stackName: stack.name }),
    })),
    delete: [...all].filter((name) => !holds.has(name)).map((name) => keys.import(stack, name, stack.id)),
  };
}

/** Of the two templates of an update, the one that the stack no longer has. */
function templatesToDrop(stack: StackRecord, { setup, before }: OperationRecord, status: string): Buffer[] {
  const old = before?.setup.template;
  if (old === undefined || setup.template === undefined || old === setup.template) return [];
  if (status === 'UPDATE_COMPLETE') return [keys.template(stack, stack.id, old)];
  return isRolledBack(status) ? [keys.template(stack, stack.id, setup.template)] : [];
}

function forgetLater(stack: StackRecord, nowMs: number): ReturnType<typeof scheduleJob> {
  const payload: JobPayload = { account: stack.account, region: stack.region, stackId: stack.id, operation: '' };
  return scheduleJob(forgetJob, stack.id, nowMs + limits.deletedStackRetentionMs, encode(payload));
}

/** DeleteStack came while the stack was being created: what that operation has not taken away itself is deleted after it. */
async function deleteWhenIdle(env: Environment, job: Job): Promise<void> {
  const { store, clock } = env.platform;
  const payload = decode<DeletionPayload>(job.payload);
  const stored = await read<StackRecord>(store, keys.stack(payload, payload.stackId));
  const status = stored?.record.status ?? 'DELETE_COMPLETE';
  if (stored !== undefined && isBusy(status)) {
    const pauseMs = Math.min(1_000, 50 * 2 ** Math.min(job.attempt, 5));
    await store.commit({ settle: [job.again(clock.now() + pauseMs)] });
  } else if (stored === undefined || status === 'DELETE_COMPLETE' || status === 'DELETE_FAILED') {
    await store.commit({ settle: [job.done()] });
  } else if (!(await startDeletion(env, stored, payload.request, { settle: [job.done()] }))) {
    await store.commit({ settle: [job.again(clock.now())] });
  }
}

async function forget(env: Environment, job: Job): Promise<void> {
  const { store } = env.platform;
  const place = decode<JobPayload>(job.payload);
  const { stackId } = place;
  const stack = await read<StackRecord>(store, keys.stack(place, stackId));
  const kinds = ['template', 'operation', 'cancel', 'resources', 'set'] as const;
  const under = await Promise.all(kinds.map((kind) => store.list(keys.under(kind, place, stackId))));
  const logs = [
    keys.events(place, stackId),
    ...(stack?.record.operation === undefined ? [] : [keys.journal(place, stackId, stack.record.operation)]),
  ];
  const trim = await Promise.all(logs.map(async (log) => ({ log, before: await store.nextPosition(log) })));
  await store.commit({
    delete: [keys.stack(place, stackId), ...under.flat().map((entry) => entry.key)],
    trim,
    settle: [job.done()],
  });
}
