/**
 * The wording of 2026: in most regions AWS now puts "1 validation error detected: " before what it finds wrong in the
 * request alone of PutItem, UpdateItem and DeleteItem (not of reads, batches, transactions, nor of what needs the
 * table). Older regions, and all of AWS before, say the same without it; the rules throw the older form. Observed:
 * paritysuite/dynamodb-conformance, captures/cross-region-latest.json (2026-09) and valueLayers.test.ts (2026-10).
 */
import { RuleError } from './errors.ts';

/** Runs a request-only validation; what it refuses is reported in the newer form. */
export function enveloped<T>(validate: () => T): T {
  try {
    return validate();
  } catch (error) {
    if (!(error instanceof RuleError) || error.code !== 'ValidationException' || PREFIX.test(error.message))
      throw error;
    throw new RuleError(`1 validation error detected: ${error.message}`, error.code, error.fields);
  }
}

const PREFIX = /^\d+ validation errors? detected: /;
