import { counterValue } from '../../kernel/store/contract.ts';
import type { Writes } from './changes.ts';
import type { Environment } from './environment.ts';
import { RuleError } from './rules/errors.ts';

/** Refuses writes that make an item collection larger than 10 GB; only tables with local indexes have such a limit. */
export async function checkCollections(env: Environment, { collections }: Writes): Promise<void> {
  const growing = collections.filter(({ delta }) => delta > 0);
  if (growing.length === 0) return;
  const counters = await env.platform.store.getMany(growing.map(({ key }) => key));
  if (
    counters.every(
      (counter, index) => counterValue(counter?.value) + growing[index]!.delta <= env.limits.collectionBytes,
    )
  ) {
    return;
  }
  throw new RuleError(
    'Item collection size limit of 10 gigabytes exceeded.',
    'ItemCollectionSizeLimitExceededException',
  );
}
