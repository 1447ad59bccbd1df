/**
 * DynamoDB's numbers: decimal, up to 38 significant digits, magnitude 1E-130 to 9.99…E+125, exact.
 *
 * A number lives as its canonical text, the one AWS gives back: plain decimal, never an exponent, no leading or
 * trailing zeros, no plus sign, no negative zero. Equal numbers therefore have equal texts. Sources: developer guide
 * "Data types: Number"; error texts and canonical form as observed on AWS by dynalite's test/putItem.js and by
 * ScyllaDB's test/alternator/test_number.py.
 */
import { RuleError } from './errors.ts';

export const MAX_SIGNIFICANT_DIGITS = 38;
export const MAX_EXPONENT = 125;
export const MIN_EXPONENT = -130;

/**
 * A number taken apart: sign × d.ddd × 10^exponent, digits without trailing zeros.
 * Zero is `{ sign: 0, exponent: 0, digits: '0' }`. Order: sign first; among positives exponent, then digits as text;
 * among negatives both reversed. That makes it the raw material of an order-preserving key.
 */
export interface DecimalParts {
  readonly sign: -1 | 0 | 1;
  readonly exponent: number;
  readonly digits: string;
}

const OVERFLOW = 'Number overflow. Attempting to store a number with magnitude larger than supported range';
const UNDERFLOW = 'Number underflow. Attempting to store a number with magnitude smaller than supported range';
const TOO_MANY_DIGITS = 'Attempting to store more than 38 significant digits in a Number';
const NOT_NUMERIC = 'The parameter cannot be converted to a numeric value';

// What most numbers look like: already canonical, and short enough to need no further check.
const CANONICAL = /^(?:0|-?(?:[1-9]\d{0,37}|(?:0|[1-9]\d{0,18})\.\d{0,18}[1-9]))$/;
const NUMERIC = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/;
const INT64_END = 2 ** 63;
const ZERO: DecimalParts = { sign: 0, exponent: 0, digits: '0' };

/** Parses what a request calls a number and gives its canonical text; throws RuleError with AWS's text. */
export function normalizeNumber(text: string): string {
  if (CANONICAL.test(text)) return text;
  return formatNumber(parseNumber(text));
}

/** Parses any text AWS accepts as a number; throws RuleError for what is none, too large, too small or too long. */
export function parseNumber(text: string): DecimalParts {
  if (text === '') throw new RuleError(NOT_NUMERIC);
  const match = NUMERIC.exec(text);
  const whole = match?.[2] ?? '';
  const fraction = match?.[3] ?? '';
  if (match === null || (whole === '' && fraction === '')) throw new RuleError(`${NOT_NUMERIC}: ${text}`);
  const scale = match[4] === undefined ? 0 : Number(match[4]);
  // An exponent beyond a 64-bit integer cannot be read at all; zero is judged by the exponent it is written with
  // (0e126 overflows, 0.0e126 does not). Observed on AWS: paritysuite/dynamodb-conformance, numberExponent.test.ts.
  if (Math.abs(scale) >= INT64_END) throw new RuleError(`${NOT_NUMERIC}: ${text}`);
  const power = scale - fraction.length;
  const parts = checkRange(partsOf(match[1] === '-' ? -1 : 1, whole + fraction, power));
  if (parts.sign === 0) checkRange({ sign: 1, exponent: power, digits: '0' });
  return parts;
}

/** Takes canonical text apart; for storage keys. */
export function decompose(canonical: string): DecimalParts {
  const negative = canonical.charCodeAt(0) === 45;
  const unsigned = negative ? canonical.slice(1) : canonical;
  const point = unsigned.indexOf('.');
  if (point < 0) return partsOf(negative ? -1 : 1, unsigned, 0);
  return partsOf(negative ? -1 : 1, unsigned.slice(0, point) + unsigned.slice(point + 1), point + 1 - unsigned.length);
}

/** Canonical text of a number: plain decimal, as AWS returns it. */
export function formatNumber(parts: DecimalParts): string {
  const { sign, exponent, digits } = parts;
  if (sign === 0) return '0';
  const prefix = sign < 0 ? '-' : '';
  if (exponent < 0) return `${prefix}0.${'0'.repeat(-exponent - 1)}${digits}`;
  const wholeLength = exponent + 1;
  if (digits.length <= wholeLength) return prefix + digits + '0'.repeat(wholeLength - digits.length);
  return `${prefix}${digits.slice(0, wholeLength)}.${digits.slice(wholeLength)}`;
}

