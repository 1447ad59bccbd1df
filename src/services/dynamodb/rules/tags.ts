/** Tags of tables. Texts: API reference "TagResource" and getmoto/moto's AWS-verified tests. */
import type { DynamoDbLimits } from '../limits.ts';
import { RuleError } from './errors.ts';

interface Tag {
  readonly Key: string;
  readonly Value: string;
}

/** Refuses reserved keys and keys given twice. */
export function checkTags(limits: Pick<DynamoDbLimits, 'tags'>, tags: readonly Tag[]): readonly Tag[] {
  const keys = tags.map(({ Key }) => Key);
  if (new Set(keys).size !== keys.length) {
    throw new RuleError('One or more parameter values were invalid: Tag keys must be unique');
  }
  const reserved = keys.find((key) => key.toLowerCase().startsWith('aws:') && !key.startsWith('aws:cloudformation:'));
  if (reserved !== undefined) {
    throw new RuleError(`One or more parameter values were invalid: The tag key ${reserved} is reserved for AWS use`);
  }
  checkTagCount(limits, keys.length);
  return tags;
}

/** The tags with more of them; too many are refused. */
export function withTags(
  tags: Readonly<Record<string, string>>,
  added: readonly Tag[],
): Readonly<Record<string, string>> {
  return { ...tags, ...Object.fromEntries(added.map(({ Key, Value }) => [Key, Value])) };
}

export function checkTagCount(limits: Pick<DynamoDbLimits, 'tags'>, count: number): void {
  if (count <= limits.tags) return;
  throw new RuleError(`One or more parameter values were invalid: Too many tags: a table has at most ${limits.tags}`);
}
