import type { Commit } from '../../../kernel/store/contract.ts';
import { parseArn } from '../../../platform/arn.ts';
import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { EventSourceMappingConfiguration } from '../../../wire/types/lambda.ts';
import type { Engine } from '../engine.ts';
import { roleCaller } from '../principals.ts';
import { describeMapping, sourceKind, sqsSettings } from '../rules/mappings.ts';
import { conflict, functionArn, invalidParameter, notFound, parseFunctionName } from '../rules/names.ts';
import {
  encode,
  type FunctionRecord,
  type FunctionVersion,
  keys,
  type MappingRecord,
  type Place,
  read,
  readAll,
  unchanged,
} from '../state.ts';
import { transact } from '../transaction.ts';
import { paged, placeOf, qualifiedVersion } from './support.ts';
import { checkTags } from './tags.ts';

type MappingOperations =
  | 'CreateEventSourceMapping'
  | 'GetEventSourceMapping'
  | 'UpdateEventSourceMapping'
  | 'DeleteEventSourceMapping'
  | 'ListEventSourceMappings';

/** Wording: LocalStack's recorded AWS responses (test_lambda_integration_sqs.snapshot.json, test_event_source_mapping_exceptions). */
export function mappingOperations(engine: Engine): Pick<Handlers<'lambda'>, MappingOperations> {
  const { store, random, clock } = engine.platform;
  return {
    async CreateEventSourceMapping(context, input) {
      const place = placeOf(context);
      sourceKind(input.EventSourceArn);
      const sourceArn = input.EventSourceArn!;
      checkTags(input.Tags ?? {});
      const { name, qualifier } = parseFunctionName(input.FunctionName, undefined, place);
      const settings = sqsSettings(input, sourceArn, undefined);
      const version = await targetVersion(engine, place, name, qualifier);
      await checkQueue(engine, place, sourceArn, version);
      const enabled = input.Enabled ?? true;
      const arn = functionArn(place, name, qualifier);
      const { maximumConcurrency, ...others } = settings;
      const record: MappingRecord = {
        ...place,
        uuid: random.uuid(),
        functionName: name,
        ...(qualifier === undefined ? {} : { qualifier }),
        functionArn: arn,
        sourceArn,
        ...others,
        ...(maximumConcurrency === undefined ? {} : { maximumConcurrency }),
        tags: input.Tags ?? {},
        state: 'Creating',
        enabled,
        lastModifiedMs: clock.now(),
      };
      await transact(store, async () => {
        const pair = keys.mappingPair(place, sourceArn, arn);
        const existing = await read<{ uuid: string }>(store, pair);
        if (existing !== undefined)
          throw conflict(
            `An event source mapping with SQS arn (" ${sourceArn} ") and function (" ${name} ") already exists. Please update or delete the existing mapping with UUID ${existing.record.uuid}`,
          );
        const commit: Commit = {
          checks: [{ key: pair, version: null }],
          set: [
            { key: keys.mapping(place, record.uuid), value: encode(record) },
            { key: pair, value: encode({ uuid: record.uuid }) },
          ],
          schedule: [engine.lifecycle.mappingJob(place, record.uuid)],
        };
        return { commit, result: undefined };
      });
      return describeMapping(record);
    },

    async GetEventSourceMapping(context, input) {
      const stored = await read<MappingRecord>(store, keys.mapping(placeOf(context), input.UUID));
      if (stored === undefined) throw noMapping();
      return describeMapping(stored.record);
    },

    async UpdateEventSourceMapping(context, input) {
      const place = placeOf(context);
      return change(engine, place, input.UUID, async (before) => {
        const { name, qualifier } =
          input.FunctionName === undefined
            ? { name: before.functionName, qualifier: before.qualifier }
            : parseFunctionName(input.FunctionName, undefined, place);
        const version = await targetVersion(engine, place, name, qualifier);
        const settings = sqsSettings(input, before.sourceArn, {
          ...before,
          maximumConcurrency: before.maximumConcurrency,
        });
        await checkQueue(engine, place, before.sourceArn, version);
        const enabled = input.Enabled ?? before.enabled;
        const { maximumConcurrency, ...others } = settings;
        const { maximumConcurrency: _, qualifier: __, ...rest } = before;
        return {
          ...rest,
          ...others,
          ...(maximumConcurrency === undefined ? {} : { maximumConcurrency }),
          functionName: name,
          ...(qualifier === undefined ? {} : { qualifier }),
          functionArn: functionArn(place, name, qualifier),
          enabled,
          state: enabled === before.enabled ? 'Updating' : enabled ? 'Enabling' : 'Disabling',
        };
      });
    },

    async DeleteEventSourceMapping(context, input) {
      return change(engine, placeOf(context), input.UUID, async (before) => ({ ...before, state: 'Deleting' }));
    },

    async ListEventSourceMappings(context, input) {
      const place = placeOf(context);
      const wanted =
        input.FunctionName === undefined ? undefined : parseFunctionName(input.FunctionName, undefined, place);
      const mappings = await readAll<MappingRecord>(store, keys.mappings(place));
      const listed = mappings
        .map(({ record }) => record)
        .filter((mapping) => input.EventSourceArn === undefined || mapping.sourceArn === input.EventSourceArn)
        .filter(
          (mapping) =>
            wanted === undefined ||
            (mapping.functionName === wanted.name &&
              (wanted.qualifier === undefined || mapping.qualifier === wanted.qualifier)),
        );
      const { page, next } = paged(listed, input.Marker, input.MaxItems);
      return { EventSourceMappings: page.map(describeMapping), NextMarker: next };
    },
  };
}

