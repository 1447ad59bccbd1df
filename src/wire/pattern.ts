/**
 * A test for a model's pattern, which is a Java regular expression that has to match the whole value. Read as Unicode where that
 * compiles (`\p{L}`, surrogate pairs), else as a plain one; `\p{Print}` is Java's for printable ASCII. tools/models refuses, when
 * it generates, a pattern that neither reading takes. A value far over `max` is not matched at all: its length is an error by itself,
 * and some of AWS's patterns take quadratic time.
 */
export function patternTest(pattern: string, max: number | undefined): (value: string) => boolean {
  const source = `^(?:${pattern.replaceAll('\\p{Print}', '[\\x20-\\x7E]')})$`;
  const expression = compile(source);
  if (max === undefined) return (value) => expression.test(value);
  const longest = Math.max(max, LONGEST_MATCHED);
  return (value) => value.length > longest || expression.test(value);
}

const LONGEST_MATCHED = 8192;

function compile(source: string): RegExp {
  try {
    return new RegExp(source, 'u');
  } catch {
    return new RegExp(source);
  }
}
