import type { LiveResource } from './contract.ts';
import type { JsonObject } from './json.ts';

/** One stack event, as DescribeStackEvents lists it, without its id and time. */
export interface StackEvent {
  /** The stack itself has its name here. */
  readonly logicalId: string;
  readonly physicalId: string;
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly properties?: JsonObject;
}

export interface StackOutput {
  readonly key: string;
  readonly value: string;
  readonly description?: string;
  readonly exportName?: string;
}

/**
 * What the engine is doing: `forward` makes and changes; `delete` takes everything away; `cleanup` takes away what an
 * update has left over; `restore` brings a failed update's resources back, `restoreCleanup` then takes away what it had made.
 */
export type Phase = 'forward' | 'delete' | 'cleanup' | 'restore' | 'restoreCleanup' | 'done';

/** One step of an operation, recorded with its events before the next begins. */
export interface JournalEntry {
  readonly change: StateChange;
  readonly events: readonly StackEvent[];
}

export type StateChange =
  | { readonly kind: 'stack'; readonly status: string; readonly reason?: string; readonly phase: Phase }
  /** The step is about to be tried; without an end it is tried again. */
  | { readonly kind: 'begin'; readonly key: string }
  | { readonly kind: 'initiated'; readonly logicalId: string; readonly physicalId: string }
  /** Created, changed, replaced or, in `restore`, brought back; `retired` is the physical resource it had before. */
  | { readonly kind: 'made'; readonly resource: LiveResource; readonly retired?: LiveResource }
  /** `resource` is what there is all the same: partly made, or in doubt. */
  | {
      readonly kind: 'failed';
      readonly key: string;
      readonly action: 'create' | 'update' | 'delete';
      readonly reason: string;
      readonly resource?: LiveResource;
      readonly retired?: LiveResource;
    }
  /** By `resourceKey`. */
  | { readonly kind: 'gone'; readonly key: string }
  | { readonly kind: 'outputs'; readonly outputs: readonly StackOutput[] }
  /** ContinueUpdateRollback: go on with the restoration, taking these as restored. */
  | { readonly kind: 'skip'; readonly logicalIds: readonly string[] };

/** Where an operation stands: everything that the journal tells. */
export interface RunState {
  phase: Phase;
  status: string;
  reason: string | undefined;
  /** The stack's resources. */
  readonly live: Map<string, LiveResource>;
  /** Physical resources that are no longer the stack's and are to be deleted, by `resourceKey`. */
  readonly retired: Map<string, LiveResource>;
  /** Steps of this phase that began and have not ended: logical ids, in the cleanups keys. */
  readonly begun: Set<string>;
  readonly initiated: Map<string, string>;
  /** What is done with in this phase: logical ids, in the cleanups keys. */
  readonly settled: Set<string>;
  /** Logical ids that `forward` changed or tried to: what a rollback must restore. */
  readonly touched: Set<string>;
  readonly failures: Map<string, { readonly action: 'create' | 'update' | 'delete'; readonly reason: string }>;
  outputs: readonly StackOutput[];
}

/** Names one physical resource: of a logical id there may be several, one live and others left over by replacements. */
export function resourceKey(resource: LiveResource): string {
  return `${resource.logicalId} ${resource.physicalId}`;
}

/** The state after these steps; `leftOver` are the physical resources that earlier operations could not take away. */
export function replay(
  previous: readonly LiveResource[],
  leftOver: readonly LiveResource[],
  journal: readonly JournalEntry[],
): RunState {
  const state: RunState = {
    phase: 'forward',
    status: '',
    reason: undefined,
    live: new Map(previous.map((resource) => [resource.logicalId, resource])),
    retired: new Map(leftOver.map((resource) => [resourceKey(resource), resource])),
    begun: new Set(),
    initiated: new Map(),
    settled: new Set(),
    touched: new Set(),
    failures: new Map(),
    outputs: [],
  };
  for (const entry of journal) apply(state, entry.change);
  return state;
}

export function apply(state: RunState, change: StateChange): void {
  switch (change.kind) {
    case 'stack':
      state.status = change.status;
      state.reason = change.reason;
      if (change.phase !== state.phase) enterPhase(state, change.phase);
      return;
    case 'begin':
      state.begun.add(change.key);
      if (state.phase === 'forward') state.touched.add(change.key);
      return;
    case 'initiated':
      state.initiated.set(change.logicalId, change.physicalId);
      return;
    case 'made':
      state.live.set(change.resource.logicalId, change.resource);
      state.retired.delete(resourceKey(change.resource));
      if (change.retired) state.retired.set(resourceKey(change.retired), change.retired);
      end(state, change.resource.logicalId);
      return;
    case 'failed':
      if (change.resource) state.live.set(change.resource.logicalId, change.resource);
      if (change.retired) state.retired.set(resourceKey(change.retired), change.retired);
      if (state.phase === 'forward') state.touched.add(change.key);
      state.failures.set(change.key, { action: change.action, reason: change.reason });
      state.begun.delete(change.key);
      return;
    case 'gone':
      for (const [logicalId, resource] of state.live)
        if (resourceKey(resource) === change.key) state.live.delete(logicalId);
      state.retired.delete(change.key);
      end(state, change.key);
      return;
    case 'outputs':
      state.outputs = change.outputs;
      return;
    case 'skip':
      for (const logicalId of change.logicalIds) state.settled.add(logicalId);
      state.failures.clear();
      return;
  }
}

function end(state: RunState, key: string): void {
  state.begun.delete(key);
  state.initiated.delete(key);
  state.failures.delete(key);
  state.settled.add(key);
}

function enterPhase(state: RunState, phase: Phase): void {
  state.phase = phase;
  state.begun.clear();
  state.initiated.clear();
  state.settled.clear();
  state.failures.clear();
}
