import { cancelJob, scheduleJob } from '../../../kernel/agenda/agenda.ts';
import { prefixRange } from '../../../kernel/store/keys.ts';
import type { RequestContext } from '../../../platform/context.ts';
import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { ListMessageMoveTasksResultEntry } from '../../../wire/types/sqs.ts';
import { countMessages } from '../counts.ts';
import { type Environment, tooContended } from '../environment.ts';
import { invalidParameter, invalidValue, missingParameter, resourceNotFound } from '../errors.ts';
import { decodeTaskHandle, encodeTaskHandle } from '../handles.ts';
import type { MovePayload } from '../move.ts';
import type { Queue } from '../queues.ts';
import { queueArn } from '../rules/redrive.ts';
import {
  activeTaskKey,
  activeTasksOf,
  decodeRecord,
  encodeRecord,
  type MoveTaskRecord,
  taskKey,
  tasksOf,
} from '../state.ts';
import { moveKind } from '../work.ts';
import { deadLetterSources } from './queues.ts';

/** Redriving dead letters. Errors' words: LocalStack's snapshots of AWS. */
export function moveTaskOperations(
  env: Environment,
): Pick<Handlers<'sqs'>, 'StartMessageMoveTask' | 'CancelMessageMoveTask' | 'ListMessageMoveTasks'> {
  const { clock, random, store } = env.platform;
  return {
    StartMessageMoveTask: async (context, input) => {
      const { SourceArn, DestinationArn, MaxNumberOfMessagesPerSecond: maxPerSecond } = input;
      const source = await requireSource(env, context, SourceArn);
      const { account, region, name, id } = source.record;
      if ((await deadLetterSources(env, account, region, name)).length === 0) {
        throw invalidParameter('Source queue must be configured as a Dead Letter Queue.');
      }
      if (DestinationArn !== undefined) await checkDestination(env, source, DestinationArn);
      if (maxPerSecond !== undefined && !(maxPerSecond >= 1 && maxPerSecond <= 500)) {
        throw invalidValue(maxPerSecond, 'MaxNumberOfMessagesPerSecond', 'Must be between 1 and 500.');
      }
      const active = activeTaskKey(account, region, name);
      if ((await store.get(active)) !== undefined) throw alreadyRunning();
      if ((await store.count(prefixRange(activeTasksOf(account, region)))) >= env.limits.activeMoveTasks) {
        throw new AwsError(
          'OverLimit',
          `There are ${env.limits.activeMoveTasks} active tasks in this account already.`,
        );
      }
      const nowMs = clock.now();
      const { visible } = await countMessages(store, env.queues, source, nowMs);
      const taskId = random.uuid();
      const task: MoveTaskRecord = {
        taskId,
        account,
        region,
        sourceName: name,
        sourceId: id,
        sourceArn: source.arn,
        ...(DestinationArn === undefined ? {} : { destinationArn: DestinationArn }),
        ...(maxPerSecond === undefined ? {} : { maxPerSecond }),
        status: 'RUNNING',
        startedAtMs: nowMs,
        moved: 0,
        toMove: visible,
        runs: 0,
        strandedUntilMs: 0,
      };
      const payload: MovePayload = { account, region, source: name, taskId };
      const result = await store.commit({
        checks: [source.check, { key: active, version: null }],
        set: [
          { key: active, value: Buffer.from(taskId, 'utf8') },
          { key: taskKey(account, region, name, taskId), value: encodeRecord(task) },
        ],
        // Only the latest are ever listed.
        delete: (await tasksByAge(env, source)).slice(env.limits.moveTasksListed - 1).map(({ key }) => key),
        schedule: [scheduleJob(moveKind, taskId, nowMs, Buffer.from(JSON.stringify(payload)))],
      });
      if (!result.ok) {
        env.queues.forget(source);
        if ('check' in result.conflict && result.conflict.check === 1) throw alreadyRunning();
        throw tooContended();
      }
      return { TaskHandle: encodeTaskHandle(taskId, source.arn) };
    },

    CancelMessageMoveTask: async (context, input) => {
      const handle = decodeTaskHandle(input.TaskHandle);
      if (handle === undefined) throw invalidParameter('Value for parameter TaskHandle is invalid.');
      const source = await requireSource(env, context, handle.sourceArn);
      const { account, region, name } = source.record;
      const key = taskKey(account, region, name, handle.taskId);
      for (let attempts = 0; attempts < 50; attempts++) {
        const entry = await store.get(key);
        if (entry === undefined) throw resourceNotFound('Task does not exist.');
        const task = decodeRecord<MoveTaskRecord>(entry.value);
        if (task.status !== 'RUNNING') {
          throw new AwsError('UnsupportedOperation', 'Only a running task can be cancelled.');
        }
        const result = await store.commit({
          checks: [{ key, version: entry.version }],
          set: [{ key, value: encodeRecord({ ...task, status: 'CANCELLED' }) }],
          delete: [activeTaskKey(account, region, name)],
          settle: [cancelJob(moveKind, task.taskId)],
        });
        if (result.ok) return { ApproximateNumberOfMessagesMoved: task.moved };
      }
      throw tooContended();
    },

    ListMessageMoveTasks: async (context, input) => {
      const source = await requireSource(env, context, input.SourceArn);
      const { MaxResults: limit = 1 } = input;
      if (!(limit >= 1 && limit <= env.limits.moveTasksListed)) {
        throw invalidValue(limit, 'MaxResults', `Must be between 1 and ${env.limits.moveTasksListed}.`);
      }
      const tasks = (await tasksByAge(env, source)).filter(({ task }) => task.sourceId === source.record.id);
      return { Results: tasks.slice(0, limit).map(({ task }) => shownTask(task)) };
    },
  };
}

