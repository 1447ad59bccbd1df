import type { Commit } from '../../../kernel/store/contract.ts';
import { extendKey, nextKey, prefixRange } from '../../../kernel/store/keys.ts';
import { partitionOf } from '../../../platform/arn.ts';
import type { RequestContext } from '../../../platform/context.ts';
import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import { countMessages } from '../counts.ts';
import { type Environment, onQueue, tooContended } from '../environment.ts';
import { invalidParameter, invalidValue, missingParameter, queueDoesNotExist } from '../errors.ts';
import type { Queue } from '../queues.ts';
import {
  changedAttributes,
  changedTags,
  checkAttributeNames,
  checkQueueName,
  computedAttributes,
  configOf,
  differingAttribute,
  shownAttributes,
} from '../rules/attributes.ts';
import { policyWith, policyWithout } from '../rules/permissions.ts';
import { allowsSource } from '../rules/redrive.ts';
import {
  decodeRecord,
  encodeRecord,
  type QueueRecord,
  queueKey,
  queuesOf,
  sourceKey,
  sourcesOf,
  type TombstoneRecord,
  tombstoneKey,
} from '../state.ts';
import { redelayJob, removeJob, sweepJob } from '../work.ts';

const done = Object.freeze({});

type QueueOperations = Pick<
  Handlers<'sqs'>,
  | 'CreateQueue'
  | 'DeleteQueue'
  | 'GetQueueUrl'
  | 'ListQueues'
  | 'GetQueueAttributes'
  | 'SetQueueAttributes'
  | 'PurgeQueue'
  | 'ListDeadLetterSourceQueues'
  | 'TagQueue'
  | 'UntagQueue'
  | 'ListQueueTags'
  | 'AddPermission'
  | 'RemovePermission'
>;

