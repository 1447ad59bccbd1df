/** A place in a template's text; both count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/**
 * The user's template or parameters are wrong. `message` is AWS's text (ValidationError, 400) where AWS has one;
 * `position` says where in the text, for a terminal to show.
 */
export class TemplateError extends Error {
  override readonly name = 'TemplateError';
  readonly code = 'ValidationError';
  readonly position: Position | undefined;

  constructor(message: string, position?: Position) {
    super(message);
    this.position = position;
  }

  /** The message with its place, unless the text already says it. */
  get located(): string {
    if (this.position === undefined || /\(line \d+, column \d+\)$/.test(this.message)) return this.message;
    return `${this.message} (line ${this.position.line}, column ${this.position.column})`;
  }
}
