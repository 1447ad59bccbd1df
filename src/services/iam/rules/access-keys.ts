import type { Random } from '../../../kernel/random/random.ts';

const base32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const secretAlphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** AKIA: long-lived; ASIA: temporary. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html */
export type AccessKeyPrefix = 'AKIA' | 'ASIA';

/**
 * Twenty characters, made as AWS makes them: after the prefix 80 bits in base 32, of which 40 after the first are the account's
 * number; so a key tells its account without being looked up (A. Steele, "AWS Access Key ID formats", 2020; T. Be'ery, 2023).
 */
export function newAccessKeyId(prefix: AccessKeyPrefix, account: string, random: Random): string {
  const chance = BigInt(`0x${random.hex(10)}`) & ((1n << 39n) - 1n);
  const bits = (1n << 79n) | (BigInt(account) << 39n) | chance;
  let text = '';
  for (let shift = 75n; shift >= 0n; shift -= 5n) text += base32[Number((bits >> shift) & 31n)];
  return prefix + text;
}

/** The account inside a key of that form; undefined for other text. */
export function accountOfAccessKey(accessKeyId: string): string | undefined {
  const match = /^A(?:KI|SI)A([QRSTUVWXYZ234567][A-Z2-7]{15})$/.exec(accessKeyId);
  if (match === null) return undefined;
  let bits = 0n;
  for (const letter of match[1]!) bits = (bits << 5n) | BigInt(base32.indexOf(letter));
  const account = String((bits >> 39n) & ((1n << 40n) - 1n)).padStart(12, '0');
  return account.length === 12 ? account : undefined;
}

export function newSecret(random: Random): string {
  return random.text(40, secretAlphabet);
}

/** As long as real ones, so that clients with fixed fields meet that here. */
export function newSessionToken(random: Random): string {
  return `IQoJb3JpZ2luX2VjE${random.bytes(258).toString('base64')}`;
}

export type IdPrefix = 'AROA' | 'AIDA' | 'AGPA' | 'ANPA';

/** A unique id of an entity: 21 characters, never given twice. */
export function newEntityId(prefix: IdPrefix, random: Random): string {
  return prefix + random.text(17, base32);
}