export function queueOperations(env: Environment): QueueOperations {
  const { clock, store } = env.platform;
  return {
    CreateQueue: (context, input) =>
      createQueue(env, context, input.QueueName, input.Attributes ?? {}, input.tags ?? {}),

    DeleteQueue: async (context, input) => {
      await onQueue(env, context, input.QueueUrl, async (queue) => {
        const { account, region, name } = queue.record;
        const nowMs = clock.now();
        const result = await store.commit({
          checks: [queue.check],
          delete: [queue.key, ...sourceEntries(queue.record)],
          set: [{ key: tombstoneKey(account, region, name), value: encodeRecord({ deletedAtMs: nowMs }) }],
          schedule: [removeJob(queue.record, nowMs, nowMs + env.limits.recreateWaitMs)],
        });
        env.queues.forget(queue);
        if (!result.ok) return undefined;
        env.rooms.moved(queue.partition);
        return done;
      });
    },

    GetQueueUrl: async (context, input) => {
      const account = input.QueueOwnerAWSAccountId ?? context.account;
      const queue = await env.queues.find(account, context.region, input.QueueName);
      if (queue === undefined) throw queueDoesNotExist();
      return { QueueUrl: urlOf(context, queue.record) };
    },

    ListQueues: async (context, input) => {
      const { QueueNamePrefix: prefix = '', NextToken, MaxResults } = input;
      const all = queuesOf(context.account, context.region);
      // A string's key ends with one byte that ends the string: without it, it begins every longer string's key.
      const stem = extendKey(all, prefix).subarray(0, -1);
      const after = NextToken === undefined ? undefined : readToken(NextToken);
      const resumed = after === undefined ? stem : nextKey(extendKey(all, after));
      const start = Buffer.compare(resumed, stem) < 0 ? stem : resumed;
      const limit = MaxResults ?? env.limits.listPage;
      const end = Buffer.concat([stem, Buffer.from([0xff])]);
      const found = Buffer.compare(start, end) >= 0 ? [] : await store.list({ start, end }, { limit: limit + 1 });
      const names = found.slice(0, limit).map(({ value }) => decodeRecord<QueueRecord>(value));
      const QueueUrls = names.map((record) => urlOf(context, record));
      // AWS gives a token only to those who asked for pages.
      const more = found.length > limit && MaxResults !== undefined;
      return {
        QueueUrls: QueueUrls.length === 0 ? undefined : QueueUrls,
        NextToken: more ? writeToken(names.at(-1)!.name) : undefined,
      };
    },

    GetQueueAttributes: async (context, input) => {
      const queue = await env.queues.require(context, input.QueueUrl);
      const names = input.AttributeNames ?? [];
      checkAttributeNames(names);
      if (names.length === 0) return {};
      const wanted = new Set<string>(names.includes('All') ? [...computedAttributes, 'All'] : names);
      const Attributes: Record<string, string> = {};
      for (const [name, value] of Object.entries(shownAttributes(queue.record))) {
        if (wanted.has('All') || wanted.has(name)) Attributes[name] = value;
      }
      const put = (name: string, value: string | number): void => {
        if (wanted.has(name)) Attributes[name] = String(value);
      };
      put('QueueArn', queue.arn);
      put('CreatedTimestamp', Math.floor(queue.record.createdAtMs / 1000));
      put('LastModifiedTimestamp', Math.floor(queue.record.modifiedAtMs / 1000));
      if (computedAttributes.some((name) => name.startsWith('Approximate') && wanted.has(name))) {
        const counts = await countMessages(store, env.queues, queue, clock.now());
        put('ApproximateNumberOfMessages', counts.visible);
        put('ApproximateNumberOfMessagesNotVisible', counts.inFlight);
        put('ApproximateNumberOfMessagesDelayed', counts.delayed);
      }
      return { Attributes: Object.keys(Attributes).length === 0 ? undefined : Attributes };
    },

    SetQueueAttributes: async (context, input) => {
      await onQueue(env, context, input.QueueUrl, (queue) => setAttributes(env, queue, input.Attributes ?? {}));
    },

    PurgeQueue: async (context, input) => {
      await onQueue(env, context, input.QueueUrl, async (queue) => {
        const { record } = queue;
        const nowMs = clock.now();
        if (record.purgedAtMs !== undefined && nowMs < record.purgedAtMs + env.limits.purgeIntervalMs) {
          throw new AwsError(
            'PurgeQueueInProgress',
            `Only one PurgeQueue operation on ${record.name} is allowed every 60 seconds.`,
          );
        }
        const purged = { ...record, generation: record.generation + 1, purgedAtMs: nowMs };
        const more = { schedule: [removeJob(record, nowMs)] };
        if (!(await change(env, queue, purged, more))) return undefined;
        env.rooms.moved(queue.partition);
        return done;
      });
    },

    ListDeadLetterSourceQueues: async (context, input) => {
      const queue = await env.queues.require(context, input.QueueUrl);
      const { account, region, name } = queue.record;
      const sources = await deadLetterSources(env, account, region, name);
      const after = input.NextToken === undefined ? undefined : readToken(input.NextToken);
      const rest = after === undefined ? sources : sources.filter((source) => source > after);
      const limit = input.MaxResults ?? env.limits.listPage;
      const page = rest.slice(0, limit);
      return {
        queueUrls: page.map((source) => urlOf(context, { account, name: source })),
        NextToken: rest.length > limit && input.MaxResults !== undefined ? writeToken(page.at(-1)!) : undefined,
      };
    },

    TagQueue: async (context, input) => {
      await onQueue(env, context, input.QueueUrl, async (queue) => {
        const added = input.Tags ?? {};
        if (Object.keys(added).length === 0) throw missingParameter('Tags');
        const options = { most: env.limits.queueTags, reserved: context.internal };
        const tags = changedTags(queue.record.name, queue.record.tags, added, options);
        return (await change(env, queue, { ...queue.record, tags })) ? done : undefined;
      });
    },

    UntagQueue: async (context, input) => {
      await onQueue(env, context, input.QueueUrl, async (queue) => {
        if (!input.TagKeys?.length) {
          throw invalidParameter('Tag keys must be between 1 and 128 characters in length.');
        }
        const gone = new Set(input.TagKeys);
        const tags = Object.fromEntries(Object.entries(queue.record.tags).filter(([key]) => !gone.has(key)));
        return (await change(env, queue, { ...queue.record, tags })) ? done : undefined;
      });
    },

    ListQueueTags: async (context, input) => {
      const queue = await env.queues.require(context, input.QueueUrl);
      return { Tags: Object.keys(queue.record.tags).length === 0 ? undefined : queue.record.tags };
    },

    AddPermission: async (context, input) => {
      await onQueue(env, context, input.QueueUrl, async (queue) => {
        const permission = {
          label: input.Label,
          accounts: input.AWSAccountIds,
          actions: input.Actions,
          queueArn: queue.arn,
          partition: partitionOf(queue.record.region),
        };
        const policy = policyWith(queue.record.attributes['Policy'], permission, env.limits.permissionActions);
        return setPolicy(env, queue, policy);
      });
    },

    RemovePermission: async (context, input) => {
      await onQueue(env, context, input.QueueUrl, async (queue) => {
        const policy = policyWithout(queue.record.attributes['Policy'], input.Label, queue.arn);
        return setPolicy(env, queue, policy);
      });
    },
  };
}

