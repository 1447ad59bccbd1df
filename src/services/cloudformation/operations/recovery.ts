import { continueRollback, type StackOperation } from '../../../deploy/engine.ts';
import type { Handlers } from '../../../platform/service.ts';
import { type Environment, requireStack, transact } from '../environment.ts';
import { invalid } from '../rules/errors.ts';
import { resumeOperation, rollBackEntries } from '../starting.ts';
import {
  type CancelRecord,
  encode,
  kept,
  keys,
  type OperationRecord,
  read,
  type StackRecord,
  type Stored,
} from '../state.ts';
import { pseudoOf } from '../templates.ts';
import { loadProgress } from '../work.ts';

/** What is done about an operation that runs or has failed. */
export function recoveryOperations(env: Environment): Handlers<'cloudformation'> {
  const { store } = env.platform;
  return {
    async CancelUpdateStack(context, { StackName }) {
      await transact(async () => {
        const { record: stack, version } = await requireStack(env, context, StackName);
        if (stack.status !== 'UPDATE_IN_PROGRESS') {
          // Text: LocalStack's recording, and the API's reference on CancelUpdateStack.
          throw invalid('CancelUpdateStack cannot be called from current stack status');
        }
        const cancel: CancelRecord = { reason: 'User Initiated', thenDelete: false };
        const result = await store.commit({
          checks: [{ key: keys.stack(stack, stack.id), version }],
          set: [{ key: keys.cancel(stack, stack.id, stack.operation as string), value: encode(cancel) }],
        });
        return result.ok ? {} : undefined;
      });
    },

    async ContinueUpdateRollback(context, { StackName, ResourcesToSkip = [], RoleARN }) {
      await transact(async () => {
        const stored = await requireStack(env, context, StackName);
        const stack = stored.record;
        if (stack.status !== 'UPDATE_ROLLBACK_FAILED') {
          throw invalid(`Stack:${stack.arn} is in ${stack.status} state and can not continue update rollback.`);
        }
        const operation = withRole(await failedOperation(env, stack), RoleARN);
        const { base, journal } = await loadProgress(env, stack, operation.record);
        const failed = new Set(journal.flatMap(({ change }) => (change.kind === 'failed' ? [change.key] : [])));
        for (const logicalId of ResourcesToSkip) {
          if (failed.has(logicalId) && base.live.some((resource) => resource.logicalId === logicalId)) continue;
          throw invalid(`Resources [${logicalId}] do not exist in the stack or did not fail to be rolled back.`);
        }
        const entries = continueRollback({ pseudo: pseudoOf(stack, stack, []) } as StackOperation, ResourcesToSkip);
        return (await resumeOperation(env, stored, operation, entries, kept(context))) ? {} : undefined;
      });
      return {};
    },

    async RollbackStack(context, { StackName, RoleARN, RetainExceptOnCreate }) {
      return transact(async () => {
        const stored = await requireStack(env, context, StackName);
        const stack = stored.record;
        if (stack.status !== 'CREATE_FAILED' && stack.status !== 'UPDATE_FAILED') {
          throw invalid(`Stack:${stack.arn} is in ${stack.status} state and can not be rolled back.`);
        }
        const found = withRole(await failedOperation(env, stack), RoleARN);
        const retainExceptOnCreate = RetainExceptOnCreate ?? found.record.retainExceptOnCreate;
        const operation = { ...found, record: { ...found.record, retainExceptOnCreate } };
        const entries = rollBackEntries(stack, operation.record);
        const started = await resumeOperation(env, stored, operation, entries, kept(context));
        return started ? { StackId: stack.arn } : undefined;
      });
    },
  };
}

async function failedOperation(
  { platform: { store } }: Environment,
  stack: StackRecord,
): Promise<Stored<OperationRecord>> {
  const found = await read<OperationRecord>(store, keys.operation(stack, stack.id, stack.operation ?? ''));
  if (found === undefined) throw new Error(`the latest operation of ${stack.arn} is missing`);
  return found;
}

function withRole(operation: Stored<OperationRecord>, roleArn: string | undefined): Stored<OperationRecord> {
  if (roleArn === undefined) return operation;
  const { record } = operation;
  return { ...operation, record: { ...record, setup: { ...record.setup, roleArn } } };
}
