import {
  type ResourceContext,
  ResourceFailure,
  type ResourceState,
  type ResourceType,
} from '../platform/resource-type.ts';
import type { LiveResource } from './contract.ts';
import { diffProperties } from './diff.ts';
import { resolveDynamicReferences } from './dynamic-references.ts';
import type { EngineHost, Interruption, StackOperation, StackResult } from './engine.ts';
import { event, failureText, outputsOf, reasonOf, refuseCustomName, stackEntry } from './engine-report.ts';
import {
  apply,
  type JournalEntry,
  type Phase,
  type RunState,
  replay,
  resourceKey,
  type StackEvent,
  type StateChange,
} from './engine-state.ts';
import { type DependencyGraph, dependencyGraph } from './graph.ts';
import { Evaluator } from './intrinsics.ts';
import { type JsonObject, jsonEquals } from './json.ts';
import { physicalName, uuidOf } from './names.ts';
import { deletionPolicyOf, updateReplacePolicyOf } from './plan.ts';
import { shapeProperties } from './shapes.ts';
import type { DeletionPolicy, ResourceDeclaration, Template } from './template.ts';

/** One run of an operation: the order of phases, the stack's status at the end of each, and each resource's steps. */
export class StackRun {
  readonly #operation: StackOperation;
  readonly #host: EngineHost;
  readonly #state: RunState;
  readonly #previous: ReadonlyMap<string, LiveResource>;
  readonly #started: boolean;
  #recording: Promise<void> = Promise.resolve();
  #journalError: { readonly error: unknown } | undefined;
  #interruption: Interruption | undefined;
  #graph: DependencyGraph | undefined;

  constructor(operation: StackOperation, host: EngineHost, journal: readonly JournalEntry[]) {
    this.#operation = operation;
    this.#host = host;
    this.#state = replay(operation.previous, operation.leftOver ?? [], journal);
    this.#previous = new Map(operation.previous.map((resource) => [resource.logicalId, resource]));
    this.#started = journal.length > 0;
  }

  async run(): Promise<StackResult> {
    const { kind } = this.#operation;
    if (!this.#started) {
      await this.#stack(`${kind}_IN_PROGRESS`, kind === 'DELETE' ? 'delete' : 'forward', 'User Initiated');
    }
    while (this.#state.phase !== 'done') await this.#runPhase(this.#state.phase);
    return {
      status: this.#state.status,
      reason: this.#state.reason,
      resources: [...this.#state.live.values()].map((resource) => this.#asKept(resource)),
      leftOver: this.#state.status.includes('FAILED') ? [...this.#state.retired.values()] : [],
      outputs: this.#state.outputs,
    };
  }

  /** A change that failed is kept as it was before, so that the next update sees the difference and tries again. */
  #asKept(resource: LiveResource): LiveResource {
    const before = this.#previous.get(resource.logicalId);
    if (resource.status !== 'UPDATE_FAILED' || before?.physicalId !== resource.physicalId) return resource;
    const { status, statusReason } = resource;
    return { ...before, status, ...(statusReason !== undefined && { statusReason }) };
  }

  #runPhase(phase: Exclude<Phase, 'done'>): Promise<void> {
    switch (phase) {
      case 'forward':
        return this.#forward();
      case 'delete':
        return this.#delete();
      case 'cleanup':
        return this.#cleanup('UPDATE_COMPLETE');
      case 'restore':
        return this.#restore();
      case 'restoreCleanup':
        return this.#cleanup('UPDATE_ROLLBACK_COMPLETE');
    }
  }

  async #forward(): Promise<void> {
    const template = this.#operation.template as Template;
    const evaluator = this.#evaluator(template);
    const graph = dependencyGraph(template, (condition) => evaluator.condition(condition));
    this.#graph = graph;
    await this.#work(graph, (logicalId) => this.#makeOne(logicalId, template, evaluator, graph), true);
    let failure = this.#interruption?.reason ?? failureText(this.#state.failures);
    if (failure === undefined) {
      const outputs = outputsOf(template, evaluator);
      const problem = typeof outputs === 'string' ? outputs : await this.#host.publish?.(outputs);
      if (problem !== undefined) failure = `${problem.replace(/\.$/, '')}. `;
      else if (typeof outputs !== 'string') await this.#record({ kind: 'outputs', outputs }, []);
    }
    if (failure !== undefined) return this.#forwardFailed(failure);
    if (this.#operation.kind === 'CREATE') return this.#stack('CREATE_COMPLETE', 'done');
    return this.#stack('UPDATE_COMPLETE_CLEANUP_IN_PROGRESS', 'cleanup');
  }

