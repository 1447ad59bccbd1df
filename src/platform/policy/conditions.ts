import { BlockList, isIP } from 'node:net';
import type { Condition } from './document.ts';
import { type ContextValues, matchesArn, matchesString } from './match.ts';

/**
 * Whether every condition of a statement holds.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
 */
export function conditionsHold(
  conditions: readonly Condition[],
  context: ContextValues,
  variables: ContextValues | undefined,
): boolean {
  return conditions.every((condition) => holds(condition, context, variables));
}

function holds(condition: Condition, context: ContextValues, variables: ContextValues | undefined): boolean {
  const parts = /^(?:(ForAllValues|ForAnyValue):)?(.*?)(IfExists)?$/.exec(condition.operator);
  if (parts === null) return false;
  const [, quantifier, operator, ifExists] = parts as unknown as [string, string | undefined, string, string?];
  const given = context.get(condition.key.toLowerCase());
  const present = given !== undefined && given.length > 0;
  if (operator === 'Null') return condition.values.some((wanted) => (wanted.toLowerCase() === 'true') !== present);

  const { negated, test } = comparison(operator);
  const fits = (value: string): boolean => condition.values.some((wanted) => test(wanted, value, variables));
  if (quantifier === 'ForAllValues') return !present || given.every((value) => fits(value) !== negated);
  if (!present) return ifExists !== undefined || (negated && quantifier === undefined);
  if (quantifier === 'ForAnyValue') return given.some((value) => fits(value) !== negated);
  // Without a quantifier one value is meant; of several, any may fit, and of a negated test none may.
  return negated ? !given.some(fits) : given.some(fits);
}

type Test = (wanted: string, given: string, variables: ContextValues | undefined) => boolean;

interface Comparison {
  readonly negated: boolean;
  readonly test: Test;
}

const never: Comparison = { negated: false, test: () => false };

function comparison(operator: string): Comparison {
  return comparisons[operator] ?? never;
}

const equalsString: Test = (wanted, given, variables) => matchesString(wanted, given, variables, true);
const equalsFolded: Test = (wanted, given, variables) =>
  matchesString(wanted.toLowerCase(), given.toLowerCase(), lowered(variables), true);
const likeString: Test = (wanted, given, variables) => matchesString(wanted, given, variables);
const likeArn: Test = (wanted, given, variables) => matchesArn(wanted, given, variables);

const comparisons: Readonly<Record<string, Comparison>> = {
  StringEquals: { negated: false, test: equalsString },
  StringNotEquals: { negated: true, test: equalsString },
  StringEqualsIgnoreCase: { negated: false, test: equalsFolded },
  StringNotEqualsIgnoreCase: { negated: true, test: equalsFolded },
  StringLike: { negated: false, test: likeString },
  StringNotLike: { negated: true, test: likeString },
  ArnEquals: { negated: false, test: likeArn },
  ArnLike: { negated: false, test: likeArn },
  ArnNotEquals: { negated: true, test: likeArn },
  ArnNotLike: { negated: true, test: likeArn },
  NumericEquals: { negated: false, test: numeric((wanted, given) => given === wanted) },
  NumericNotEquals: { negated: true, test: numeric((wanted, given) => given === wanted) },
  NumericLessThan: { negated: false, test: numeric((wanted, given) => given < wanted) },
  NumericLessThanEquals: { negated: false, test: numeric((wanted, given) => given <= wanted) },
  NumericGreaterThan: { negated: false, test: numeric((wanted, given) => given > wanted) },
  NumericGreaterThanEquals: { negated: false, test: numeric((wanted, given) => given >= wanted) },
  DateEquals: { negated: false, test: date((wanted, given) => given === wanted) },
  DateNotEquals: { negated: true, test: date((wanted, given) => given === wanted) },
  DateLessThan: { negated: false, test: date((wanted, given) => given < wanted) },
  DateLessThanEquals: { negated: false, test: date((wanted, given) => given <= wanted) },
  DateGreaterThan: { negated: false, test: date((wanted, given) => given > wanted) },
  DateGreaterThanEquals: { negated: false, test: date((wanted, given) => given >= wanted) },
  Bool: { negated: false, test: (wanted, given) => wanted.toLowerCase() === given.toLowerCase() },
  BinaryEquals: { negated: false, test: (wanted, given) => wanted === given },
  IpAddress: { negated: false, test: inNetwork },
  NotIpAddress: { negated: true, test: inNetwork },
};

function lowered(variables: ContextValues | undefined): ContextValues | undefined {
  if (variables === undefined) return undefined;
  return new Map([...variables].map(([key, values]) => [key, values.map((value) => value.toLowerCase())]));
}

function numeric(test: (wanted: number, given: number) => boolean): Test {
  return (wanted, given) => {
    const [left, right] = [Number(wanted), Number(given)];
    return wanted.trim() !== '' && given.trim() !== '' && Number.isFinite(left) && Number.isFinite(right)
      ? test(left, right)
      : false;
  };
}

function date(test: (wantedMs: number, givenMs: number) => boolean): Test {
  return (wanted, given) => {
    const [left, right] = [instant(wanted), instant(given)];
    return left !== undefined && right !== undefined && test(left, right);
  };
}

/** ISO 8601, or seconds since the epoch. */
function instant(text: string): number | undefined {
  const ms = /^-?\d+(?:\.\d+)?$/.test(text) && text.length > 4 ? Number(text) * 1000 : Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}

function inNetwork(wanted: string, given: string): boolean {
  const [network, bits] = wanted.split('/') as [string, string?];
  const family = isIP(network);
  if (family === 0 || isIP(given) !== family) return false;
  const width = family === 4 ? 32 : 128;
  const prefix = bits === undefined ? width : Number(bits);
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > width) return false;
  const kind = family === 4 ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(network, prefix, kind);
  return list.check(given, kind);
}
