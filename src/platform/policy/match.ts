/** What conditions and policy variables can ask about: values by key in lower case. */
export type ContextValues = ReadonlyMap<string, readonly string[]>;

/** A pattern ready to match: UTF-16 units, and the two wildcards as negative numbers. */
type Glob = readonly number[];

const anyRun = -1;
const anyOne = -2;

/** Whether the text fits a pattern in which `*` is any run of characters, also none, and `?` any single one. */
export function matchesWildcard(pattern: string, text: string): boolean {
  return matchesGlob(globOf(pattern), text);
}

/** Like `matchesWildcard`, without regard to case: how actions are compared. */
export function matchesAction(pattern: string, action: string): boolean {
  if (pattern === '*') return true;
  return matchesWildcard(pattern.toLowerCase(), action.toLowerCase());
}

/**
 * Whether a resource fits a Resource element's pattern: part by part, so that a wildcard does not reach over a colon, except
 * in the last part, which may hold colons itself. With `variables`, `${…}` stand for values of the request.
 */
export function matchesResource(pattern: string, resource: string, variables?: ContextValues): boolean {
  if (pattern === '*') return true;
  return matchesArn(pattern, resource, variables);
}

/** Compares ARNs part by part, wildcards allowed: ArnLike, ArnEquals and resources. Text that is no ARN is compared whole. */
export function matchesArn(pattern: string, text: string, variables?: ContextValues): boolean {
  const wanted = splitArn(pattern);
  const given = splitArn(text);
  if (wanted.length < 6 || given.length < 6) {
    const glob = globOf(pattern, variables);
    return glob !== undefined && matchesGlob(glob, text);
  }
  return wanted.every((part, index) => {
    const glob = globOf(part, variables);
    return glob !== undefined && matchesGlob(glob, given[index]!);
  });
}

/** Whether a string fits a StringLike pattern; `literal`: only the variables are replaced, wildcards are plain characters. */
export function matchesString(pattern: string, text: string, variables?: ContextValues, literal = false): boolean {
  const glob = globOf(pattern, variables, literal);
  return glob !== undefined && matchesGlob(glob, text);
}

/** Six parts; colons inside `${…}` do not separate. */
function splitArn(text: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let depth = 0;
  for (let index = 0; index < text.length && parts.length < 5; index++) {
    if (text.startsWith('${', index)) depth++;
    else if (text[index] === '}' && depth > 0) depth--;
    else if (text[index] === ':' && depth === 0) {
      parts.push(text.slice(start, index));
      start = index + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}

function globOf(pattern: string): Glob;
function globOf(pattern: string, variables: ContextValues | undefined, literal?: boolean): Glob | undefined;
function globOf(pattern: string, variables?: ContextValues, literal = false): Glob | undefined {
  const glob: number[] = [];
  for (let index = 0; index < pattern.length; index++) {
    if (variables !== undefined && pattern.startsWith('${', index)) {
      const end = pattern.indexOf('}', index);
      if (end > 0) {
        const value = variableValue(pattern.slice(index + 2, end), variables);
        // A variable without a value makes the pattern match nothing.
        if (value === undefined) return undefined;
        for (let at = 0; at < value.length; at++) glob.push(value.charCodeAt(at));
        index = end;
        continue;
      }
    }
    const unit = pattern[index]!;
    if (unit === '*' && !literal) {
      if (glob.at(-1) !== anyRun) glob.push(anyRun);
    } else if (unit === '?' && !literal) glob.push(anyOne);
    else glob.push(pattern.charCodeAt(index));
  }
  return glob;
}

/** `${*}`, `${?}` and `${$}` are those characters; `${key, 'default'}` has a value even where the request has none. */
function variableValue(inside: string, variables: ContextValues): string | undefined {
  const match = /^\s*([^,]*?)\s*(?:,\s*'(.*)'\s*)?$/.exec(inside);
  if (match === null) return undefined;
  const [, key, fallback] = match as unknown as [string, string, string | undefined];
  if (key === '*' || key === '?' || key === '$') return key;
  const values = variables.get(key.toLowerCase());
  // A key with several values cannot stand in a pattern.
  return values?.length === 1 ? values[0] : fallback;
}

/** Two pointers and one place to come back to: at most (pattern × text) steps, however many stars there are. */
function matchesGlob(glob: Glob, text: string): boolean {
  let at = 0;
  let star = -1;
  let resume = 0;
  let index = 0;
  while (index < text.length) {
    const wanted = glob[at];
    if (wanted === anyRun) {
      star = at++;
      resume = index;
    } else if (wanted !== undefined && (wanted === anyOne || wanted === text.charCodeAt(index))) {
      at++;
      index++;
    } else if (star >= 0) {
      at = star + 1;
      index = ++resume;
    } else return false;
  }
  while (glob[at] === anyRun) at++;
  return at === glob.length;
}
