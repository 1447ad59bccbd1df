/** A user's mistake, or a state of the world that the user can change: a stable code, what is wrong, what to do. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly code: string;
  readonly hint: string;
  /** What the command found out all the same: with `--json` it is printed beside the error, in one document. */
  readonly data: object;

  constructor(code: string, message: string, hint: string, data: object = {}) {
    super(message);
    this.code = code;
    this.hint = hint;
    this.data = data;
  }
}

/** Errors of other modules that carry a code and a hint (a port in use, a data directory of a newer version). */
export function asCliError(error: unknown): CliError | undefined {
  if (error instanceof CliError) return error;
  if (!(error instanceof Error)) return undefined;
  const { code, hint } = error as { code?: unknown; hint?: unknown };
  return typeof code === 'string' && typeof hint === 'string' ? new CliError(code, error.message, hint) : undefined;
}
