import { AwsError } from '../../../../wire/errors.ts';
import { type Operator, operatorPattern, type Wanted } from './compare.ts';

/** The words of CloudWatch Logs for a pattern it cannot read. */
export function invalidPattern(): AwsError {
  return new AwsError('InvalidParameterException', 'Invalid filter pattern');
}

/** Goes through a pattern's text; what is not there as expected throws InvalidParameterException. */
export class Scanner {
  readonly #text: string;
  #at: number;

  constructor(text: string) {
    this.#text = text;
    this.#at = 0;
  }

  get done(): boolean {
    this.#skipSpace();
    return this.#at >= this.#text.length;
  }

  /** Takes this text if it comes next. */
  take(text: string): boolean {
    this.#skipSpace();
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  /** Takes a word, whatever its case, if it comes next and ends there. */
  takeWord(word: string): boolean {
    this.#skipSpace();
    const found = this.#text.slice(this.#at, this.#at + word.length);
    const after = this.#text[this.#at + word.length];
    if (found.toUpperCase() !== word || (after !== undefined && /\w/.test(after))) return false;
    this.#at += word.length;
    return true;
  }

  expect(text: string): void {
    if (!this.take(text)) throw invalidPattern();
  }

  /** Takes what the expression (anchored at the start) matches. */
  match(expression: RegExp): string | undefined {
    this.#skipSpace();
    const found = expression.exec(this.#text.slice(this.#at))?.[0];
    if (found === undefined) return undefined;
    this.#at += found.length;
    return found;
  }

  /** Like `match`, without skipping white space first. */
  matchHere(expression: RegExp): string | undefined {
    const found = expression.exec(this.#text.slice(this.#at))?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  operator(): Operator | undefined {
    return this.match(operatorPattern) as Operator | undefined;
  }

  /** A value to compare with; `plain` says which unquoted characters it may have. */
  value(plain: RegExp): Wanted {
    const quoted = this.match(/^"(?:[^"\\]|\\[\s\S])*"/);
    if (quoted !== undefined) return { kind: 'text', text: unquoted(quoted), quoted: true };
    const regex = this.match(/^%[^%]*%/);
    if (regex !== undefined) return { kind: 'regex', source: regex.slice(1, -1) };
    const text = this.match(plain);
    if (text === undefined || text === '') throw invalidPattern();
    return { kind: 'text', text, quoted: false };
  }

  #skipSpace(): void {
    while (this.#at < this.#text.length && this.#text[this.#at]!.trim() === '') this.#at++;
  }
}

/** The text between quotes; a backslash takes the next character as it is. */
export function unquoted(text: string): string {
  return text.slice(1, -1).replace(/\\([\s\S])/g, '$1');
}
