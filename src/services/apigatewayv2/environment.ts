import { createHash } from 'node:crypto';
import type { Random } from '../../kernel/random/random.ts';
import type { Commit } from '../../kernel/store/contract.ts';
import type { Caller } from '../../platform/context.ts';
import type { Platform } from '../../platform/service.ts';
import { AwsError } from '../../wire/errors.ts';
import { apiNotFound } from './errors.ts';
import { Directory } from './gateway/directory.ts';
import { autoDeployed } from './rules/stages.ts';
import { type ApiRecord, apiKey, encode, frozenKey, ownerKey, readApi, type StoredApi } from './state.ts';

const mostAttempts = 50;

/** What a change decided. */
export interface Change<T> {
  /** The API as it shall be; the same one: nothing is written. */
  readonly api: ApiRecord;
  /** Whether stages with AutoDeploy get it. */
  readonly deploys?: boolean;
  /** Further writes of the same commit. */
  readonly set?: Commit['set'];
  readonly delete?: Commit['delete'];
  /** What the operation answers, from the API as it was written. */
  readonly result: (api: ApiRecord) => T;
}

/** What the operations stand on. */
export interface Environment {
  readonly platform: Platform;
  readonly directory: Directory;
  /** The API, or NotFoundException where it is none of the caller's. */
  read(caller: Caller, apiId: string): Promise<ApiRecord>;
  /** Reads, decides and commits; decides again when another commit was first. */
  change<T>(caller: Caller, apiId: string, decide: (api: ApiRecord, nowMs: number) => Change<T>): Promise<T>;
  remove(caller: Caller, apiId: string): Promise<void>;
  /** Ids as AWS gives them to parts of an API. */
  partId(): string;
}

export function createEnvironment(platform: Platform): Environment {
  const { store, clock, random } = platform;
  const directory = new Directory({ store, clock });
  const partId = (): string => random.text(7, idAlphabet);

  const stored = async (caller: Caller, apiId: string): Promise<StoredApi> => {
    const found = await readApi(store, apiId);
    if (found?.record.account !== caller.account || found.record.region !== caller.region)
      throw apiNotFound(caller.account, apiId);
    return found;
  };

  return {
    platform,
    directory,
    partId,
    read: async (caller, apiId) => (await stored(caller, apiId)).record,
    async change(caller, apiId, decide) {
      for (let attempt = 0; attempt < mostAttempts; attempt++) {
        const { record, version } = await stored(caller, apiId);
        const nowMs = clock.now();
        const change = decide(record, nowMs);
        if (change.api === record) return change.result(record);
        const next = change.deploys === true ? autoDeployed(change.api, partId(), nowMs) : change.api;
        const key = apiKey(apiId);
        const { ok } = await store.commit({
          checks: [{ key, version }],
          set: [{ key, value: encode(next) }, ...(change.set ?? [])],
          ...(change.delete === undefined ? {} : { delete: change.delete }),
        });
        directory.forget(apiId);
        if (ok) return change.result(next);
      }
      throw tooBusy();
    },
    async remove(caller, apiId) {
      for (let attempt = 0; attempt < mostAttempts; attempt++) {
        const { record, version } = await stored(caller, apiId);
        const frozen = Object.keys(record.deployments).map((id) => frozenKey(apiId, id));
        const { ok } = await store.commit({
          checks: [{ key: apiKey(apiId), version }],
          delete: [apiKey(apiId), ownerKey(record.account, record.region, apiId), ...frozen],
        });
        directory.forget(apiId);
        if (ok) return;
      }
      throw tooBusy();
    },
  };
}

/**
 * CloudFormation's handlers put their client token under this name on what they ask for, so that a create that is tried again
 * after a crash finds what it made: the id is made from the token. Nobody outside this process can.
 */
export const creationToken: unique symbol = Symbol('creation token');

/** The id of something new, and whether asking again would give the same. */
export function newId(
  input: object,
  kind: string,
  length: number,
  random: Random,
): { readonly id: string; readonly repeatable: boolean } {
  const token = (input as { readonly [creationToken]?: string })[creationToken];
  if (token === undefined) return { id: random.text(length, idAlphabet), repeatable: false };
  const digest = createHash('sha256').update(`${kind} ${token}`).digest();
  let id = '';
  for (let index = 0; index < length; index++) id += idAlphabet[digest[index]! % idAlphabet.length];
  return { id, repeatable: true };
}

const idAlphabet = 'abcdefghijklmnopqrstuvwxyz0123456789';

function tooBusy(): AwsError {
  return new AwsError(
    'ConflictException',
    'Unable to complete operation due to concurrent modification. Please try again later.',
    {
      status: 409,
    },
  );
}