/** Puts a mapping into a passing state; the lifecycle brings it to the lasting one. */
async function change(
  engine: Engine,
  place: Place,
  uuid: string,
  decide: (before: MappingRecord) => Promise<MappingRecord>,
): Promise<EventSourceMappingConfiguration> {
  const { store, clock } = engine.platform;
  const changed = await transact(store, async () => {
    const key = keys.mapping(place, uuid);
    const stored = await read<MappingRecord>(store, key);
    if (stored === undefined) throw noMapping();
    const before = stored.record;
    if (before.state !== 'Enabled' && before.state !== 'Disabled')
      throw new AwsError(
        'ResourceInUseException',
        `Cannot update the event source mapping because it is in use. Its state is ${before.state}.`,
        { fields: { Type: 'User' } },
      );
    const next: MappingRecord = { ...(await decide(before)), lastModifiedMs: clock.now() };
    const checks = [unchanged(key, stored)];
    const set = [{ key, value: encode(next) }];
    const gone: Buffer[] = [];
    if (next.functionArn !== before.functionArn) {
      const pair = keys.mappingPair(place, next.sourceArn, next.functionArn);
      checks.push({ key: pair, version: null });
      set.push({ key: pair, value: encode({ uuid }) });
      gone.push(keys.mappingPair(place, before.sourceArn, before.functionArn));
    }
    const schedule = [engine.lifecycle.mappingJob(place, uuid)];
    return { commit: { checks, set, delete: gone, schedule }, result: next };
  });
  return describeMapping(changed);
}

async function targetVersion(
  engine: Engine,
  place: Place,
  name: string,
  qualifier: string | undefined,
): Promise<FunctionVersion> {
  const stored = await read<FunctionRecord>(engine.platform.store, keys.function(place, name));
  if (stored === undefined) throw invalidParameter('Function does not exist');
  return qualifiedVersion(engine, place, stored, qualifier);
}

/** The queue must be there, readable in the role's name, and hide its messages for as long as the function may take. */
async function checkQueue(engine: Engine, place: Place, queueArn: string, version: FunctionVersion): Promise<void> {
  const { bus } = engine.platform;
  const arn = parseArn(queueArn)!;
  if (arn.region !== place.region) throw invalidParameter('Invalid EventSourceArn: the queue is in another region.');
  const caller = roleCaller(version.role, 'lambda-event-source', place);
  try {
    const { QueueUrl } = await bus.call(caller, 'sqs', 'GetQueueUrl', {
      QueueName: arn.resource,
      QueueOwnerAWSAccountId: arn.account,
    });
    const { Attributes } = await bus.call(caller, 'sqs', 'GetQueueAttributes', {
      QueueUrl: QueueUrl!,
      AttributeNames: ['VisibilityTimeout'],
    });
    const visibilitySeconds = Number(Attributes?.VisibilityTimeout ?? 30);
    if (visibilitySeconds < version.timeoutSeconds)
      throw invalidParameter(
        `Queue visibility timeout: ${visibilitySeconds} seconds is less than Function timeout: ${version.timeoutSeconds} seconds`,
      );
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    if (/NonExistentQueue|QueueDoesNotExist/.test(error.code))
      throw invalidParameter(
        'Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does not exist.',
      );
    if (/AccessDenied/.test(error.code))
      throw invalidParameter('The function execution role does not have permissions to call ReceiveMessage on SQS');
    throw error;
  }
}

function noMapping(): AwsError {
  return notFound('The resource you requested does not exist.');
}
