/** A wish beyond AWS's API that cannot be met, and what its author can do about it. The control API answers it as it is. */
export class UserMistake extends Error {
  override readonly name = 'UserMistake';
  /** Of HTTP. */
  readonly status: number;
  /** Stable; clients tell mistakes apart by it. */
  readonly code: string;
  readonly hint: string;

  constructor(status: number, code: string, message: string, hint: string) {
    super(message);
    this.status = status;
    this.code = code;
    this.hint = hint;
  }
}
