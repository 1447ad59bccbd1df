import type { Caller } from '../platform/context.ts';
import type { Bus } from '../platform/service.ts';
import type { LiveResource } from './contract.ts';
import type { DynamicLookup } from './dynamic-references.ts';
import { stackEntry } from './engine-report.ts';
import { StackRun } from './engine-run.ts';
import type { JournalEntry, StackOutput } from './engine-state.ts';
import type { PseudoParameters } from './intrinsics.ts';
import type { ResolvedParameter } from './parameters.ts';
import type { ResourceTypes } from './plan.ts';
import type { Template } from './template.ts';

/** One CreateStack, UpdateStack or DeleteStack. Its data must be the same each time it is run again. */
export interface StackOperation {
  readonly kind: 'CREATE' | 'UPDATE' | 'DELETE';
  /** Of this operation alone: decides client tokens, and the names of replacements. */
  readonly operationId: string;
  readonly pseudo: PseudoParameters;
  readonly tags: Readonly<Record<string, string>>;
  /** Of CREATE and UPDATE; checked before by readTemplate, checkReferences, checkTypes. */
  readonly template?: Template;
  readonly parameters?: ReadonlyMap<string, ResolvedParameter>;
  /** The stack's resources when the operation began. */
  readonly previous: readonly LiveResource[];
  /** Physical resources that an earlier operation of the stack has left over (its result's `leftOver`). */
  readonly leftOver?: readonly LiveResource[];
  /** DO_NOTHING is also DisableRollback; DELETE only counts for CREATE. */
  readonly onFailure: 'ROLLBACK' | 'DELETE' | 'DO_NOTHING';
  /** RetainExceptOnCreate: what is to be retained goes all the same in the rollback of the creation that made it. */
  readonly retainExceptOnCreate?: boolean;
  /** DeleteStack's RetainResources. */
  readonly retain?: ReadonlySet<string>;
}

/** What the engine needs of its surroundings. */
export interface EngineHost {
  readonly types: ResourceTypes;
  /**
   * Makes the step durable, its events with it. The engine goes on when it returns; entries are given one at a time, in
   * order. What is not recorded is tried again.
   */
  readonly journal: (entry: JournalEntry) => Promise<void>;
  /** In whose name resources are made. */
  readonly caller: Caller;
  readonly bus: Bus;
  /** Waits in cloud time; rejects when `signal` aborts. */
  readonly sleep: (delayMs: number) => Promise<void>;
  readonly dynamicReference: DynamicLookup;
  readonly exports: ReadonlyMap<string, string>;
  readonly availabilityZones: (region: string) => readonly string[];
  /** The process stops: the run rejects with the signal's reason and may be taken up again from the journal. */
  readonly signal: AbortSignal;
  /** Asked between steps of going forward. */
  readonly interruption?: () => Interruption | undefined;
  /** Judges and publishes the exports; what it answers is why the operation fails. May be asked again after a crash. */
  readonly publish?: (outputs: readonly StackOutput[]) => Promise<string | undefined>;
  /** Steps at a time; CloudFormation has no bound of its own that it tells. */
  readonly concurrency?: number;
}

/** Why to stop going forward: the creation's timeout, CancelUpdateStack, DeleteStack. */
export interface Interruption {
  readonly reason: string;
  /** Delete the stack at once, instead of what the operation says about failures. */
  readonly thenDelete?: boolean;
}

export interface StackResult {
  readonly status: string;
  readonly reason: string | undefined;
  /** The stack's resources now. */
  readonly resources: readonly LiveResource[];
  /** Physical resources to be taken away by the stack's next operation: of an update that failed with DO_NOTHING. */
  readonly leftOver: readonly LiveResource[];
  readonly outputs: readonly StackOutput[];
}

/**
 * Runs an operation to its end, in CloudFormation's order, statuses and words: creations and changes as soon as what they
 * need is there, a rollback at the first failure, deletions in the reverse order.
 *
 * After a crash it is called again with what the journal has, and goes on: a step that had begun is tried again with the
 * same token and name. For ContinueUpdateRollback and RollbackStack the caller appends `continueRollback` or
 * `rollBack` to the ended operation's journal and runs it again.
 *
 * @throws {TemplateError} only before the first step, for a template that should not have been accepted.
 */
export async function runStack(
  operation: StackOperation,
  host: EngineHost,
  journal: readonly JournalEntry[] = [],
): Promise<StackResult> {
  return new StackRun(operation, host, journal).run();
}

/** Takes up a rollback that ended in UPDATE_ROLLBACK_FAILED; the given resources are left as they are. */
export function continueRollback(operation: StackOperation, skip: readonly string[]): readonly JournalEntry[] {
  return [
    stackEntry(operation.pseudo, 'UPDATE_ROLLBACK_IN_PROGRESS', 'restore', 'User Initiated'),
    { change: { kind: 'skip', logicalIds: skip }, events: [] },
  ];
}

/** RollbackStack: rolls back an operation that had failed with DO_NOTHING. */
export function rollBack(operation: StackOperation): readonly JournalEntry[] {
  return [
    operation.kind === 'CREATE'
      ? stackEntry(operation.pseudo, 'ROLLBACK_IN_PROGRESS', 'delete', 'User Initiated')
      : stackEntry(operation.pseudo, 'UPDATE_ROLLBACK_IN_PROGRESS', 'restore', 'User Initiated'),
  ];
}
