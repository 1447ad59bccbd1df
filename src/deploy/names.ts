import { createHash } from 'node:crypto';
import type { NameRules } from '../platform/resource-type.ts';

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const suffixLength = 12;

/**
 * A physical name of CloudFormation's form: `stack-LogicalId-RANDOM`, 12 letters and digits at the end. Where the limit is
 * short, stack name and logical id share what is left, each giving up to the other what it does not need.
 *
 * @param seed decides the random part: stack id and logical id, and the operation where a replacement needs another name.
 */
export function physicalName(stackName: string, logicalId: string, seed: string, rules: NameRules): string {
  const random = randomText(seed, suffixLength);
  const suffix = rules.suffix ?? '';
  const room = rules.maxLength - suffixLength - suffix.length - 2;
  const half = Math.floor(room / 2);
  const forStack = Math.max(half, room - logicalId.length);
  const stack = stackName.slice(0, Math.max(0, forStack));
  const logical = logicalId.slice(0, Math.max(0, room - stack.length));
  const name = [stack, logical, random]
    .filter((part) => part !== '')
    .join('-')
    .slice(-(rules.maxLength - suffix.length));
  return (rules.lowerCase ? name.toLowerCase() : name) + suffix;
}

/** A UUID made of a text: equal texts give equal UUIDs. */
export function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  const variant = ((Number.parseInt(hex[16] as string, 16) & 3) | 8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

function randomText(seed: string, length: number): string {
  const bytes = createHash('sha256').update(seed).digest();
  return Array.from({ length }, (_unused, index) => alphabet[(bytes[index] as number) % alphabet.length]).join('');
}
