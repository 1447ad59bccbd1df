/** Tags of tables. Texts: ack-api-quirks, finding DDB-TABLE-442, recorded on AWS in October 2026. */
import type { DynamoDbLimits } from '../limits.ts';
import { RuleError } from './errors.ts';

interface Tag {
  readonly Key: string;
  readonly Value: string;
}

/** Refuses reserved keys and keys given twice. */
export function checkTags(limits: Pick<DynamoDbLimits, 'tags'>, tags: readonly Tag[]): readonly Tag[] {
  const keys = new Set<string>();
  for (const { Key: key } of tags) {
    if (key.toLowerCase().startsWith('aws:') && !key.startsWith('aws:cloudformation:')) {
      throw new RuleError(`Tag Key cannot be prefixed with aws:, Key: ${key}`);
    }
    if (keys.has(key)) throw new RuleError(`Duplicate Tag Keys provided as input: Duplicate Tag Key found ${key}`);
    keys.add(key);
  }
  checkTagCount(limits, keys.size);
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
  if (count > limits.tags) throw new RuleError('Number of Tags exceed the current limit for the provided ResourceArn');
}
