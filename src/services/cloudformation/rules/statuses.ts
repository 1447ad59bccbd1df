import type { StackRecord } from '../state.ts';
import { invalid } from './errors.ts';

export function isBusy(status: string): boolean {
  return status.endsWith('_IN_PROGRESS') && status !== 'REVIEW_IN_PROGRESS';
}

/** States from which UpdateStack and an UPDATE change set may start; the last two are of DisableRollback. */
const updatable: ReadonlySet<string> = new Set([
  'CREATE_COMPLETE',
  'UPDATE_COMPLETE',
  'UPDATE_ROLLBACK_COMPLETE',
  'CREATE_FAILED',
  'UPDATE_FAILED',
]);

/** @throws ValidationError, text: https://github.com/serverless/serverless/issues/2484 */
export function checkUpdatable(stack: Pick<StackRecord, 'arn' | 'status'>): void {
  if (!updatable.has(stack.status)) {
    throw invalid(`Stack:${stack.arn} is in ${stack.status} state and can not be updated.`);
  }
}

/** An update that has been rolled back is as if it had not been. */
export function isRolledBack(status: string): boolean {
  return status === 'UPDATE_ROLLBACK_COMPLETE';
}

/** Statuses in which the stack's outputs, exports and imports are those of its latest operation. */
export function isAccomplished(status: string): boolean {
  return status === 'CREATE_COMPLETE' || status === 'UPDATE_COMPLETE';
}