/** The names of the queues that have this one as their dead-letter queue, in order. */
export async function deadLetterSources(
  env: Environment,
  account: string,
  region: string,
  name: string,
): Promise<string[]> {
  const entries = await env.platform.store.list(prefixRange(sourcesOf(account, region, name)));
  return entries.map(({ value }) => value.toString('utf8'));
}

export function urlOf(context: Pick<RequestContext, 'origin'>, record: Pick<QueueRecord, 'account' | 'name'>): string {
  return `${context.origin}/${record.account}/${record.name}`;
}

async function createQueue(
  env: Environment,
  context: RequestContext,
  name: string,
  attributes: Readonly<Record<string, string>>,
  tags: Readonly<Record<string, string>>,
): Promise<{ QueueUrl: string }> {
  const { clock, random, store } = env.platform;
  const { account, region } = context;
  const fifo = attributes['FifoQueue']?.toLowerCase() === 'true';
  checkQueueName(name, fifo);
  for (let attempts = 0; attempts < 50; attempts++) {
    const found = await env.queues.read(account, region, name);
    if (found !== undefined) {
      const differing = differingAttribute(found.record, attributes, env.limits);
      if (differing === undefined) return { QueueUrl: urlOf(context, found.record) };
      throw new AwsError(
        'QueueNameExists',
        `A queue already exists with the same name and a different value for attribute ${differing}`,
      );
    }
    const nowMs = clock.now();
    const tombstone = tombstoneKey(account, region, name);
    const gone = await store.get(tombstone);
    if (gone !== undefined) {
      const { deletedAtMs } = decodeRecord<TombstoneRecord>(gone.value);
      if (nowMs < deletedAtMs + env.limits.recreateWaitMs) {
        throw new AwsError(
          'QueueDeletedRecently',
          'You must wait 60 seconds after deleting a queue before you can create another with the same name.',
        );
      }
    }
    const record: QueueRecord = {
      id: random.hex(16),
      name,
      account,
      region,
      generation: 1,
      createdAtMs: nowMs,
      modifiedAtMs: nowMs,
      mayDelay: Number(attributes['DelaySeconds'] ?? 0) > 0,
      attributes: changedAttributes(undefined, attributes, env.limits),
      tags: changedTags(name, {}, tags, { most: env.limits.queueTags, reserved: context.internal }),
    };
    await checkDeadLetterTarget(env, record);
    const key = queueKey(account, region, name);
    const result = await store.commit({
      checks: [{ key, version: null }],
      delete: gone === undefined ? [] : [tombstone],
      set: [{ key, value: encodeRecord(record) }, ...sourceEntries(record).map(sourceWrite(record))],
      schedule: [sweepJob(record, nowMs + configOf(record).retentionMs)],
    });
    if (result.ok) return { QueueUrl: urlOf(context, record) };
  }
  throw tooContended();
}

