import { parseArn } from '../../../platform/arn.ts';
import type { Handlers } from '../../../platform/service.ts';
import type { FunctionEventInvokeConfig, PutFunctionEventInvokeConfigRequest } from '../../../wire/types/lambda.ts';
import type { Engine } from '../engine.ts';
import { functionArn, invalidParameter, isVersionNumber, notFound, parseFunctionName } from '../rules/names.ts';
import {
  encode,
  type FunctionRecord,
  type InvokeConfigRecord,
  keys,
  type Place,
  read,
  readAll,
  unchanged,
} from '../state.ts';
import { transact } from '../transaction.ts';
import { paged, placeOf, stamped } from './support.ts';

type InvokeConfigOperations =
  | 'PutFunctionEventInvokeConfig'
  | 'UpdateFunctionEventInvokeConfig'
  | 'GetFunctionEventInvokeConfig'
  | 'DeleteFunctionEventInvokeConfig'
  | 'ListFunctionEventInvokeConfigs';

/** Wording: LocalStack's recorded AWS responses (test_lambda_eventinvokeconfig_exceptions). */
export function invokeConfigOperations(engine: Engine): Pick<Handlers<'lambda'>, InvokeConfigOperations> {
  const { store, clock } = engine.platform;

  const write = async (place: Place, input: PutFunctionEventInvokeConfigRequest, keep: boolean) => {
    const { name, qualifier = '$LATEST' } = parseFunctionName(input.FunctionName, input.Qualifier, place);
    const config = await transact(store, async () => {
      const stored = await read<FunctionRecord>(store, keys.function(place, name));
      if (stored === undefined || !(await qualifierExists(place, name, qualifier)))
        throw notFound("The function doesn't exist.");
      const key = keys.invokeConfig(place, name, qualifier);
      const before = await read<InvokeConfigRecord>(store, key);
      if (keep && before === undefined) throw noConfig(place, name, qualifier);
      const settings = settingsOf(input);
      if (!keep && Object.keys(settings).length === 0)
        throw invalidParameter('You must specify at least one of error handling or destination setting.');
      await checkDestinations(engine, place, name, input);
      const { onSuccess, onFailure, ...rest } = before?.record ?? {};
      const kept = keep ? { ...rest, ...destinationsAfter({ onSuccess, onFailure }, input) } : {};
      const next: InvokeConfigRecord = { ...kept, ...settings, qualifier, lastModifiedMs: clock.now() };
      const { check, set } = stamped(stored);
      const checks = [check, unchanged(key, before)];
      return { commit: { checks, set: [set, { key, value: encode(next) }] }, result: next };
    });
    engine.directory.forget(place, name);
    return describe(place, name, config);
  };

  const qualifierExists = async (place: Place, name: string, qualifier: string): Promise<boolean> => {
    if (qualifier === '$LATEST') return true;
    const key = isVersionNumber(qualifier) ? keys.version(place, name, qualifier) : keys.alias(place, name, qualifier);
    return (await store.get(key)) !== undefined;
  };

  return {
    PutFunctionEventInvokeConfig: (context, input) => write(placeOf(context), input, false),
    UpdateFunctionEventInvokeConfig: (context, input) => write(placeOf(context), input, true),

    async GetFunctionEventInvokeConfig(context, input) {
      const place = placeOf(context);
      const { name, qualifier = '$LATEST' } = parseFunctionName(input.FunctionName, input.Qualifier, place);
      const config = await read<InvokeConfigRecord>(store, keys.invokeConfig(place, name, qualifier));
      if (config === undefined) throw noConfig(place, name, qualifier);
      return describe(place, name, config.record);
    },

    async DeleteFunctionEventInvokeConfig(context, input) {
      const place = placeOf(context);
      const { name, qualifier = '$LATEST' } = parseFunctionName(input.FunctionName, input.Qualifier, place);
      await transact(store, async () => {
        const stored = await read<FunctionRecord>(store, keys.function(place, name));
        const key = keys.invokeConfig(place, name, qualifier);
        if (stored === undefined || (await store.get(key)) === undefined) throw noConfig(place, name, qualifier);
        const { check, set } = stamped(stored);
        return { commit: { checks: [check], set: [set], delete: [key] }, result: undefined };
      });
      engine.directory.forget(place, name);
    },

    async ListFunctionEventInvokeConfigs(context, input) {
      const place = placeOf(context);
      const { name } = parseFunctionName(input.FunctionName, undefined, place);
      if ((await store.get(keys.function(place, name))) === undefined) throw notFound("The function doesn't exist.");
      const configs = await readAll<InvokeConfigRecord>(store, keys.invokeConfigs(place, name));
      const { page, next } = paged(configs, input.Marker, input.MaxItems);
      return {
        FunctionEventInvokeConfigs: page.map(({ record }) => describe(place, name, record)),
        NextMarker: next,
      };
    },
  };
}

