/** The items to try again after an invocation that succeeded. */
export type BatchVerdict =
  | { readonly failed: 'none' }
  | { readonly failed: 'all' }
  | { readonly failed: ReadonlySet<string> };

/**
 * Reads the answer of a function that reports batch item failures. An empty or null answer or list: everything succeeded. Anything else
 * that is not a list of the batch's own ids: everything failed
 * (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html; recorded on AWS: test_kinesis_report_batch_item_success_scenarios
 * and test_kinesis_report_batch_item_failure_scenarios in test_lambda_integration_kinesis.snapshot.json).
 */
export function batchVerdict(payload: string, ids: ReadonlySet<string>): BatchVerdict {
  if (payload.trim() === '') return { failed: 'none' };
  let answer: unknown;
  try {
    answer = JSON.parse(payload);
  } catch {
    return { failed: 'all' };
  }
  if (answer === null || answer === '') return { failed: 'none' };
  if (typeof answer !== 'object') return { failed: 'all' };
  if (Array.isArray(answer)) return { failed: answer.length === 0 ? 'none' : 'all' };
  const list: unknown = 'batchItemFailures' in answer ? answer.batchItemFailures : undefined;
  if (list === null || (list === undefined && Object.keys(answer).every((name) => name === 'state')))
    return { failed: 'none' };
  if (!Array.isArray(list)) return { failed: 'all' };
  const failed = new Set<string>();
  for (const item of list as readonly unknown[]) {
    const id =
      typeof item === 'object' && item !== null && 'itemIdentifier' in item ? (item.itemIdentifier as unknown) : '';
    if (typeof id !== 'string' || !ids.has(id)) return { failed: 'all' };
    failed.add(id);
  }
  return failed.size === 0 ? { failed: 'none' } : { failed };
}
