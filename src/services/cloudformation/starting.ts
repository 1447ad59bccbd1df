import { rollBack, type StackOperation } from '../../deploy/engine.ts';
import { stackEntry } from '../../deploy/engine-report.ts';
import type { JournalEntry } from '../../deploy/engine-state.ts';
import { scheduleJob } from '../../kernel/agenda/agenda.ts';
import type { Check, Commit } from '../../kernel/store/contract.ts';
import type { Environment } from './environment.ts';
import { StepWriter } from './events.ts';
import { encode, keys, type OperationRecord, type StackRecord, type Stored, type TemplateRecord } from './state.ts';
import { pseudoOf } from './templates.ts';

/** The agenda's kind of job that carries operations out. */
export const operationJob = 'cloudformation.operation';

export interface JobPayload {
  readonly account: string;
  readonly region: string;
  readonly stackId: string;
  readonly operation: string;
}

export interface Start {
  /** As it is now; undefined for a stack that is made by this commit. */
  readonly stored: Stored<StackRecord> | undefined;
  /** As it will be, but for the operation and its status. */
  readonly stack: StackRecord;
  readonly operation: Omit<OperationRecord, 'run' | 'ended' | 'startedAtMs' | 'resources'>;
  /** A template that is new with this operation. */
  readonly template?: TemplateRecord;
  /** To be part of the same commit. */
  readonly also?: Pick<Commit, 'checks' | 'set' | 'settle'>;
}

/**
 * Begins an operation, in one commit: the stack's status, the first event, the job; what only the operation before it needed
 * is dropped. False when another commit was faster.
 */
export async function startOperation(env: Environment, start: Start): Promise<boolean> {
  const { clock, store } = env.platform;
  const { stored, stack, operation, template, also } = start;
  const nowMs = clock.now();
  const base = stored?.record.resources;
  const record: OperationRecord = {
    ...operation,
    startedAtMs: nowMs,
    run: 0,
    ended: false,
    ...(base !== undefined && { resources: base }),
  };
  const status = `${operation.kind}_IN_PROGRESS`;
  const pseudo = pseudoOf(stack, stack, []);
  const first = stackEntry(pseudo, status, operation.kind === 'DELETE' ? 'delete' : 'forward', 'User Initiated');
  const past = stored === undefined ? {} : await forgetPast(env, stored.record);
  const { reason: _reason, ...rest } = stack;
  const result = await store.commit({
    ...past,
    checks: [checkOf(stored, stack), ...(also?.checks ?? [])],
    set: [
      {
        key: keys.stack(stack, stack.id),
        value: encode({ ...rest, status, reason: 'User Initiated', operation: record.id }),
      },
      { key: keys.operation(stack, stack.id, record.id), value: encode(record) },
      ...(template === undefined || record.setup.template === undefined
        ? []
        : [{ key: keys.template(stack, stack.id, record.setup.template), value: encode(template) }]),
      // From now on nobody takes away what the template imports.
      ...record.setup.imports.map((name) => ({
        key: keys.import(stack, name, stack.id),
        value: encode({ stackName: stack.name }),
      })),
      ...(also?.set ?? []),
    ],
    append: new StepWriter(stack, stack.id, record).appends([first], nowMs),
    schedule: [job(stack, record.id, nowMs)],
    ...(also?.settle && { settle: also.settle }),
  });
  return result.ok;
}

/** Takes an ended operation up again: ContinueUpdateRollback, RollbackStack. False when another commit was faster. */
export async function resumeOperation(
  env: Environment,
  stored: Stored<StackRecord>,
  operation: Stored<OperationRecord>,
  entries: readonly JournalEntry[],
  caller: OperationRecord['caller'],
): Promise<boolean> {
  const { clock, store } = env.platform;
  const stack = stored.record;
  const nowMs = clock.now();
  const status = entries.map(({ change }) => (change.kind === 'stack' ? change.status : undefined)).find(Boolean);
  const record: OperationRecord = { ...operation.record, caller, ended: false };
  const result = await store.commit({
    checks: [checkOf(stored, stack), { key: keys.operation(stack, stack.id, record.id), version: operation.version }],
    set: [
      { key: keys.stack(stack, stack.id), value: encode({ ...stack, status, reason: 'User Initiated' }) },
      { key: keys.operation(stack, stack.id, record.id), value: encode(record) },
    ],
    append: new StepWriter(stack, stack.id, record).appends(entries, nowMs),
    schedule: [job(stack, record.id, nowMs)],
  });
  return result.ok;
}

/** The steps that begin the rollback of an operation that had failed with DO_NOTHING. */
export function rollBackEntries(stack: StackRecord, operation: OperationRecord): readonly JournalEntry[] {
  return rollBack({ kind: operation.kind, pseudo: pseudoOf(stack, stack, []) } as StackOperation);
}

/** What only the operation before this one needed: its record, its journal, and the resources it began with. */
async function forgetPast(
  { platform: { store } }: Environment,
  stack: StackRecord,
): Promise<Pick<Commit, 'delete' | 'trim'>> {
  if (stack.operation === undefined) return {};
  const log = keys.journal(stack, stack.id, stack.operation);
  const before = await store.nextPosition(log);
  const key = keys.operation(stack, stack.id, stack.operation);
  const entry = await store.get(key);
  const { resources } = entry === undefined ? {} : (JSON.parse(entry.value.toString('utf8')) as OperationRecord);
  return {
    delete: [
      key,
      keys.cancel(stack, stack.id, stack.operation),
      ...(resources === undefined || resources === stack.resources ? [] : [keys.resources(stack, stack.id, resources)]),
    ],
    trim: [{ log, before }],
  };
}

function checkOf(stored: Stored<StackRecord> | undefined, stack: StackRecord): Check {
  return { key: keys.stack(stack, stack.id), version: stored?.version ?? null };
}

function job({ account, region, id }: StackRecord, operation: string, nowMs: number): ReturnType<typeof scheduleJob> {
  const payload: JobPayload = { account, region, stackId: id, operation };
  return scheduleJob(operationJob, operation, nowMs, encode(payload));
}