function settingsOf(input: PutFunctionEventInvokeConfigRequest): Partial<InvokeConfigRecord> {
  const { OnSuccess, OnFailure } = input.DestinationConfig ?? {};
  return {
    ...(input.MaximumRetryAttempts === undefined ? {} : { retries: input.MaximumRetryAttempts }),
    ...(input.MaximumEventAgeInSeconds === undefined ? {} : { eventAgeSeconds: input.MaximumEventAgeInSeconds }),
    ...(OnSuccess?.Destination ? { onSuccess: OnSuccess.Destination } : {}),
    ...(OnFailure?.Destination ? { onFailure: OnFailure.Destination } : {}),
  };
}

/** An update that names a destination replaces that one; an empty one takes it away. */
function destinationsAfter(
  before: { readonly onSuccess: string | undefined; readonly onFailure: string | undefined },
  input: PutFunctionEventInvokeConfigRequest,
): Partial<InvokeConfigRecord> {
  const { OnSuccess, OnFailure } = input.DestinationConfig ?? {};
  return {
    ...(OnSuccess === undefined && before.onSuccess !== undefined ? { onSuccess: before.onSuccess } : {}),
    ...(OnFailure === undefined && before.onFailure !== undefined ? { onFailure: before.onFailure } : {}),
  };
}

async function checkDestinations(
  engine: Engine,
  place: Place,
  name: string,
  input: PutFunctionEventInvokeConfigRequest,
): Promise<void> {
  const { OnSuccess, OnFailure } = input.DestinationConfig ?? {};
  for (const [target, services] of [
    [OnSuccess?.Destination, ['sqs', 'sns', 'lambda', 'events']],
    [OnFailure?.Destination, ['sqs', 'sns', 'lambda', 'events', 's3']],
  ] as const) {
    if (!target) continue;
    const arn = parseArn(target);
    if (arn === undefined || !(services as readonly string[]).includes(arn.service)) {
      const shown = (kind: string, value: string | undefined): string =>
        value === undefined ? 'null' : `${kind}(destination=${value})`;
      throw invalidParameter(
        `The provided destination config DestinationConfig(onSuccess=${shown('OnSuccess', OnSuccess?.Destination)}, onFailure=${shown('OnFailure', OnFailure?.Destination)}) is invalid.`,
      );
    }
    if (arn.service !== 'lambda') continue;
    const [, functionName = ''] = arn.resource.split(':');
    if (functionName === name && arn.region === place.region && arn.account === place.account)
      throw invalidParameter("You can't specify the function as a destination for itself.");
    const owner = { account: arn.account, region: arn.region };
    if ((await engine.platform.store.get(keys.function(owner, functionName))) === undefined)
      throw invalidParameter(`The destination ARN ${target} is invalid.`);
  }
}

function describe(place: Place, name: string, config: InvokeConfigRecord): FunctionEventInvokeConfig {
  return {
    LastModified: config.lastModifiedMs,
    FunctionArn: functionArn(place, name, config.qualifier),
    MaximumRetryAttempts: config.retries,
    MaximumEventAgeInSeconds: config.eventAgeSeconds,
    DestinationConfig: {
      OnSuccess: config.onSuccess === undefined ? {} : { Destination: config.onSuccess },
      OnFailure: config.onFailure === undefined ? {} : { Destination: config.onFailure },
    },
  };
}

function noConfig(place: Place, name: string, qualifier: string) {
  return notFound(`The function ${functionArn(place, name, qualifier)} doesn't have an EventInvokeConfig`);
}
