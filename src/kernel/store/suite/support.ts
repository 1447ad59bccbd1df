import { afterEach, expect } from 'vitest';
import type { Commit, CommitResult, Store } from '../contract.ts';

/** A store under test. `reopen` closes it and opens what it left behind; engines that keep nothing lack it. */
export interface StoreUnderTest {
  readonly store: Store;
  readonly reopen?: () => Promise<Store>;
  readonly close: () => Promise<void>;
}

export type OpenStore = () => Promise<StoreUnderTest>;

/** Opens stores for the cases of one `describe`, and closes them after each. */
export function opener(open: OpenStore): () => Promise<StoreUnderTest> {
  const opened: StoreUnderTest[] = [];
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.close();
  });
  return async () => {
    const one = await open();
    opened.push(one);
    return one;
  };
}

export async function mustCommit(store: Store, commit: Commit): Promise<Extract<CommitResult, { ok: true }>> {
  const result = await store.commit(commit);
  expect(result).toMatchObject({ ok: true });
  return result as Extract<CommitResult, { ok: true }>;
}

export function bytes(text: string): Buffer {
  return Buffer.from(text);
}

export async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 5) {
    if (waited > 5000) throw new Error('waited five seconds in vain');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
