import type { Commit, Store } from '../../kernel/store/contract.ts';
import { AwsError } from '../../wire/errors.ts';

const mostAttempts = 50;

/** What an attempt decided: what to write (left out: nothing) and what the operation answers. */
export interface Decision<T> {
  readonly commit?: Commit;
  readonly result: T;
}

/** Reads, decides and commits; reads again when another commit was first. */
export async function transact<T>(store: Store, attempt: () => Promise<Decision<T>>): Promise<T> {
  for (let count = 0; count < mostAttempts; count++) {
    const { commit, result } = await attempt();
    if (commit === undefined || (await store.commit(commit)).ok) return result;
  }
  throw new AwsError(
    'ServiceException',
    'The resource is being changed by too many requests at once. Please try again.',
    {
      status: 500,
      fields: { Type: 'Service' },
    },
  );
}
