/** A store that cannot be used as it was asked for: `message` says why, `hint` what to do about it. */
export class StoreOpenError extends Error {
  override readonly name = 'StoreOpenError';
  readonly code = 'StoreUnusable';
  readonly hint: string;

  constructor(message: string, hint: string, options?: ErrorOptions) {
    super(message, options);
    this.hint = hint;
  }
}