async function setAttributes(
  env: Environment,
  queue: Queue,
  changes: Readonly<Record<string, string>>,
): Promise<object | undefined> {
  const { record } = queue;
  const nowMs = env.platform.clock.now();
  const attributes = changedAttributes(record.attributes, changes, env.limits);
  const after: QueueRecord = {
    ...record,
    attributes,
    modifiedAtMs: nowMs,
    mayDelay: record.mayDelay || Number(attributes['DelaySeconds'] ?? 0) > 0,
  };
  if (changes['RedrivePolicy'] !== undefined) await checkDeadLetterTarget(env, after);
  const gone = sourceEntries(record);
  const retention = configOf(after).retentionMs !== queue.config.retentionMs;
  // On a FIFO queue the delay is that of the queue at any time, on a standard queue that of the time of sending (API reference).
  const redelayed = queue.config.fifo !== undefined && configOf(after).delayMs !== queue.config.delayMs;
  const more: Commit = {
    delete: gone.filter((key) => !sourceEntries(after).some((kept) => kept.equals(key))),
    set: sourceEntries(after).map(sourceWrite(after)),
    schedule: [...(retention ? [sweepJob(after, nowMs)] : []), ...(redelayed ? [redelayJob(after, nowMs)] : [])],
  };
  return (await change(env, queue, after, more)) ? done : undefined;
}

async function setPolicy(env: Environment, queue: Queue, policy: string | undefined): Promise<object | undefined> {
  const { Policy: _, ...others } = queue.record.attributes;
  const attributes = policy === undefined ? others : { ...others, Policy: policy };
  const record = { ...queue.record, attributes, modifiedAtMs: env.platform.clock.now() };
  return (await change(env, queue, record)) ? done : undefined;
}

/** Commits a queue's new record unless the queue changed meanwhile. */
async function change(env: Environment, queue: Queue, record: QueueRecord, more: Commit = {}): Promise<boolean> {
  const result = await env.platform.store.commit({
    ...more,
    checks: [queue.check],
    set: [{ key: queue.key, value: encodeRecord(record) }, ...(more.set ?? [])],
  });
  env.queues.forget(queue);
  return result.ok;
}

/** The target must be there, of the same account and region, and willing (its RedriveAllowPolicy). */
async function checkDeadLetterTarget(env: Environment, record: QueueRecord): Promise<void> {
  const { redrive } = configOf(record);
  if (redrive === undefined) return;
  const { target } = redrive;
  const text = record.attributes['RedrivePolicy']!;
  if (target.account !== record.account || target.region !== record.region) {
    const reason = 'Dead letter target owner should be same as the source.';
    throw invalidValue(text, 'RedrivePolicy', reason);
  }
  if (target.resource.endsWith('.fifo') !== record.name.endsWith('.fifo')) {
    const reason = 'Dead-letter queue must be same type of queue as the source.';
    throw invalidValue(text, 'RedrivePolicy', reason);
  }
  const itself = target.resource === record.name;
  const found = itself ? undefined : await env.queues.read(target.account, target.region, target.resource);
  if (found === undefined && !itself) {
    throw invalidValue(text, 'RedrivePolicy', 'Dead letter target does not exist.');
  }
  const allow = itself ? record.attributes['RedriveAllowPolicy'] : found!.record.attributes['RedriveAllowPolicy'];
  const sourceArn = redrive.deadLetterTargetArn.slice(0, -target.resource.length) + record.name;
  if (!allowsSource(allow, sourceArn)) {
    const reason = 'The redrive allow policy of the dead-letter queue does not allow this source queue.';
    throw invalidValue(text, 'RedrivePolicy', reason);
  }
}

/** The key under which the queue's dead-letter queue knows it; none without a redrive policy. */
function sourceEntries(record: QueueRecord): Buffer[] {
  const { redrive } = configOf(record);
  if (redrive === undefined) return [];
  return [sourceKey(record.account, record.region, redrive.target.resource, record.name)];
}

function sourceWrite(record: QueueRecord): (key: Buffer) => { key: Buffer; value: Buffer } {
  return (key) => ({ key, value: Buffer.from(record.name, 'utf8') });
}

function writeToken(name: string): string {
  return Buffer.from(name, 'utf8').toString('base64');
}

function readToken(token: string): string {
  const name = Buffer.from(token, 'base64').toString('utf8');
  if (/^[A-Za-z0-9_-]{1,80}(\.fifo)?$/.test(name)) return name;
  throw invalidValue(token, 'NextToken', 'It is not a token of an earlier answer.');
}
