import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import { type DeletionRequest, deleteLater, startDeletion } from '../deleting.ts';
import { type Environment, findStack, requireStack, transact } from '../environment.ts';
import { exportInUse } from '../exports.ts';
import { parentOf } from '../nesting.ts';
import { planUpdate } from '../planning.ts';
import { invalid } from '../rules/errors.ts';
import { checkStackName, stackArn } from '../rules/names.ts';
import { checkUpdatable, isBusy } from '../rules/statuses.ts';
import { refuseUnbuilt } from '../rules/unbuilt-parameters.ts';
import { recordEvents } from '../stack-events.ts';
import { startOperation } from '../starting.ts';
import { type CancelRecord, encode, kept, keys, type OperationRecord, read, type StackRecord } from '../state.ts';
import { checkAgainstTypes, checkDirectCapabilities, prepareSetup, templateRecord } from '../templates.ts';
import { loadResources } from '../work.ts';

export function stackOperations(env: Environment): Handlers<'cloudformation'> {
  const { platform } = env;
  const { store, clock, random } = platform;
  return {
    async CreateStack(context, input) {
      refuseUnbuilt('CreateStack', input);
      const name = input.StackName;
      checkStackName(name);
      if (input.DisableRollback !== undefined && input.OnFailure !== undefined)
        throw invalid('You can specify either DisableRollback or OnFailure, but not both.');
      return transact(async () => {
        const existing = await findStack(env, context, name);
        if (existing !== undefined) {
          const repeated = await latestOperation(env, existing.record);
          const token = input.ClientRequestToken;
          if (token !== undefined && repeated?.kind === 'CREATE' && repeated.clientToken === token)
            return { StackId: existing.record.arn };
          throw new AwsError('AlreadyExistsException', `Stack [${name}] already exists`);
        }
        const id = random.uuid();
        const arn = stackArn(context, name, id);
        const ready = await prepareSetup(env, context, { name, arn }, input, undefined);
        await checkAgainstTypes(env, ready.prepared.template, []);
        checkDirectCapabilities(ready);
        const nowMs = clock.now();
        const onFailure = input.DisableRollback ? 'DO_NOTHING' : (input.OnFailure ?? 'ROLLBACK');
        const template = random.uuid();
        const setup = { ...ready.setup, template };
        const minutes = input.TimeoutInMinutes;
        const stack: StackRecord = {
          account: context.account,
          region: context.region,
          id,
          arn,
          name,
          createdAtMs: nowMs,
          status: '',
          setup,
          outputs: [],
          disableRollback: onFailure === 'DO_NOTHING',
          terminationProtection: input.EnableTerminationProtection ?? false,
          ...(minutes !== undefined && { timeoutMinutes: minutes }),
          ...(await parentOf(env, context, input.Tags ?? [])),
        };
        const started = await startOperation(env, {
          stored: undefined,
          stack,
          template: await templateRecord(env, ready),
          operation: {
            id: random.uuid(),
            kind: 'CREATE',
            caller: kept(context),
            setup,
            onFailure,
            retainExceptOnCreate: input.RetainExceptOnCreate ?? false,
            retain: [],
            ...(minutes !== undefined && { deadlineMs: nowMs + minutes * 60_000 }),
            ...(input.ClientRequestToken !== undefined && { clientToken: input.ClientRequestToken }),
          },
          also: {
            checks: [{ key: keys.name(context, name), version: null }],
            set: [{ key: keys.name(context, name), value: encode({ id }) }],
          },
        });
        return started ? { StackId: arn } : undefined;
      });
    },

    async UpdateStack(context, input) {
      refuseUnbuilt('UpdateStack', input);
      return transact(async () => {
        const stored = await requireStack(env, context, input.StackName);
        const stack = stored.record;
        const latest = await latestOperation(env, stack);
        const token = input.ClientRequestToken;
        if (token !== undefined && latest?.kind === 'UPDATE' && latest.clientToken === token)
          return { StackId: stack.arn };
        checkUpdatable(stack);
        const ready = await prepareSetup(env, context, stack, input, stack);
        const { live } = await loadResources(store, stack, stack.resources);
        await checkAgainstTypes(env, ready.prepared.template, live);
        checkDirectCapabilities(ready);
        const plan = await planUpdate(env, stack, ready, live);
        if (!plan.changesAnything) throw invalid('No updates are to be performed.');
        const setup = { ...ready.setup, template: random.uuid() };
        const disableRollback = input.DisableRollback ?? stack.disableRollback;
        const started = await startOperation(env, {
          stored,
          stack: { ...stack, setup, updatedAtMs: clock.now(), disableRollback },
          template: await templateRecord(env, ready),
          operation: {
            id: random.uuid(),
            kind: 'UPDATE',
            caller: kept(context),
            setup,
            before: beforeOf(stack),
            onFailure: disableRollback ? 'DO_NOTHING' : 'ROLLBACK',
            retainExceptOnCreate: input.RetainExceptOnCreate ?? false,
            retain: [],
            ...(token !== undefined && { clientToken: token }),
          },
        });
        return started ? { StackId: stack.arn } : undefined;
      });
    },

    async DeleteStack(context, input) {
      refuseUnbuilt('DeleteStack', input);
      const { RetainResources: retain = [], RoleARN: roleArn, ClientRequestToken: clientToken } = input;
      await transact(async () => {
        const stored = await findStack(env, context, input.StackName);
        if (stored === undefined || stored.record.deletedAtMs !== undefined) return {};
        const stack = stored.record;
        const { status } = stack;
        if (status === 'DELETE_IN_PROGRESS') return {};
        if (stack.terminationProtection) {
          // Text: LocalStack's recording, test_stack_update_resources and public issues (aws/aws-cdk/issues/1682).
          throw invalid(`Stack [${stack.name}] cannot be deleted while TerminationProtection is enabled`);
        }
        if (retain.length > 0 && status !== 'DELETE_FAILED') {
          throw invalid(
            `Invalid operation on stack [${stack.arn}]. When you delete a stack, specify which resources to retain only when the stack is in the DELETE_FAILED state.`,
          );
        }
        const request: DeletionRequest = {
          caller: kept(context),
          retain,
          ...(roleArn !== undefined && { roleArn }),
          ...(clientToken !== undefined && { clientToken }),
        };
        if (status === 'CREATE_IN_PROGRESS' || status === 'ROLLBACK_IN_PROGRESS') {
          const cancel: CancelRecord = { reason: 'User Initiated', thenDelete: true };
          const nowMs = clock.now();
          const result = await store.commit({
            checks: [{ key: keys.stack(stack, stack.id), version: stored.version }],
            set: [{ key: keys.cancel(stack, stack.id, stack.operation as string), value: encode(cancel) }],
            schedule: [deleteLater(stack, request, nowMs)],
          });
          return result.ok ? {} : undefined;
        }
        if (isBusy(status)) throw invalid(`Stack [${stack.arn}] cannot be deleted while in status ${status}`);
        const problem = await exportInUse(env, stack);
        if (problem !== undefined) {
          // The stack goes back to the status that it had: https://github.com/USSBA/aws-cft-tools/issues/27
          const begun = { status: 'DELETE_IN_PROGRESS', reason: 'User Initiated' };
          return (await recordEvents(env, stored, [begun, { status, reason: problem }])) ? {} : undefined;
        }
        return (await startDeletion(env, stored, request)) ? {} : undefined;
      });
    },

    async UpdateTerminationProtection(context, { StackName, EnableTerminationProtection }) {
      return transact(async () => {
        const stored = await requireStack(env, context, StackName);
        const stack = { ...stored.record, terminationProtection: EnableTerminationProtection };
        if (stack.deletedAtMs !== undefined) throw invalid(`Stack [${StackName}] does not exist`);
        const key = keys.stack(stack, stack.id);
        const result = await store.commit({
          checks: [{ key, version: stored.version }],
          set: [{ key, value: encode(stack) }],
        });
        return result.ok ? { StackId: stack.arn } : undefined;
      });
    },
  };
}

/** What the rollback of an update brings back. */
export function beforeOf(stack: StackRecord): NonNullable<OperationRecord['before']> {
  const { setup, outputs, updatedAtMs, changeSetArn, disableRollback } = stack;
  return {
    setup,
    outputs,
    disableRollback,
    ...(updatedAtMs !== undefined && { updatedAtMs }),
    ...(changeSetArn !== undefined && { changeSetArn }),
  };
}

export async function latestOperation(env: Environment, stack: StackRecord): Promise<OperationRecord | undefined> {
  if (stack.operation === undefined) return undefined;
  const key = keys.operation(stack, stack.id, stack.operation);
  return (await read<OperationRecord>(env.platform.store, key))?.record;
}
