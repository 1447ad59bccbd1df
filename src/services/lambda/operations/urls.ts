import type { RequestContext } from '../../../platform/context.ts';
import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { Cors, FunctionUrlConfig } from '../../../wire/types/lambda.ts';
import type { Engine } from '../engine.ts';
import { urlOf } from '../rules/function-url.ts';
import { conflict, type FunctionReference, functionArn, notFound, parseFunctionName } from '../rules/names.ts';
import {
  encode,
  type FunctionRecord,
  keys,
  type Place,
  read,
  readAll,
  type Stored,
  type UrlIdRecord,
  type UrlRecord,
  unchanged,
} from '../state.ts';
import { transact } from '../transaction.ts';
import { paged, placeOf, stamped } from './support.ts';

type UrlOperations =
  | 'CreateFunctionUrlConfig'
  | 'GetFunctionUrlConfig'
  | 'UpdateFunctionUrlConfig'
  | 'DeleteFunctionUrlConfig'
  | 'ListFunctionUrlConfigs';

const idAlphabet = 'abcdefghijklmnopqrstuvwxyz234567';

/** Wording and what is shown: LocalStack's recorded AWS responses (test_url_config_lifecycle, …_exceptions, …_list_paging). */
export function urlOperations(engine: Engine): Pick<Handlers<'lambda'>, UrlOperations> {
  const { store, clock, random } = engine.platform;

  /** The record with what its change checks; throws where there is no such URL. */
  const found = async (
    place: Place,
    { name, qualifier = '' }: FunctionReference,
  ): Promise<{ readonly owner: Stored<FunctionRecord>; readonly url: Stored<UrlRecord> }> => {
    const owner = await read<FunctionRecord>(store, keys.function(place, name));
    const url = await read<UrlRecord>(store, keys.url(place, name, qualifier));
    if (owner === undefined || url === undefined) throw noUrl();
    return { owner, url };
  };

  return {
    async CreateFunctionUrlConfig(context, input) {
      const place = placeOf(context);
      const { name, qualifier = '' } = urlReference(input.FunctionName, input.Qualifier, place);
      const nowMs = clock.now();
      const record: UrlRecord = {
        urlId: random.text(32, idAlphabet),
        qualifier,
        authType: input.AuthType,
        ...corsOf(input.Cors),
        ...(input.InvokeMode === undefined ? {} : { invokeMode: input.InvokeMode }),
        createdAtMs: nowMs,
        lastModifiedMs: nowMs,
      };
      await transact(store, async () => {
        const owner = await read<FunctionRecord>(store, keys.function(place, name));
        const hasAlias = qualifier === '' || (await store.get(keys.alias(place, name, qualifier))) !== undefined;
        if (owner === undefined || !hasAlias) throw notFound('Function does not exist');
        const key = keys.url(place, name, qualifier);
        if ((await store.get(key)) !== undefined)
          throw conflict(
            `Failed to create function url config for [functionArn = ${arnOf(place, name, qualifier)}]. Error message:  FunctionUrlConfig exists for this Lambda function`,
          );
        const idKey = keys.urlId(record.urlId);
        const whose: UrlIdRecord = { ...place, functionName: name, qualifier };
        const { check, set } = stamped(owner);
        return {
          commit: {
            checks: [check, { key, version: null }, { key: idKey, version: null }],
            set: [set, { key, value: encode(record) }, { key: idKey, value: encode(whose) }],
          },
          result: undefined,
        };
      });
      engine.directory.forget(place, name);
      const { LastModifiedTime: _, ...shown } = describe(context, place, name, record);
      return shown;
    },

    async GetFunctionUrlConfig(context, input) {
      const place = placeOf(context);
      const reference = urlReference(input.FunctionName, input.Qualifier, place);
      const { url } = await found(place, reference);
      return { ...describe(context, place, reference.name, url.record), ...mode(url.record) };
    },

    async UpdateFunctionUrlConfig(context, input) {
      const place = placeOf(context);
      const reference = urlReference(input.FunctionName, input.Qualifier, place);
      const next = await transact(store, async () => {
        const { owner, url } = await found(place, reference);
        const { cors, ...kept } = url.record;
        const changed: UrlRecord = {
          ...kept,
          ...corsOf(input.Cors ?? cors),
          ...(input.AuthType === undefined ? {} : { authType: input.AuthType }),
          ...(input.InvokeMode === undefined ? {} : { invokeMode: input.InvokeMode }),
          lastModifiedMs: clock.now(),
        };
        const { check, set } = stamped(owner);
        const checks = [check, unchanged(url.key, url)];
        return { commit: { checks, set: [set, { key: url.key, value: encode(changed) }] }, result: changed };
      });
      engine.directory.forget(place, reference.name);
      return describe(context, place, reference.name, next);
    },

    async DeleteFunctionUrlConfig(context, input) {
      const place = placeOf(context);
      const reference = urlReference(input.FunctionName, input.Qualifier, place);
      await transact(store, async () => {
        const { owner, url } = await found(place, reference);
        const { check, set } = stamped(owner);
        const gone = [url.key, keys.urlId(url.record.urlId)];
        return {
          commit: { checks: [check, unchanged(url.key, url)], set: [set], delete: gone },
          result: undefined,
        };
      });
      engine.directory.forget(place, reference.name);
    },

    async ListFunctionUrlConfigs(context, input) {
      const place = placeOf(context);
      const { name } = parseFunctionName(input.FunctionName, undefined, place);
      if ((await store.get(keys.function(place, name))) === undefined) throw notFound('Function does not exist');
      const urls = await readAll<UrlRecord>(store, keys.urls(place, name));
      const { page, next } = paged(urls, input.Marker, input.MaxItems);
      return {
        FunctionUrlConfigs: page.map(({ record }) => ({ ...describe(context, place, name, record), ...mode(record) })),
        NextMarker: next,
      };
    },
  };
}

