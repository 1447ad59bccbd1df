import { TemplateError } from '../../../deploy/errors.ts';
import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import { type Environment, findStack, requireStack, transact } from '../environment.ts';
import { page } from '../paging.ts';
import { planUpdate, type UpdatePlan } from '../planning.ts';
import { checkCapabilities } from '../rules/capabilities.ts';
import { invalid, noChangeSet, noStack } from '../rules/errors.ts';
import { changeSetArn, checkStackName, idInChangeSetArn, isArn, type Place, stackArn } from '../rules/names.ts';
import { changeSetSummary, shownChange, shownParameters } from '../rules/render.ts';
import { checkUpdatable, isAccomplished, isBusy } from '../rules/statuses.ts';
import { refuseUnbuilt } from '../rules/unbuilt-parameters.ts';
import { stackEvent } from '../stack-events.ts';
import { startOperation } from '../starting.ts';
import {
  type ChangeSetRecord,
  decode,
  encode,
  kept,
  keys,
  readAll,
  type StackRecord,
  type StackSetup,
  type Stored,
} from '../state.ts';
import { checkAgainstTypes, type PreparedSetup, prepareSetup, templateRecord } from '../templates.ts';
import { loadResources } from '../work.ts';
import { beforeOf } from './stacks.ts';

/** AWS's words; `aws cloudformation deploy` and `sam deploy` look for them. */
const noChanges =
  "The submitted information didn't contain changes. Submit different information to create a change set.";

