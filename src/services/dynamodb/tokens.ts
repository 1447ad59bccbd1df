import type { Commit, Key } from '../../kernel/store/contract.ts';
import type { Environment, Place } from './environment.ts';
import {
  decodeRecord,
  encodeRecord,
  type TokenRecord,
  tokenExpiriesBefore,
  tokenExpiryKey,
  tokenKey,
} from './state.ts';

/** A ClientRequestToken, and the transaction that was done under it in the last ten minutes. */
export interface KnownToken {
  readonly token: string;
  readonly key: Key;
  readonly version: number | null;
  readonly record: TokenRecord | undefined;
  readonly isFresh: boolean;
}

export async function readToken(env: Environment, { account, region }: Place, token: string): Promise<KnownToken> {
  const key = tokenKey(account, region, token);
  const entry = await env.platform.store.get(key);
  const record = entry && decodeRecord<TokenRecord>(entry.value);
  const isFresh = record !== undefined && record.expiresAtMs > env.platform.clock.now();
  return { token, key, version: entry?.version ?? null, record, isFresh };
}

/** What a transaction's commit adds to remember its token. */
export function tokenWrites(
  env: Environment,
  { account, region }: Place,
  { token, key, version, record }: KnownToken,
  digest: string,
): Pick<Commit, 'checks' | 'set' | 'delete'> {
  const expiresAtMs = env.platform.clock.now() + env.limits.tokenLifeMs;
  return {
    checks: [{ key, version }],
    delete: record === undefined ? [] : [tokenExpiryKey(record.expiresAtMs, account, region, token)],
    set: [
      { key, value: encodeRecord({ digest, expiresAtMs }) },
      { key: tokenExpiryKey(expiresAtMs, account, region, token), value: key },
    ],
  };
}

/** Tokens forgotten at a time, and after how many transactions: more than they add, so that tokens never pile up. */
const forgottenAtOnce = 64;
const forgetEvery = 16;

/** Clears away expired tokens now and then. One that is taken up again meanwhile is left to another time. */
export class TokenSweeper {
  #calls = 0;

  async sweep(env: Environment): Promise<void> {
    if (++this.#calls % forgetEvery !== 0) return;
    const { store, clock } = env.platform;
    const expired = await store.list(tokenExpiriesBefore(clock.now()), { limit: forgottenAtOnce });
    if (expired.length === 0) return;
    await store.commit({
      checks: expired.map(({ key, version }) => ({ key, version })),
      delete: expired.flatMap(({ key, value }) => [key, value]),
    });
  }
}
