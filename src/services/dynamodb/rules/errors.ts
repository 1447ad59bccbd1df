/**
 * A refusal by DynamoDB's rules: what the caller sees as an AWS error.
 * `code` is the modelled error's name, `message` AWS's text, `fields` further members of the error body
 * (for instance `Item` of ConditionalCheckFailedException).
 */
export class RuleError extends Error {
  readonly code: string;
  readonly fields: Readonly<Record<string, unknown>> | undefined;

  constructor(message: string, code = 'ValidationException', fields?: Readonly<Record<string, unknown>>) {
    // An answer and not a bug: capturing a stack trace would cost more than most checks.
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(message);
    Error.stackTraceLimit = limit;
    this.name = 'RuleError';
    this.code = code;
    this.fields = fields;
  }
}

/** A ValidationException whose text begins with AWS's usual preamble. */
export function invalidParameter(detail: string): RuleError {
  return new RuleError(`One or more parameter values were invalid: ${detail}`);
}

/** The error of a failed condition; `item` is added when ReturnValuesOnConditionCheckFailure is ALL_OLD. */
export function conditionalCheckFailed(item?: unknown): RuleError {
  return new RuleError(
    'The conditional request failed',
    'ConditionalCheckFailedException',
    item === undefined ? undefined : { Item: item },
  );
}

/** The error of a request for an item that a transaction has in its hands. Developer guide "Transactions: How it works". */
export function transactionConflict(): RuleError {
  return new RuleError('Transaction is ongoing for the item', 'TransactionConflictException');
}