/** Compares two canonical numbers: negative, zero or positive. */
export function compareNumbers(a: string, b: string): number {
  if (a === b) return 0;
  // Up to 15 significant digits a double tells any two decimals apart.
  if (a.length <= 15 && b.length <= 15) return Number(a) < Number(b) ? -1 : 1;
  return compareParts(decompose(a), decompose(b));
}

/** Exact sum of two canonical numbers, canonical; throws RuleError when it leaves the range or needs over 38 digits. */
export function addNumbers(a: string, b: string): string {
  if (isShortInteger(a) && isShortInteger(b)) return String(Number(a) + Number(b));
  return sum(decompose(a), decompose(b), 1n);
}

/** Exact difference of two canonical numbers, canonical; throws RuleError like `addNumbers`. */
export function subtractNumbers(a: string, b: string): string {
  // Adding 0 turns a negative zero into the only zero there is.
  if (isShortInteger(a) && isShortInteger(b)) return String(Number(a) - Number(b) + 0);
  return sum(decompose(a), decompose(b), -1n);
}

/**
 * Bytes a number takes in an item: one, plus one for each pair of decimal digits counted from the point (so 100 takes
 * one pair and 10.1 two), plus one if negative. Developer guide "Item sizes and formats" gives the approximation; the
 * exact form was measured against the 400 KB limit by dynalite's test/putItem.js and by paritysuite's
 * numberByteSize.test.ts.
 */
export function numberSizeBytes(canonical: string): number {
  const { sign, exponent, digits } = decompose(canonical);
  if (sign === 0) return 1;
  const pairs = exponent % 2 === 0 ? Math.floor(digits.length / 2) + 1 : Math.ceil(digits.length / 2);
  return 1 + pairs + (sign < 0 ? 1 : 0);
}

/** Order of two numbers taken apart. */
export function compareParts(a: DecimalParts, b: DecimalParts): number {
  if (a.sign !== b.sign) return a.sign < b.sign ? -1 : 1;
  if (a.exponent !== b.exponent) return a.exponent < b.exponent ? -a.sign : a.sign;
  if (a.digits === b.digits) return 0;
  return a.digits < b.digits ? -a.sign : a.sign;
}

/** sign × digits × 10^power, brought to normal form; `digits` may have leading and trailing zeros. */
function partsOf(sign: -1 | 1, digits: string, power: number): DecimalParts {
  let start = 0;
  while (start < digits.length && digits.charCodeAt(start) === 48) start++;
  if (start === digits.length) return ZERO;
  let end = digits.length;
  while (digits.charCodeAt(end - 1) === 48) end--;
  return { sign, exponent: power + digits.length - start - 1, digits: digits.slice(start, end) };
}

function checkRange(parts: DecimalParts): DecimalParts {
  if (parts.exponent > MAX_EXPONENT) throw new RuleError(OVERFLOW);
  if (parts.exponent < MIN_EXPONENT) throw new RuleError(UNDERFLOW);
  if (parts.digits.length > MAX_SIGNIFICANT_DIGITS) throw new RuleError(TOO_MANY_DIGITS);
  return parts;
}

function isShortInteger(text: string): boolean {
  return text.length <= 15 && !text.includes('.');
}

function sum(a: DecimalParts, b: DecimalParts, signOfB: 1n | -1n): string {
  // Both are brought to the lower power of ten; the range bounds that to about 300 digits.
  const powerA = a.exponent - a.digits.length + 1;
  const powerB = b.exponent - b.digits.length + 1;
  const power = Math.min(powerA, powerB);
  const total = scaled(a, powerA - power) + signOfB * scaled(b, powerB - power);
  if (total === 0n) return '0';
  const negative = total < 0n;
  const parts = partsOf(negative ? -1 : 1, (negative ? -total : total).toString(), power);
  if (parts.exponent < MIN_EXPONENT) throw new RuleError(UNDERFLOW);
  // A result of more than 38 digits is refused with the overflow text, as AWS does
  // (test_update_expression_plus_imprecise).
  if (parts.exponent > MAX_EXPONENT || parts.digits.length > MAX_SIGNIFICANT_DIGITS) throw new RuleError(OVERFLOW);
  return formatNumber(parts);
}

function scaled(parts: DecimalParts, powers: number): bigint {
  return BigInt(parts.sign) * BigInt(parts.digits) * 10n ** BigInt(powers);
}