export function changeSetOperations(env: Environment): Handlers<'cloudformation'> {
  const { store, clock, random } = env.platform;
  return {
    async CreateChangeSet(context, input) {
      refuseUnbuilt('CreateChangeSet', input);
      const type = input.ChangeSetType ?? 'UPDATE';
      if (type === 'IMPORT') throw invalid('Change sets of type IMPORT are not supported here.');
      return transact(async () => {
        const found = await findStack(env, context, input.StackName);
        const existing = found?.record.deletedAtMs === undefined ? found : undefined;
        const isNew = type === 'CREATE' && existing === undefined;
        if (type === 'CREATE') {
          checkStackName(existing?.record.name ?? input.StackName);
          if (existing !== undefined && existing.record.status !== 'REVIEW_IN_PROGRESS') {
            // Text: LocalStack's recording of test_create_change_set_create_existing.
            throw invalid(
              `Stack [${existing.record.name}] already exists and cannot be created again with the changeSet [${input.ChangeSetName}].`,
            );
          }
        } else {
          if (existing === undefined) throw noStack(input.StackName);
          checkUpdatable(existing.record);
        }
        const id = existing?.record.id ?? random.uuid();
        const name = existing?.record.name ?? input.StackName;
        const arn = existing?.record.arn ?? stackArn(context, name, id);
        if (existing !== undefined) {
          const sets = await readAll<ChangeSetRecord>(store, keys.changeSets(context, id));
          if (sets.some((set) => set.name === input.ChangeSetName)) {
            throw new AwsError(
              'AlreadyExistsException',
              `ChangeSet ${input.ChangeSetName} cannot be created due to a name that already exists`,
            );
          }
        }
        const previous = type === 'UPDATE' ? existing?.record : undefined;
        const emptySetup: StackSetup = {
          parameters: [],
          tags: input.Tags ?? [],
          capabilities: input.Capabilities ?? [],
          notificationArns: [],
          imports: [],
        };
        const nowMs = clock.now();
        const stack: StackRecord = existing?.record ?? {
          account: context.account,
          region: context.region,
          id,
          arn,
          name,
          createdAtMs: nowMs,
          status: 'REVIEW_IN_PROGRESS',
          reason: 'User Initiated',
          setup: emptySetup,
          outputs: [],
          disableRollback: false,
          terminationProtection: false,
        };
        const judgement = await judge(env, context, stack, input, previous);
        const setId = random.uuid();
        const template = random.uuid();
        const failed = 'failure' in judgement;
        const record: ChangeSetRecord = {
          id: setId,
          arn: changeSetArn(context, input.ChangeSetName, setId),
          name: input.ChangeSetName,
          stackId: id,
          ...(input.Description !== undefined && { description: input.Description }),
          type,
          createdAtMs: nowMs,
          status: failed ? 'FAILED' : 'CREATE_COMPLETE',
          ...(failed && { reason: judgement.failure }),
          executionStatus: failed ? 'UNAVAILABLE' : 'AVAILABLE',
          setup: judgement.ready === undefined ? emptySetup : { ...judgement.ready.setup, template },
          changes: failed ? [] : judgement.plan.changes,
          ...(input.OnStackFailure !== undefined && { onFailure: input.OnStackFailure }),
        };
        const result = await store.commit({
          checks: [
            { key: keys.stack(stack, id), version: existing?.version ?? null },
            ...(isNew ? [{ key: keys.name(context, name), version: null }] : []),
          ],
          set: [
            { key: keys.stack(stack, id), value: encode(stack) },
            { key: keys.changeSet(stack, id, setId), value: encode(record) },
            ...(judgement.ready === undefined
              ? []
              : [
                  {
                    key: keys.template(stack, id, template),
                    value: encode(await templateRecord(env, judgement.ready)),
                  },
                ]),
            ...(isNew ? [{ key: keys.name(context, name), value: encode({ id }) }] : []),
          ],
          ...(isNew && {
            append: [
              {
                log: keys.events(stack, id),
                value: encode(
                  stackEvent(stack, { status: 'REVIEW_IN_PROGRESS', reason: 'User Initiated' }, random.uuid(), nowMs),
                ),
              },
            ],
          }),
        });
        return result.ok ? { Id: record.arn, StackId: arn } : undefined;
      });
    },

    async DescribeChangeSet(context, { ChangeSetName, StackName, NextToken, IncludePropertyValues }) {
      const { stack, set } = await findChangeSet(env, context, ChangeSetName, StackName);
      const inOrder = [...set.changes].sort((a, b) => (a.logicalId < b.logicalId ? -1 : 1));
      const { items, nextToken } = page(inOrder, NextToken);
      const { setup } = set;
      return {
        ...changeSetSummary(stack, withOutcome(stack, set)),
        Parameters: setup.parameters.length === 0 ? undefined : shownParameters(setup),
        NotificationARNs: setup.notificationArns,
        RollbackConfiguration: {},
        Capabilities: setup.capabilities as never,
        Tags: setup.tags,
        Changes: items.map((change) => shownChange(change, IncludePropertyValues ?? false)),
        NextToken: nextToken,
        OnStackFailure: set.onFailure,
        ImportExistingResources: false,
      };
    },

    async ListChangeSets(context, { StackName, NextToken }) {
      const { record: stack } = await requireStack(env, context, StackName);
      const sets = await readAll<ChangeSetRecord>(store, keys.changeSets(stack, stack.id));
      const { items, nextToken } = page(sets, NextToken);
      return {
        Summaries: items.map((set) => changeSetSummary(stack, withOutcome(stack, set))),
        NextToken: nextToken,
      };
    },

    async DeleteChangeSet(context, { ChangeSetName, StackName }) {
      await transact(async () => {
        const found = await findChangeSet(env, context, ChangeSetName, StackName).catch((error: unknown) => {
          // What is not there need not be deleted; a name without its stack is a mistake all the same.
          if (isArn(ChangeSetName) && error instanceof AwsError && error.code === 'ChangeSetNotFoundException')
            return undefined;
          throw error;
        });
        if (found === undefined) return {};
        const { stack, set, version } = found;
        if (withOutcome(stack, set).executionStatus === 'EXECUTE_IN_PROGRESS') {
          throw new AwsError(
            'InvalidChangeSetStatusException',
            `ChangeSet [${set.arn}] cannot be deleted while it is being executed`,
          );
        }
        const key = keys.changeSet(stack, stack.id, set.id);
        const { template } = set.setup;
        const unused = set.executionStatus !== 'EXECUTE_IN_PROGRESS';
        const result = await store.commit({
          checks: [{ key, version }],
          delete: [
            key,
            ...(unused && template !== undefined && template !== stack.setup.template
              ? [keys.template(stack, stack.id, template)]
              : []),
          ],
        });
        return result.ok ? {} : undefined;
      });
      return {};
    },

    async ExecuteChangeSet(
      context,
      { ChangeSetName, StackName, DisableRollback, ClientRequestToken, RetainExceptOnCreate },
    ) {
      await transact(async () => {
        const found = await findChangeSet(env, context, ChangeSetName, StackName);
        const { stack, set } = found;
        if (set.executionStatus !== 'AVAILABLE') {
          const status = set.status === 'FAILED' ? set.status : withOutcome(stack, set).executionStatus;
          throw new AwsError(
            'InvalidChangeSetStatusException',
            `ChangeSet [${set.arn}] cannot be executed in its current status of [${status}]`,
          );
        }
        if (set.type === 'UPDATE') checkUpdatable(stack);
        else if (stack.status !== 'REVIEW_IN_PROGRESS')
          throw invalid(`Stack:${stack.arn} is in ${stack.status} state and can not be updated.`);
        if (DisableRollback !== undefined && set.onFailure !== undefined)
          throw invalid('DisableRollback cannot be specified for a change set with OnStackFailure.');
        const nowMs = clock.now();
        const onFailure = DisableRollback ? 'DO_NOTHING' : (set.onFailure ?? 'ROLLBACK');
        const others = await readAll<ChangeSetRecord>(store, keys.changeSets(stack, stack.id));
        const updates = set.type === 'UPDATE';
        const key = keys.changeSet(stack, stack.id, set.id);
        const started = await startOperation(env, {
          stored: found.stored,
          stack: {
            ...stack,
            setup: set.setup,
            changeSetArn: set.arn,
            disableRollback: onFailure === 'DO_NOTHING',
            ...(updates ? { updatedAtMs: nowMs } : {}),
          },
          operation: {
            id: random.uuid(),
            kind: set.type,
            caller: kept(context),
            setup: set.setup,
            ...(updates && { before: beforeOf(stack) }),
            onFailure,
            retainExceptOnCreate: RetainExceptOnCreate ?? false,
            retain: [],
            ...(ClientRequestToken !== undefined && { clientToken: ClientRequestToken }),
          },
          also: {
            checks: [{ key, version: found.version }],
            set: [
              { key, value: encode({ ...set, executionStatus: 'EXECUTE_IN_PROGRESS' }) },
              ...others
                .filter((other) => other.id !== set.id && other.executionStatus === 'AVAILABLE')
                .map((other) => ({
                  key: keys.changeSet(stack, stack.id, other.id),
                  value: encode({ ...other, executionStatus: 'OBSOLETE' }),
                })),
            ],
          },
        });
        return started ? {} : undefined;
      });
      return {};
    },
  };
}