/** The tasks of a source, the latest first. */
async function tasksByAge(env: Environment, source: Queue): Promise<{ key: Buffer; task: MoveTaskRecord }[]> {
  const { account, region, name } = source.record;
  const entries = await env.platform.store.list(prefixRange(tasksOf(account, region, name)));
  return entries
    .map(({ key, value }) => ({ key, task: decodeRecord<MoveTaskRecord>(value) }))
    .sort((a, b) => b.task.startedAtMs - a.task.startedAtMs);
}

function shownTask(task: MoveTaskRecord): ListMessageMoveTasksResultEntry {
  return {
    // Only what can still be cancelled has a handle.
    TaskHandle: task.status === 'RUNNING' ? encodeTaskHandle(task.taskId, task.sourceArn) : undefined,
    Status: task.status,
    SourceArn: task.sourceArn,
    DestinationArn: task.destinationArn,
    MaxNumberOfMessagesPerSecond: task.maxPerSecond,
    ApproximateNumberOfMessagesMoved: task.moved,
    ApproximateNumberOfMessagesToMove: task.toMove,
    FailureReason: task.failureReason,
    StartedTimestamp: task.startedAtMs,
  };
}

async function requireSource(env: Environment, context: RequestContext, text: string | undefined): Promise<Queue> {
  if (text === undefined || text === '') throw missingParameter('SourceArn');
  const arn = queueArn(text);
  if (arn === undefined) {
    throw invalidParameter(
      'You must use this format to specify the SourceArn: arn:<partition>:<service>:<region>:<account-id>:<resource-id>',
    );
  }
  const local = arn.account === context.account && arn.region === context.region;
  const queue = local ? await env.queues.read(arn.account, arn.region, arn.resource) : undefined;
  if (queue === undefined) {
    throw resourceNotFound("The resource that you specified for the SourceArn parameter doesn't exist.");
  }
  return queue;
}

async function checkDestination(env: Environment, source: Queue, text: string): Promise<void> {
  const arn = queueArn(text);
  if (arn === undefined) {
    throw invalidParameter(
      'You must use this format to specify the DestinationArn: arn:<partition>:<service>:<region>:<account-id>:<resource-id>',
    );
  }
  const { account, region } = source.record;
  const local = arn.account === account && arn.region === region;
  if (!local || (await env.queues.read(arn.account, arn.region, arn.resource)) === undefined) {
    throw resourceNotFound("The resource that you specified for the DestinationArn parameter doesn't exist.");
  }
  if (arn.resource.endsWith('.fifo') !== source.record.name.endsWith('.fifo')) {
    throw invalidValue(text, 'DestinationArn', 'Source and destination must be queues of the same type.');
  }
  if (text === source.arn) {
    throw invalidValue(text, 'DestinationArn', 'Source and destination must not be the same queue.');
  }
}

function alreadyRunning(): AwsError {
  return invalidParameter(
    'There is already a task running. Only one active task is allowed for a source queue arn at a given time.',
  );
}
