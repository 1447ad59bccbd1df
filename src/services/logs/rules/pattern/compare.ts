import { compileRegex, type TextTest } from './regex.ts';

export type Operator = '=' | '!=' | '<' | '<=' | '>' | '>=';

export const operatorPattern = /^(?:!=|<=|>=|=|<|>)/;

/** What a condition compares with: text (`*` stands for anything), a number, or an expression between percent signs. */
export type Wanted =
  | { readonly kind: 'text'; readonly text: string; readonly quoted: boolean }
  | { readonly kind: 'regex'; readonly source: string };

export type ValueTest = (value: string | number) => boolean;

/** Undefined: these cannot be compared, such as `> abc`. */
export function compileComparison(operator: Operator, wanted: Wanted): ValueTest | undefined {
  if (wanted.kind === 'regex') {
    const test = compileRegex(wanted.source);
    if (test === undefined || (operator !== '=' && operator !== '!=')) return undefined;
    return (value) => test(String(value)) === (operator === '=');
  }
  const number = wanted.quoted ? Number.NaN : numberOf(wanted.text);
  if (operator === '=' || operator === '!=') {
    const same = equality(wanted.text, number);
    return (value) => same(value) === (operator === '=');
  }
  if (Number.isNaN(number)) return undefined;
  return (value) => {
    const given = typeof value === 'number' ? value : numberOf(value);
    if (Number.isNaN(given)) return false;
    switch (operator) {
      case '<':
        return given < number;
      case '<=':
        return given <= number;
      case '>':
        return given > number;
      case '>=':
        return given >= number;
    }
  };
}

function equality(text: string, number: number): ValueTest {
  const like = wildcardTest(text);
  if (Number.isNaN(number)) return (value) => like(String(value));
  return (value) => (typeof value === 'number' ? value === number : like(value) || numberOf(value) === number);
}

function numberOf(text: string): number {
  return /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text) ? Number(text) : Number.NaN;
}

/** `*` is any run of characters. */
function wildcardTest(pattern: string): TextTest {
  const parts = pattern.split('*');
  if (parts.length === 1) return (text) => text === pattern;
  const [head = '', ...rest] = parts;
  const tail = rest.pop() ?? '';
  return (text) => {
    if (text.length < head.length + tail.length || !text.startsWith(head) || !text.endsWith(tail)) return false;
    let at = head.length;
    for (const part of rest) {
      const found = text.indexOf(part, at);
      if (found === -1) return false;
      at = found + part.length;
    }
    return at <= text.length - tail.length;
  };
}
