import { scheduleJob } from '../../kernel/agenda/agenda.ts';
import type { Commit, DueWrite } from '../../kernel/store/contract.ts';
import type { Environment } from './environment.ts';
import { type JobPayload, startOperation } from './starting.ts';
import { encode, type OperationRecord, type StackRecord, type Stored } from './state.ts';

/** The agenda's kind of job that deletes a stack once what it is doing has ended. */
export const deletionJob = 'cloudformation.delete';

/** What DeleteStack was asked for. */
export interface DeletionRequest {
  readonly caller: OperationRecord['caller'];
  readonly retain: readonly string[];
  readonly roleArn?: string;
  readonly clientToken?: string;
}

export interface DeletionPayload extends JobPayload {
  readonly request: DeletionRequest;
}

export function deleteLater(stack: StackRecord, request: DeletionRequest, nowMs: number): DueWrite {
  const { account, region, id } = stack;
  const payload: DeletionPayload = { account, region, stackId: id, operation: '', request };
  return scheduleJob(deletionJob, id, nowMs, encode(payload));
}

/** Begins the deletion of a stack that is doing nothing. False when another commit was faster. */
export function startDeletion(
  env: Environment,
  stored: Stored<StackRecord>,
  { caller, retain, roleArn, clientToken }: DeletionRequest,
  also?: Pick<Commit, 'settle'>,
): Promise<boolean> {
  const { record: stack } = stored;
  return startOperation(env, {
    stored,
    stack,
    operation: {
      id: env.platform.random.uuid(),
      kind: 'DELETE',
      caller,
      setup: roleArn === undefined ? stack.setup : { ...stack.setup, roleArn },
      onFailure: 'DO_NOTHING',
      retainExceptOnCreate: false,
      retain,
      ...(clientToken !== undefined && { clientToken }),
    },
    ...(also && { also }),
  });
}
