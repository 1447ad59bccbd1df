import { AwsError } from '../../../../wire/errors.ts';
import { compileRegex, type TextTest } from './regex.ts';
import { invalidPattern, unquoted } from './scanner.ts';

/**
 * `ERROR "exact phrase" -noise ?either ?or %regex%`: every plain term must be in the message and no excluded one. Terms with a
 * question mark need one of them, and are ignored beside others, as
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html warns. Case counts.
 */
export function compileTermPattern(pattern: string): TextTest {
  const required: TextTest[] = [];
  const excluded: TextTest[] = [];
  const optional: TextTest[] = [];
  let rest = pattern.trim();
  while (rest !== '') {
    const match = /^([-?]?)("(?:[^"\\]|\\[\s\S])*"|%[^%]*%|[^\s"%]+)(?:\s+|$)/.exec(rest);
    if (match === null) throw invalidPattern();
    const [whole, sign, term] = match as unknown as [string, string, string];
    (sign === '-' ? excluded : sign === '?' ? optional : required).push(termTest(term));
    rest = rest.slice(whole.length);
  }
  if (required.length === 0 && excluded.length === 0) return (message) => optional.some((test) => test(message));
  return (message) => required.every((test) => test(message)) && !excluded.some((test) => test(message));
}

function termTest(term: string): TextTest {
  if (term.startsWith('%')) {
    const test = compileRegex(term.slice(1, -1));
    if (test === undefined) throw invalidPattern();
    return test;
  }
  if (!term.startsWith('"') && !/^[\p{L}\p{N}_]+$/u.test(term))
    throw new AwsError('InvalidParameterException', `Invalid character(s) in term '${term}'`);
  const text = term.startsWith('"') ? unquoted(term) : term;
  return (message) => message.includes(text);
}
