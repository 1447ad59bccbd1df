import { type Position, TemplateError } from './errors.ts';
import { type Json, type MutableObject, setMember } from './json.ts';

/** Called for every member and list item with the container that holds it. */
export type OnPlace = (container: object, key: string | number, offset: number) => void;

/**
 * Parses JSON strictly (RFC 8259), telling where each value stands, which JSON.parse cannot.
 * Duplicate members are refused: one of the two would be lost silently.
 *
 * @throws {TemplateError} "Template format error: JSON not well-formed. (line L, column C)", as AWS answers
 *   (LocalStack's recorded snapshot test_validations, 2025).
 */
export function parseJsonSource(text: string, onPlace: OnPlace): Json {
  let at = 0;

  const value = parseValue(0);
  skipSpace();
  if (at < text.length) fail();
  return value;

  function parseValue(depth: number): Json {
    // A template nests a few dozen levels; the bound keeps hostile input off the call stack.
    if (depth > 500) fail();
    skipSpace();
    const char = text[at];
    if (char === '{') return parseObject(depth);
    if (char === '[') return parseList(depth);
    if (char === '"') return parseString();
    return parseLiteral();
  }

  function parseObject(depth: number): Json {
    const result: MutableObject = {};
    at++;
    skipSpace();
    if (text[at] === '}') {
      at++;
      return result;
    }
    for (;;) {
      skipSpace();
      const keyAt = at;
      if (text[at] !== '"') fail();
      const key = parseString();
      if (Object.hasOwn(result, key)) {
        throw new TemplateError(`Template format error: duplicate key "${key}".`, positionOf(text, keyAt));
      }
      skipSpace();
      if (text[at] !== ':') fail();
      at++;
      onPlace(result, key, keyAt);
      setMember(result, key, parseValue(depth + 1));
      skipSpace();
      const next = text[at++];
      if (next === '}') return result;
      if (next !== ',') {
        at--;
        fail();
      }
    }
  }

  function parseList(depth: number): Json {
    const result: Json[] = [];
    at++;
    skipSpace();
    if (text[at] === ']') {
      at++;
      return result;
    }
    for (;;) {
      skipSpace();
      onPlace(result, result.length, at);
      result.push(parseValue(depth + 1));
      skipSpace();
      const next = text[at++];
      if (next === ']') return result;
      if (next !== ',') {
        at--;
        fail();
      }
    }
  }

  function parseString(): string {
    const from = at++;
    while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
    at++;
    try {
      return JSON.parse(text.slice(from, at)) as string;
    } catch {
      at = from;
      return fail();
    }
  }

  function parseLiteral(): Json {
    const literal = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)/.exec(
      text.slice(at, at + 400),
    )?.[0];
    if (literal === undefined) return fail();
    at += literal.length;
    const parsed = JSON.parse(literal) as Json;
    // Digits that a double cannot hold are kept as written: CloudFormation wants most numbers as text anyway.
    return typeof parsed === 'number' && /^-?\d+$/.test(literal) && !Number.isSafeInteger(parsed) ? literal : parsed;
  }

  function skipSpace(): void {
    while (at < text.length && ' \t\r\n'.includes(text[at] as string)) at++;
  }

  function fail(): never {
    const position = positionOf(text, at);
    throw new TemplateError(
      `Template format error: JSON not well-formed. (line ${position.line}, column ${position.column})`,
      position,
    );
  }
}

/** Line and column of an offset in a text. */
export function positionOf(text: string, offset: number): Position {
  const before = text.slice(0, offset);
  const lastBreak = before.lastIndexOf('\n');
  let line = 1;
  for (let i = before.indexOf('\n'); i !== -1; i = before.indexOf('\n', i + 1)) line++;
  return { line, column: offset - lastBreak };
}