export interface FoundChangeSet {
  readonly stack: StackRecord;
  readonly stored: Stored<StackRecord>;
  readonly set: ChangeSetRecord;
  readonly version: number;
}

/** By its ARN, or by its name and its stack's. @throws ChangeSetNotFoundException, ValidationError */
export async function findChangeSet(
  env: Environment,
  place: Place,
  nameOrArn: string,
  stackName: string | undefined,
): Promise<FoundChangeSet> {
  const { store } = env.platform;
  if (!isArn(nameOrArn) && stackName === undefined) {
    // Text: LocalStack's recording of test_describe_change_set_nonexisting and test_name_conflicts.
    throw invalid('StackName must be specified if ChangeSetName is not specified as an ARN.');
  }
  const id = isArn(nameOrArn) ? idInChangeSetArn(nameOrArn, place) : undefined;
  if (isArn(nameOrArn) && id === undefined) throw noChangeSet(nameOrArn);
  const stack = stackName === undefined ? undefined : await requireStack(env, place, stackName);
  const range = stack === undefined ? keys.allChangeSets(place) : keys.changeSets(place, stack.record.id);
  for (const entry of await store.list(range)) {
    const set = decode<ChangeSetRecord>(entry.value);
    if (id === undefined ? set.name !== nameOrArn : set.id !== id) continue;
    const stored = stack ?? (await findStack(env, place, stackArn(place, '', set.stackId)));
    if (stored !== undefined) return { stack: stored.record, stored, set, version: entry.version };
  }
  throw noChangeSet(nameOrArn);
}

type Judgement =
  | { readonly ready: PreparedSetup; readonly plan: UpdatePlan }
  | { readonly ready: PreparedSetup | undefined; readonly failure: string };

/** What AWS refuses at once is thrown; what it finds out while it makes the change set becomes the set's failure. */
async function judge(
  env: Environment,
  context: Parameters<typeof prepareSetup>[1],
  stack: StackRecord,
  input: Parameters<typeof prepareSetup>[3],
  previous: StackRecord | undefined,
): Promise<Judgement> {
  let ready: PreparedSetup;
  try {
    ready = await prepareSetup(env, context, stack, input, previous);
  } catch (error) {
    if (isTransformFailure(error)) return { ready: undefined, failure: error.message };
    throw error;
  }
  const { live } = await loadResources(env.platform.store, stack, stack.resources);
  const transformed = ready.original.includes('Transform');
  try {
    await checkAgainstTypes(env, ready.prepared.template, live);
    // CAPABILITY_AUTO_EXPAND has no effect on change sets (API reference, CreateChangeSet).
    checkCapabilities(ready.needed, ready.setup.capabilities);
  } catch (error) {
    if (transformed && error instanceof AwsError) return { ready, failure: error.message };
    throw error;
  }
  const plan = await planUpdate(env, stack, ready, live);
  if (!plan.changesAnything) return { ready, failure: noChanges };
  return { ready, plan };
}

function isTransformFailure(error: unknown): error is Error {
  return (error instanceof AwsError || error instanceof TemplateError) && error.message.startsWith('Transform ');
}

/** What became of a set that is being executed follows from its stack. */
function withOutcome(stack: StackRecord, set: ChangeSetRecord): ChangeSetRecord {
  if (set.executionStatus !== 'EXECUTE_IN_PROGRESS' || isBusy(stack.status)) return set;
  const done = isAccomplished(stack.status) && stack.changeSetArn === set.arn;
  return { ...set, executionStatus: done ? 'EXECUTE_COMPLETE' : 'EXECUTE_FAILED' };
}
