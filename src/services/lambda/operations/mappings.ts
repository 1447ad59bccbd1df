import type { Commit, Store } from '../../../kernel/store/contract.ts';
import { parseArn } from '../../../platform/arn.ts';
import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { EventSourceMappingConfiguration } from '../../../wire/types/lambda.ts';
import type { Engine } from '../engine.ts';
import { roleCaller } from '../principals.ts';
import {
  describeMapping,
  type MappingSettings,
  mappingSettings,
  type SourceKind,
  sourceKind,
} from '../rules/mappings.ts';
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

/** A page has this many at most, whatever is asked for. */
const mostListed = 100;

type MappingOperations =
  | 'CreateEventSourceMapping'
  | 'GetEventSourceMapping'
  | 'UpdateEventSourceMapping'
  | 'DeleteEventSourceMapping'
  | 'ListEventSourceMappings';

/** Wording: LocalStack's recorded AWS responses (test_lambda_api.snapshot.json, TestLambdaEventSourceMappings; and those of the sources). */
export function mappingOperations(engine: Engine): Pick<Handlers<'lambda'>, MappingOperations> {
  const { store, random, clock } = engine.platform;
  return {
    async CreateEventSourceMapping(context, input) {
      const place = placeOf(context);
      const kind = sourceKind(input);
      const sourceArn = input.EventSourceArn!;
      checkTags(input.Tags ?? {});
      const { name, qualifier } = parseFunctionName(input.FunctionName, undefined, place);
      const settings = mappingSettings(kind, input, sourceArn, undefined);
      checkBuilt(engine, kind, settings);
      const version = await targetVersion(engine, place, name, qualifier);
      await checkSource(engine, place, kind, sourceArn, version);
      const enabled = input.Enabled ?? true;
      const arn = functionArn(place, name, qualifier);
      const record: MappingRecord = {
        ...place,
        uuid: random.uuid(),
        functionName: name,
        ...(qualifier === undefined ? {} : { qualifier }),
        functionArn: arn,
        sourceArn,
        ...settings,
        tags: input.Tags ?? {},
        state: enabled ? 'Creating' : 'Disabled',
        enabled,
        lastModifiedMs: clock.now(),
      };
      await transact(store, async () => {
        const pair = keys.mappingPair(place, sourceArn, arn);
        const existing = await read<{ uuid: string }>(store, pair);
        if (existing !== undefined) throw alreadyMapped(kind, sourceArn, name, existing.record.uuid);
        const commit: Commit = {
          checks: [{ key: pair, version: null }],
          set: [
            { key: keys.mapping(place, record.uuid), value: encode(record) },
            { key: pair, value: encode({ uuid: record.uuid }) },
          ],
          schedule: enabled ? [engine.lifecycle.mappingJob(place, record.uuid)] : [],
        };
        return { commit, result: undefined };
      });
      return describeMapping(record);
    },

    async GetEventSourceMapping(context, input) {
      const stored = await read<MappingRecord>(store, keys.mapping(placeOf(context), input.UUID));
      if (stored === undefined) throw noMapping();
      return described(store, stored.record);
    },

    async UpdateEventSourceMapping(context, input) {
      const place = placeOf(context);
      return change(engine, place, input.UUID, async (before) => {
        const { name, qualifier } =
          input.FunctionName === undefined
            ? { name: before.functionName, qualifier: before.qualifier }
            : parseFunctionName(input.FunctionName, undefined, place);
        const version = await targetVersion(engine, place, name, qualifier);
        const kind = sourceKind({ EventSourceArn: before.sourceArn, FunctionName: name });
        const settings = mappingSettings(kind, input, before.sourceArn, before);
        checkBuilt(engine, kind, settings);
        await checkSource(engine, place, kind, before.sourceArn, version);
        const enabled = input.Enabled ?? before.enabled;
        const { account, region, uuid, sourceArn, tags, lastModifiedMs } = before;
        return {
          account,
          region,
          uuid,
          sourceArn,
          tags,
          lastModifiedMs,
          ...settings,
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
      const { page, next } = paged(listed, input.Marker, input.MaxItems ?? mostListed, mostListed);
      return { EventSourceMappings: await Promise.all(page.map((one) => described(store, one))), NextMarker: next };
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
  return described(store, changed);
}

/** With what the latest batch of a stream came to. */
async function described(store: Store, mapping: MappingRecord): Promise<EventSourceMappingConfiguration> {
  if (mapping.stream === undefined) return describeMapping(mapping);
  const latest = await read<{ result: string }>(store, keys.mappingResult(mapping, mapping.uuid));
  return describeMapping(mapping, latest?.record.result);
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

/** What is asked for and has nobody here who could do it is refused now, not when it is needed. */
function checkBuilt({ platform }: Engine, kind: SourceKind, settings: MappingSettings): void {
  if (kind !== 'sqs' && platform.streams.reader(kind) === undefined)
    throw lacking(`An event source mapping from ${kind} needs a service with such streams`);
  const destination = settings.stream?.onFailure;
  if (destination === undefined) return;
  const service = parseArn(destination)?.service;
  // Queues are always there; their service may not have been loaded yet.
  if (service !== 'sqs' && !platform.targets.takes(destination))
    throw lacking(`The on-failure destination ${destination} needs the service ${service ?? 'behind it'}`);
}

function lacking(what: string): AwsError {
  return new AwsError('NotImplemented', `${what}, which is not part of this cloud.`, {
    status: 501,
    fault: 'Receiver',
  });
}

function checkSource(
  engine: Engine,
  place: Place,
  kind: SourceKind,
  sourceArn: string,
  version: FunctionVersion,
): Promise<void> {
  return kind === 'sqs'
    ? checkQueue(engine, place, sourceArn, version)
    : checkStream(engine, place, kind, sourceArn, version);
}

/** The stream must be there and readable in the role's name. */
async function checkStream(
  { platform }: Engine,
  place: Place,
  kind: 'dynamodb' | 'kinesis',
  streamArn: string,
  version: FunctionVersion,
): Promise<void> {
  if (parseArn(streamArn)!.region !== place.region)
    throw invalidParameter('Invalid EventSourceArn: the stream is in another region.');
  const caller = roleCaller(version.role, 'lambda-event-source', place);
  try {
    if ((await platform.streams.reader(kind)!.shards(streamArn, caller)) !== undefined) return;
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    if (/AccessDenied/.test(error.code))
      throw invalidParameter(
        `Cannot access stream ${streamArn}. Please ensure the role can perform the GetRecords, GetShardIterator, DescribeStream, and ListStreams Actions on your stream in IAM.`,
      );
    if (error.code !== 'ResourceNotFoundException') throw error;
  }
  throw invalidParameter(`Stream not found: ${streamArn}`);
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

function alreadyMapped(kind: SourceKind, sourceArn: string, name: string, uuid: string): AwsError {
  const pair =
    kind === 'sqs'
      ? `An event source mapping with SQS arn (" ${sourceArn} ") and function (" ${name} ")`
      : `The event source arn (" ${sourceArn} ") and function (" ${name} ") provided mapping`;
  return conflict(`${pair} already exists. Please update or delete the existing mapping with UUID ${uuid}`);
}

function noMapping(): AwsError {
  return notFound('The resource you requested does not exist.');
}