  #forwardFailed(failure: string): Promise<void> {
    const { kind, onFailure } = this.#operation;
    if (this.#interruption?.thenDelete) return this.#stack('DELETE_IN_PROGRESS', 'delete', failure);
    if (onFailure === 'DO_NOTHING') return this.#stack(`${kind}_FAILED`, 'done', failure);
    if (kind === 'UPDATE') return this.#stack('UPDATE_ROLLBACK_IN_PROGRESS', 'restore', failure);
    return onFailure === 'DELETE'
      ? this.#stack('DELETE_IN_PROGRESS', 'delete', `${failure}Delete requested by user.`)
      : this.#stack('ROLLBACK_IN_PROGRESS', 'delete', `${failure}Rollback requested by user.`);
  }

  async #delete(): Promise<void> {
    await this.#deleteAll([...this.#state.live.values(), ...this.#state.retired.values()], (resource) =>
      this.#keepsAtDeletion(resource),
    );
    const failure = failureText(this.#state.failures);
    const rollback = this.#state.status.startsWith('ROLLBACK');
    if (failure !== undefined) return this.#stack(rollback ? 'ROLLBACK_FAILED' : 'DELETE_FAILED', 'done', failure);
    return this.#stack(rollback ? 'ROLLBACK_COMPLETE' : 'DELETE_COMPLETE', 'done');
  }

  async #cleanup(status: 'UPDATE_COMPLETE' | 'UPDATE_ROLLBACK_COMPLETE'): Promise<void> {
    this.#retireLeftOvers(status);
    await this.#deleteAll([...this.#state.retired.values()], (resource) => this.#keepsAtCleanup(resource));
    // A deletion that fails here does not fail the update: the resource is left behind, and no longer the stack's.
    await this.#stack(status, 'done', failureText(this.#state.failures));
  }

  /** What the new template (after a rollback: the old stack) no longer has is to go. Decided anew after a crash. */
  #retireLeftOvers(status: 'UPDATE_COMPLETE' | 'UPDATE_ROLLBACK_COMPLETE'): void {
    const keep =
      status === 'UPDATE_COMPLETE'
        ? new Set([...(this.#operation.template as Template).resources.keys()].filter((name) => this.#exists(name)))
        : new Set(this.#previous.keys());
    for (const [logicalId, resource] of this.#state.live) {
      if (keep.has(logicalId)) continue;
      this.#state.live.delete(logicalId);
      this.#state.retired.set(resourceKey(resource), resource);
    }
  }

  #exists(logicalId: string): boolean {
    const template = this.#operation.template as Template;
    const condition = template.resources.get(logicalId)?.condition;
    return condition === undefined || this.#evaluator(template).condition(condition);
  }

  async #restore(): Promise<void> {
    const touched = [...this.#previous.values()].filter((resource) => this.#state.touched.has(resource.logicalId));
    const graph: DependencyGraph = new Map(
      touched.map((resource) => [resource.logicalId, new Set(resource.dependsOn)]),
    );
    await this.#work(graph, (logicalId) => this.#restoreOne(this.#previous.get(logicalId) as LiveResource), false);
    const failure = failureText(this.#state.failures);
    if (failure !== undefined) return this.#stack('UPDATE_ROLLBACK_FAILED', 'done', failure);
    return this.#stack('UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS', 'restoreCleanup');
  }

  /**
   * Works through a graph, each id once all it needs is settled. Steps that began before a crash come first, even when
   * another has failed: whether they made something must be known.
   */
  async #work(
    graph: DependencyGraph,
    step: (logicalId: string) => Promise<void>,
    stopAtFailure: boolean,
  ): Promise<void> {
    const { settled, begun, failures } = this.#state;
    const running = new Map<string, Promise<void>>();
    const resumed = new Set(begun);
    try {
      for (;;) {
        this.#host.signal.throwIfAborted();
        if (stopAtFailure) this.#interruption ??= this.#host.interruption?.();
        const mayStart = !stopAtFailure || (failures.size === 0 && this.#interruption === undefined);
        for (const [logicalId, needed] of graph) {
          if (running.size >= (this.#host.concurrency ?? 16)) break;
          if (settled.has(logicalId) || failures.has(logicalId) || running.has(logicalId)) continue;
          const ready = mayStart && [...needed].every((other) => settled.has(other) || !graph.has(other));
          if (!ready && !resumed.has(logicalId)) continue;
          running.set(
            logicalId,
            step(logicalId).finally(() => running.delete(logicalId)),
          );
        }
        if (running.size === 0) return;
        await Promise.race(running.values());
      }
    } finally {
      // Nothing is left running behind the caller's back, whatever ended the loop.
      await Promise.allSettled(running.values());
    }
  }

  async #makeOne(logicalId: string, template: Template, evaluator: Evaluator, graph: DependencyGraph): Promise<void> {
    const declaration = template.resources.get(logicalId) as ResourceDeclaration;
    const type = this.#host.types(declaration.type) as ResourceType;
    const before = this.#previous.get(logicalId);
    const draft: LiveResource = {
      logicalId,
      type: declaration.type,
      physicalId: before?.physicalId ?? '',
      properties: before?.properties ?? {},
      attributes: {},
      dependsOn: [...(graph.get(logicalId) as ReadonlySet<string>)],
      deletionPolicy: deletionPolicyOf(declaration, type),
      updateReplacePolicy: updateReplacePolicyOf(declaration, type),
      status: '',
    };
    let properties: JsonObject;
    try {
      properties = evaluator.object(declaration.properties);
    } catch (error) {
      return this.#failed(draft, before, before ? 'update' : 'create', error);
    }
    const wanted = { ...draft, properties };
    if (!before) return this.#create(type, wanted, undefined);
    const { changed, needReplacement } = diffProperties(type, before.properties, properties);
    const neverMade = before.physicalId === '' || before.status === 'CREATE_FAILED';
    if (neverMade) return this.#create(type, { ...wanted, physicalId: '' }, before);
    if (changed.length === 0 && before.status !== 'UPDATE_FAILED') return this.#keep(before, wanted);
    if (needReplacement.length > 0) return this.#create(type, wanted, before);
    return this.#update(type, before, wanted);
  }

  /** Nothing to do for the resource itself; what the stack knows about it may still have changed. */
  async #keep(before: LiveResource, wanted: LiveResource): Promise<void> {
    const { dependsOn, deletionPolicy, updateReplacePolicy } = wanted;
    const resource = { ...before, dependsOn, deletionPolicy, updateReplacePolicy };
    const same = jsonEquals({ ...before } as unknown as JsonObject, { ...resource } as unknown as JsonObject);
    if (same) this.#state.settled.add(wanted.logicalId);
    else await this.#record({ kind: 'made', resource }, []);
  }

  async #create(type: ResourceType, wanted: LiveResource, before: LiveResource | undefined): Promise<void> {
    const replaces = before !== undefined && before.status !== 'CREATE_FAILED' && before.physicalId !== '';
    const verb = replaces ? 'UPDATE' : 'CREATE';
    const action = replaces ? 'update' : 'create';
    const reason = !replaces
      ? undefined
      : 'Requested update requires the creation of a new physical resource; hence creating one.';
    const retried = await this.#begin(wanted.logicalId, event(wanted, `${verb}_IN_PROGRESS`, reason));
    const context = this.#context(wanted.logicalId, 'create', retried, before, wanted);
    try {
      if (before && replaces) refuseCustomName(type, before, wanted);
      const properties = await this.#ready(type, wanted.logicalId, wanted.properties);
      const known = this.#state.initiated.get(wanted.logicalId);
      const made = await type.create(context, properties);
      const resource = this.#made(wanted, made, `${verb}_COMPLETE`);
      const initiated = known === undefined && !this.#state.initiated.has(wanted.logicalId);
      const first = initiated ? [event(resource, `${verb}_IN_PROGRESS`, 'Resource creation Initiated')] : [];
      if (this.#givesUp()) {
        const cancelled = replaces ? 'Resource update cancelled' : 'Resource creation cancelled';
        return this.#recordFailure({ ...resource, status: `${verb}_FAILED` }, action, cancelled, before, first);
      }
      // A type that answers with the physical resource it had before has not replaced it: it must not be cleaned up.
      const replaced = before && before.physicalId !== '' && before.physicalId !== resource.physicalId;
      await this.#record({ kind: 'made', resource, ...(replaced && { retired: before }) }, [
        ...first,
        event(resource, `${verb}_COMPLETE`),
      ]);
    } catch (error) {
      await this.#failed(wanted, before, action, error);
    }
  }

  async #update(type: ResourceType, before: LiveResource, wanted: LiveResource): Promise<void> {
    const retried = await this.#begin(wanted.logicalId, event(wanted, 'UPDATE_IN_PROGRESS'));
    const context = this.#context(wanted.logicalId, 'update', retried, undefined, wanted);
    try {
      const properties = await this.#ready(type, wanted.logicalId, wanted.properties);
      const old = await this.#ready(type, before.logicalId, before.properties);
      const made = await type.update(context, before.physicalId, properties, old);
      const resource = this.#made(wanted, made, 'UPDATE_COMPLETE');
      if (this.#givesUp()) {
        return this.#recordFailure(
          { ...resource, status: 'UPDATE_FAILED' },
          'update',
          'Resource update cancelled',
          undefined,
          [],
        );
      }
      // A custom resource may answer an update with another physical id: the one it had is to go.
      const retired = resource.physicalId !== before.physicalId && { retired: before };
      await this.#record({ kind: 'made', resource, ...retired }, [event(resource, 'UPDATE_COMPLETE')]);
    } catch (error) {
      await this.#failed(wanted, undefined, 'update', error);
    }
  }

  /** Another step has failed while this one ran: its result will be rolled back, and CloudFormation calls it cancelled. */
  #givesUp(): boolean {
    return this.#state.phase === 'forward' && (this.#state.failures.size > 0 || this.#interruption !== undefined);
  }

  async #restoreOne(old: LiveResource): Promise<void> {
    const now = this.#state.live.get(old.logicalId) as LiveResource;
    const type = this.#host.types(old.type) as ResourceType;
    const { changed, needReplacement } = diffProperties(type, old.properties, now.properties);
    const retried = await this.#begin(old.logicalId, event(old, 'UPDATE_IN_PROGRESS'));
    try {
      if (changed.length === 0 || needReplacement.length > 0) {
        // A replacement: the old physical resource is untouched. The new one, if it came to be, goes in the cleanup.
        const resource = { ...old, status: 'UPDATE_COMPLETE' };
        const made = now.physicalId !== '' && now.physicalId !== old.physicalId ? now : undefined;
        await this.#record({ kind: 'made', resource, ...(made && { retired: made }) }, [
          event(resource, 'UPDATE_COMPLETE'),
        ]);
        return;
      }
      const context = this.#context(old.logicalId, 'restore', retried, undefined, old);
      const failedProperties = await this.#ready(type, now.logicalId, now.properties).catch(() => now.properties);
      const made = await type.update(
        context,
        old.physicalId,
        await this.#ready(type, old.logicalId, old.properties),
        failedProperties,
      );
      const resource = this.#made(old, made, 'UPDATE_COMPLETE');
      await this.#record({ kind: 'made', resource }, [event(resource, 'UPDATE_COMPLETE')]);
    } catch (error) {
      await this.#failed({ ...now, physicalId: old.physicalId }, undefined, 'update', error);
    }
  }

  /** Deletes in the reverse order of dependencies; what another that could not be deleted needs, stays. */
  async #deleteAll(all: readonly LiveResource[], keeps: (resource: LiveResource) => boolean): Promise<void> {
    const byKey = new Map(all.map((resource) => [resourceKey(resource), resource]));
    const graph = new Map([...byKey].map(([key]) => [key, new Set<string>()]));
    for (const [key, resource] of byKey) {
      for (const [other, needed] of byKey) {
        if (resource.dependsOn.includes(needed.logicalId)) graph.get(other)?.add(key);
      }
    }
    await this.#work(
      graph,
      async (key) => {
        const resource = byKey.get(key) as LiveResource;
        if (resource.physicalId === '')
          return this.#record({ kind: 'gone', key }, [event(resource, 'DELETE_COMPLETE')]);
        if (keeps(resource) || this.#operation.retain?.has(resource.logicalId)) {
          return this.#record({ kind: 'gone', key }, [event(resource, 'DELETE_SKIPPED')]);
        }
        const retried = await this.#begin(key, event(resource, 'DELETE_IN_PROGRESS'));
        return this.#deleteOne(resource, retried);
      },
      false,
    );
  }

  async #deleteOne(resource: LiveResource, retried: boolean): Promise<void> {
    const type = this.#host.types(resource.type) as ResourceType;
    const context = this.#context(resource.logicalId, 'delete', retried, undefined, resource);
    try {
      const properties = await this.#ready(type, resource.logicalId, resource.properties).catch(
        () => resource.properties,
      );
      if (this.#policyOf(resource) === 'Snapshot') await type.snapshot?.(context, resource.physicalId, properties);
      await type.delete(context, resource.physicalId, properties);
      await this.#record({ kind: 'gone', key: resourceKey(resource) }, [event(resource, 'DELETE_COMPLETE')]);
    } catch (error) {
      await this.#failed(resource, undefined, 'delete', error);
    }
  }

  #keepsAtDeletion(resource: LiveResource): boolean {
    const policy = this.#policyOf(resource);
    if (policy === 'Retain') return true;
    // "RetainExceptOnCreate" is Retain but in the rollback of the operation that made the resource.
    return policy === 'RetainExceptOnCreate' && !this.#state.status.startsWith('ROLLBACK');
  }

  #keepsAtCleanup(resource: LiveResource): boolean {
    const before = this.#previous.get(resource.logicalId);
    // The policies are for what the stack had: the new half of a replacement that is rolled back goes.
    if (before && this.#state.phase === 'restoreCleanup' && before.physicalId !== resource.physicalId) return false;
    const policy = this.#policyOf(resource);
    return policy === 'Retain' || (policy === 'RetainExceptOnCreate' && this.#previous.has(resource.logicalId));
  }

  /** UpdateReplacePolicy where another physical resource has taken its place, else DeletionPolicy. */
  #policyOf(resource: LiveResource): DeletionPolicy {
    const now = this.#state.live.get(resource.logicalId);
    const replaced = now !== undefined && now.physicalId !== resource.physicalId;
    const policy = replaced ? resource.updateReplacePolicy : resource.deletionPolicy;
    return policy === 'Retain' && this.#operation.retainExceptOnCreate ? 'RetainExceptOnCreate' : policy;
  }

  /** What the resource type is given: dynamic references looked up, values of the declared types. */
  async #ready(type: ResourceType, logicalId: string, properties: JsonObject): Promise<JsonObject> {
    return shapeProperties(type, logicalId, await resolveDynamicReferences(properties, this.#host.dynamicReference));
  }

  #made(wanted: LiveResource, { physicalId, attributes }: ResourceState, status: string): LiveResource {
    return { ...wanted, physicalId, attributes: JSON.parse(JSON.stringify(attributes)) as JsonObject, status };
  }

  async #begin(key: string, first: StackEvent): Promise<boolean> {
    if (this.#state.begun.has(key)) return true;
    await this.#record({ kind: 'begin', key }, [first]);
    return false;
  }

  /** @param before of a replacement that failed: the resource stays what it was. */
  async #failed(
    resource: LiveResource,
    before: LiveResource | undefined,
    action: 'create' | 'update' | 'delete',
    error: unknown,
  ): Promise<void> {
    // The process is stopping: nothing has failed, the step is tried again.
    this.#host.signal.throwIfAborted();
    if (this.#journalError) throw this.#journalError.error;
    const creates = action === 'create' || before !== undefined;
    const step = creates ? 'create' : this.#state.phase === 'restore' ? 'restore' : action;
    const token = this.#token(resource.logicalId, step);
    const physicalId =
      (error instanceof ResourceFailure ? error.physicalId : undefined) ??
      this.#state.initiated.get(resource.logicalId) ??
      resource.physicalId;
    const status = `${action.toUpperCase()}_FAILED`;
    const reason = reasonOf(error, token);
    await this.#recordFailure({ ...resource, physicalId, status, statusReason: reason }, action, reason, before, []);
  }

  async #recordFailure(
    resource: LiveResource,
    action: 'create' | 'update' | 'delete',
    reason: string,
    before: LiveResource | undefined,
    first: readonly StackEvent[],
  ): Promise<void> {
    const failure = event(resource, `${action.toUpperCase()}_FAILED`, reason);
    if (action === 'delete') {
      const isLive = this.#state.live.get(resource.logicalId)?.physicalId === resource.physicalId;
      const key = resourceKey(resource);
      return this.#record({ kind: 'failed', key, action, reason, ...(isLive && { resource }) }, [...first, failure]);
    }
    const replaced = before && before.physicalId !== '' && before.physicalId !== resource.physicalId;
    const retired = replaced && { retired: before };
    await this.#record({ kind: 'failed', key: resource.logicalId, action, reason, resource, ...retired }, [
      ...first,
      failure,
    ]);
  }

  #evaluator(template: Template): Evaluator {
    return new Evaluator({
      template,
      pseudo: this.#operation.pseudo,
      parameters: this.#operation.parameters ?? new Map(),
      resource: (logicalId) => {
        // What the new template no longer has may still be there, to be deleted later: it is not to be seen.
        const found = this.#graph?.has(logicalId) ? this.#state.live.get(logicalId) : undefined;
        return found && { ref: found.physicalId, attributes: found.attributes };
      },
      exports: this.#host.exports,
      availabilityZones: this.#host.availabilityZones,
    });
  }

  #context(
    logicalId: string,
    step: 'create' | 'update' | 'restore' | 'delete',
    retried: boolean,
    replaces: LiveResource | undefined,
    resource: LiveResource,
  ): ResourceContext {
    const { pseudo, tags, operationId } = this.#operation;
    const seed = `${pseudo.stackId} ${logicalId}${replaces ? ` ${operationId}` : ''}`;
    return {
      caller: this.#host.caller,
      bus: this.#host.bus,
      sleep: this.#host.sleep,
      stackName: pseudo.stackName,
      stackId: pseudo.stackId,
      logicalId,
      tags: {
        ...tags,
        'aws:cloudformation:stack-name': pseudo.stackName,
        'aws:cloudformation:stack-id': pseudo.stackId,
        'aws:cloudformation:logical-id': logicalId,
      },
      clientToken: this.#token(logicalId, step),
      retried,
      generatedName: (rules) => physicalName(pseudo.stackName, logicalId, seed, rules),
      initiated: async (physicalId) => {
        if (this.#state.initiated.get(logicalId) === physicalId) return;
        const status = replaces ? 'UPDATE_IN_PROGRESS' : 'CREATE_IN_PROGRESS';
        await this.#record({ kind: 'initiated', logicalId, physicalId }, [
          event({ ...resource, physicalId }, status, 'Resource creation Initiated'),
        ]);
      },
      signal: this.#host.signal,
    };
  }

  #token(logicalId: string, step: string): string {
    return uuidOf(`${this.#operation.pseudo.stackId} ${this.#operation.operationId} ${logicalId} ${step}`);
  }

  #stack(status: string, phase: Phase, reason?: string): Promise<void> {
    const entry = stackEntry(this.#operation.pseudo, status, phase, reason);
    return this.#record(entry.change, entry.events);
  }

  /** One entry after the other: the state is what the journal says, in the journal's order. */
  #record(change: StateChange, events: readonly StackEvent[]): Promise<void> {
    const recorded = this.#recording.then(async () => {
      if (this.#journalError) throw this.#journalError.error;
      try {
        await this.#host.journal({ change, events });
      } catch (error) {
        // Whether the step stands is not known: nothing may follow it.
        this.#journalError = { error };
        throw error;
      }
      apply(this.#state, change);
    });
    this.#recording = recorded.catch(() => undefined);
    return recorded;
  }
}