/** A function or an alias of it: versions have no URLs. */
function urlReference(text: string, asked: string | undefined, place: Place): FunctionReference {
  const reference = parseFunctionName(text, asked, place);
  const { qualifier } = reference;
  if (qualifier === undefined || (qualifier !== '$LATEST' && !/^\d+$/.test(qualifier))) return reference;
  throw new AwsError(
    'ValidationException',
    `1 validation error detected: Value '${qualifier}' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: ((?!^\\d+$)^[0-9a-zA-Z-_]+$)`,
    { status: 400 },
  );
}

/** An empty configuration is none. */
function corsOf(cors: Cors | undefined): Pick<UrlRecord, 'cors'> {
  return cors === undefined || Object.values(cors).every((value) => value === undefined) ? {} : { cors };
}

function arnOf(place: Place, name: string, qualifier: string): string {
  return functionArn(place, name, qualifier === '' ? undefined : qualifier);
}

function describe(
  { origin }: Pick<RequestContext, 'origin'>,
  place: Place,
  name: string,
  url: UrlRecord,
): FunctionUrlConfig {
  return {
    FunctionUrl: urlOf(url.urlId, place.region, origin),
    FunctionArn: arnOf(place, name, url.qualifier),
    AuthType: url.authType,
    Cors: url.cors,
    CreationTime: timeText(url.createdAtMs),
    LastModifiedTime: timeText(url.lastModifiedMs),
    InvokeMode: url.invokeMode,
  };
}

/** Only where the URL is read is the mode told that nobody gave. */
function mode({ invokeMode }: UrlRecord): Pick<FunctionUrlConfig, 'InvokeMode'> {
  return { InvokeMode: invokeMode ?? 'BUFFERED' };
}

function timeText(epochMs: number): string {
  return new Date(epochMs).toISOString();
}

function noUrl(): AwsError {
  return notFound('The resource you requested does not exist.');
}
