/**
 * The regular expressions of filter patterns (`%…%`): characters, classes, quantifiers, anchors and alternatives, no groups, as
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html lists. Without groups they need no backtracking:
 * a text is gone through once, whatever the expression, so nobody's pattern can hold up the cloud.
 */
export type TextTest = (text: string) => boolean;

type Atom = (unit: string) => boolean;

interface Step {
  readonly atom: Atom;
  readonly least: number;
  readonly most: number;
}

interface Alternative {
  readonly fromStart: boolean;
  readonly toEnd: boolean;
  readonly steps: readonly Step[];
}

/** Undefined: not an expression of that kind. */
export function compileRegex(source: string): TextTest | undefined {
  const alternatives: Alternative[] = [];
  for (const text of splitAlternatives(source)) {
    const alternative = parseAlternative(text);
    if (alternative === undefined) return undefined;
    alternatives.push(alternative);
  }
  const programs = alternatives.map(programOf);
  return (text) => programs.some((program) => program(text));
}

const mostRepeats = 200;

/** One state for each place between unrolled atoms; a state's bit says that the text so far can end there. */
function programOf({ fromStart, toEnd, steps }: Alternative): TextTest {
  const atoms: { readonly atom: Atom; readonly optional: boolean; readonly repeats: boolean }[] = [];
  for (const { atom, least, most } of steps) {
    for (let count = 0; count < least; count++) atoms.push({ atom, optional: false, repeats: false });
    if (most === Number.POSITIVE_INFINITY) atoms.push({ atom, optional: true, repeats: true });
    else for (let count = least; count < most; count++) atoms.push({ atom, optional: true, repeats: false });
  }
  const end = atoms.length;
  const spread = (states: Uint8Array): void => {
    for (let at = 0; at < end; at++) if (states[at] === 1 && atoms[at]!.optional) states[at + 1] = 1;
  };
  return (text) => {
    let states = new Uint8Array(end + 1);
    states[0] = 1;
    spread(states);
    if (!toEnd && states[end] === 1) return true;
    for (let index = 0; index < text.length; index++) {
      const unit = text[index]!;
      const next = new Uint8Array(end + 1);
      if (!fromStart) next[0] = 1;
      for (let at = 0; at < end; at++) {
        if (states[at] !== 1 || !atoms[at]!.atom(unit)) continue;
        if (atoms[at]!.repeats) next[at] = 1;
        next[at + 1] = 1;
      }
      spread(next);
      if (!toEnd && next[end] === 1) return true;
      states = next;
    }
    return states[end] === 1;
  };
}

function splitAlternatives(source: string): string[] {
  const parts: string[] = [];
  let part = '';
  let inClass = false;
  for (let index = 0; index < source.length; index++) {
    const unit = source[index]!;
    if (unit === '\\') {
      part += unit + (source[++index] ?? '');
      continue;
    }
    if (unit === '[') inClass = true;
    else if (unit === ']') inClass = false;
    if (unit === '|' && !inClass) {
      parts.push(part);
      part = '';
    } else part += unit;
  }
  return [...parts, part];
}

function parseAlternative(text: string): Alternative | undefined {
  const fromStart = text.startsWith('^');
  const steps: Step[] = [];
  let index = fromStart ? 1 : 0;
  while (index < text.length) {
    if (text[index] === '$' && index === text.length - 1) return { fromStart, toEnd: true, steps };
    const parsed = parseAtom(text, index);
    if (parsed === undefined) return undefined;
    const quantifier = /^(?:[*+?]|\{\d+(?:,\d*)?\})/.exec(text.slice(parsed.next))?.[0] ?? '';
    const bounds = boundsOf(quantifier);
    if (bounds === undefined) return undefined;
    steps.push({ atom: parsed.atom, ...bounds });
    index = parsed.next + quantifier.length;
  }
  return { fromStart, toEnd: false, steps };
}

function boundsOf(quantifier: string): { readonly least: number; readonly most: number } | undefined {
  if (quantifier === '') return { least: 1, most: 1 };
  if (quantifier === '*') return { least: 0, most: Number.POSITIVE_INFINITY };
  if (quantifier === '+') return { least: 1, most: Number.POSITIVE_INFINITY };
  if (quantifier === '?') return { least: 0, most: 1 };
  const [least, most] = quantifier.slice(1, -1).split(',') as [string, string?];
  const from = Number(least);
  const to = most === undefined ? from : most === '' ? Number.POSITIVE_INFINITY : Number(most);
  if (to < from || from > mostRepeats || (Number.isFinite(to) && to > mostRepeats)) return undefined;
  return { least: from, most: to };
}

function parseAtom(text: string, index: number): { readonly atom: Atom; readonly next: number } | undefined {
  const unit = text[index]!;
  if ('()*+?{}]|^$'.includes(unit)) return undefined;
  if (unit === '.') return { atom: () => true, next: index + 1 };
  if (unit === '[') return parseClass(text, index + 1);
  if (unit !== '\\') return { atom: (given) => given === unit, next: index + 1 };
  const escaped = text[index + 1];
  return escaped === undefined ? undefined : { atom: escapedAtom(escaped), next: index + 2 };
}

function parseClass(text: string, start: number): { readonly atom: Atom; readonly next: number } | undefined {
  const negated = text[start] === '^';
  const atoms: Atom[] = [];
  let index = negated ? start + 1 : start;
  while (index < text.length && text[index] !== ']') {
    const unit = text[index]!;
    if (unit === '\\') {
      atoms.push(escapedAtom(text[index + 1] ?? ''));
      index += 2;
    } else if (text[index + 1] === '-' && text[index + 2] !== ']' && text[index + 2] !== undefined) {
      const last = text[index + 2]!;
      atoms.push((given) => given >= unit && given <= last);
      index += 3;
    } else {
      atoms.push((given) => given === unit);
      index++;
    }
  }
  if (text[index] !== ']' || atoms.length === 0) return undefined;
  return { atom: (given) => atoms.some((atom) => atom(given)) !== negated, next: index + 1 };
}

function escapedAtom(letter: string): Atom {
  const shorthand = shorthands[letter.toLowerCase()];
  if (shorthand === undefined) return (given) => given === letter;
  return letter === letter.toLowerCase() ? shorthand : (given) => !shorthand(given);
}

const shorthands: Readonly<Record<string, Atom>> = {
  d: (given) => given >= '0' && given <= '9',
  s: (given) => given.trim() === '',
  w: (given) => /\w/.test(given),
};
