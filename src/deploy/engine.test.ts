import { describe, expect, it } from 'vitest';
import {
  type Properties,
  type ResourceContext,
  ResourceFailure,
  type ResourceType,
} from '../platform/resource-type.ts';
import type { LiveResource } from './contract.ts';
import { continueRollback, type EngineHost, runStack, type StackOperation, type StackResult } from './engine.ts';
import type { JournalEntry } from './engine-state.ts';
import { parseSource } from './source.ts';
import { readTemplate } from './template.ts';

const pseudo = {
  accountId: '111122223333',
  region: 'eu-west-1',
  partition: 'aws',
  urlSuffix: 'amazonaws.com',
  stackId: 'arn:aws:cloudformation:eu-west-1:111122223333:stack/shop/1f0e5a80',
  stackName: 'shop',
  notificationArns: [],
};

/** A small world of things: what exists, and who may fail. */
class World {
  readonly things = new Map<string, Properties>();
  readonly calls: string[] = [];
  readonly failing = new Map<string, string>();
  most = 0;
  #now = 0;

  readonly thing: ResourceType = {
    typeName: 'Test::Thing',
    properties: ['Key', 'Name', 'Size', 'Of', 'Arn', 'Secret'],
    createOnly: ['Key'],
    nameProperty: 'Name',
    create: async (ctx, properties) => {
      await this.#call(`create ${ctx.logicalId}`);
      const physicalId = String(properties['Name'] ?? ctx.generatedName({ maxLength: 64 }));
      if (this.things.has(physicalId) && !ctx.retried)
        throw new ResourceFailure(`${physicalId} is taken`, 'AlreadyExists');
      this.things.set(physicalId, properties);
      return this.#result(physicalId);
    },
    update: async (ctx, physicalId, properties) => {
      await this.#call(`update ${ctx.logicalId}`);
      if (!this.things.has(physicalId)) throw new ResourceFailure(`no ${physicalId}`, 'NotFound');
      this.things.set(physicalId, properties);
      return this.#result(physicalId);
    },
    delete: async (ctx, physicalId) => {
      await this.#call(`delete ${ctx.logicalId}`);
      this.things.delete(physicalId);
    },
  };

  async #call(what: string): Promise<void> {
    this.calls.push(what);
    this.most = Math.max(this.most, ++this.#now);
    // Long enough for the other steps that are ready to begin.
    for (let tick = 0; tick < 20; tick++) await Promise.resolve();
    this.#now--;
    const reason = this.failing.get(what);
    if (reason !== undefined) throw new ResourceFailure(reason);
  }

  #result(physicalId: string): { physicalId: string; attributes: Record<string, unknown> } {
    return { physicalId, attributes: { Arn: `arn:thing:${physicalId}` } };
  }
}

interface Outcome extends StackResult {
  readonly journal: readonly JournalEntry[];
  readonly events: readonly string[];
}

function operationOf(kind: StackOperation['kind'], text: string, rest: Partial<StackOperation> = {}): StackOperation {
  const template = kind === 'DELETE' ? {} : { template: readTemplate(parseSource(text)) };
  return {
    kind,
    operationId: `op-${kind}`,
    pseudo,
    tags: {},
    previous: [],
    onFailure: 'ROLLBACK',
    ...template,
    ...rest,
  };
}

async function run(
  world: World,
  operation: StackOperation,
  past: readonly JournalEntry[] = [],
  journalLimit = Number.POSITIVE_INFINITY,
  kept: JournalEntry[] = [...past],
): Promise<Outcome> {
  const stop = new AbortController();
  const host: EngineHost = {
    types: (name) => (name === 'Test::Thing' ? world.thing : undefined),
    journal: async (entry) => {
      await Promise.resolve();
      if (kept.length >= journalLimit) {
        stop.abort(new Error('killed'));
        throw new Error('killed');
      }
      kept.push(entry);
    },
    caller: {} as EngineHost['caller'],
    bus: {} as EngineHost['bus'],
    sleep: async () => undefined,
    dynamicReference: async (_service, reference) => `resolved-${reference}`,
    exports: new Map(),
    availabilityZones: () => [],
    signal: stop.signal,
  };
  const result = await runStack(operation, host, past);
  const events = kept
    .flatMap((entry) => entry.events)
    .map((e) => `${e.logicalId} ${e.status}${e.reason ? ` (${e.reason})` : ''}`);
  return { ...result, journal: kept, events };
}

const three = `
Resources:
  A: { Type: Test::Thing, Properties: { Size: 1 } }
  B: { Type: Test::Thing, Properties: { Of: !Ref A, Arn: !GetAtt A.Arn } }
  C: { Type: Test::Thing, Properties: { Size: 1 } }
Outputs:
  B: { Value: !GetAtt B.Arn, Export: { Name: !Sub '\${AWS::StackName}-b' } }
`;

describe('creating', () => {
  it('makes each resource once what it needs is there, and tells it in CloudFormation’s events', async () => {
    const world = new World();
    const { status, events, resources, outputs } = await run(world, operationOf('CREATE', three));
    expect(status).toBe('CREATE_COMPLETE');
    expect(world.calls).toEqual(['create A', 'create C', 'create B']);
    expect(world.most).toBe(2);
    expect(events[0]).toBe('shop CREATE_IN_PROGRESS (User Initiated)');
    expect(events.filter((text) => text.startsWith('A '))).toEqual([
      'A CREATE_IN_PROGRESS',
      'A CREATE_IN_PROGRESS (Resource creation Initiated)',
      'A CREATE_COMPLETE',
    ]);
    expect(events.at(-1)).toBe('shop CREATE_COMPLETE');
    const a = resources.find((resource) => resource.logicalId === 'A') as LiveResource;
    const b = resources.find((resource) => resource.logicalId === 'B') as LiveResource;
    expect(a.physicalId).toMatch(/^shop-A-[A-Za-z0-9]{12}$/);
    expect(b.properties).toEqual({ Of: a.physicalId, Arn: `arn:thing:${a.physicalId}` });
    expect(b.dependsOn).toEqual(['A']);
    expect(outputs).toEqual([{ key: 'B', value: `arn:thing:${b.physicalId}`, exportName: 'shop-b' }]);
  });

  it('rolls back at a failure: what was made goes, in the reverse order', async () => {
    const world = new World();
    world.failing.set('create B', 'no room');
    const { status, events, resources } = await run(world, operationOf('CREATE', three));
    expect(status).toBe('ROLLBACK_COMPLETE');
    expect(resources).toEqual([]);
    expect(world.things.size).toBe(0);
    expect(events.find((text) => text.startsWith('B CREATE_FAILED'))).toMatch(
      /^B CREATE_FAILED \(Resource handler returned message: "no room" \(RequestToken: [0-9a-f-]{36}, HandlerErrorCode: GeneralServiceException\)\)$/,
    );
    expect(events).toContain(
      'shop ROLLBACK_IN_PROGRESS (The following resource(s) failed to create: [B]. Rollback requested by user.)',
    );
    expect(events.indexOf('B DELETE_COMPLETE')).toBeLessThan(events.indexOf('A DELETE_IN_PROGRESS'));
    expect(events.at(-1)).toBe('shop ROLLBACK_COMPLETE');
  });

  it('calls what was under way at the failure cancelled, and deletes it too', async () => {
    const world = new World();
    world.failing.set('create A', 'no');
    const { events } = await run(world, operationOf('CREATE', three));
    expect(events).toContain('C CREATE_FAILED (Resource creation cancelled)');
    expect(world.things.size).toBe(0);
    expect(world.calls).not.toContain('create B');
  });

  it('leaves everything as it is with DO_NOTHING, and deletes the stack with DELETE', async () => {
    const world = new World();
    world.failing.set('create B', 'no');
    const kept = await run(world, operationOf('CREATE', three, { onFailure: 'DO_NOTHING' }));
    expect([kept.status, kept.reason]).toEqual(['CREATE_FAILED', 'The following resource(s) failed to create: [B]. ']);
    expect(world.things.size).toBe(2);
    const other = new World();
    other.failing.set('create B', 'no');
    const gone = await run(other, operationOf('CREATE', three, { onFailure: 'DELETE' }));
    expect(gone.status).toBe('DELETE_COMPLETE');
    expect(other.things.size).toBe(0);
  });

  it('ends in ROLLBACK_FAILED when a deletion fails, leaving what that resource needs', async () => {
    const world = new World();
    world.failing.set('create C', 'no').set('delete B', 'stuck');
    const { status, reason, resources } = await run(
      world,
      operationOf('CREATE', three.replace('C: { Type: Test::Thing,', 'C: { Type: Test::Thing, DependsOn: B,')),
    );
    expect([status, reason]).toEqual(['ROLLBACK_FAILED', 'The following resource(s) failed to delete: [B]. ']);
    expect(resources.map((resource) => [resource.logicalId, resource.status])).toEqual([
      ['A', 'CREATE_COMPLETE'],
      ['B', 'DELETE_FAILED'],
    ]);
  });

  it('keeps what RetainExceptOnCreate says only outside of the creation’s own rollback, and Retain always', async () => {
    const text = `
Resources:
  A: { Type: Test::Thing, DeletionPolicy: Retain }
  B: { Type: Test::Thing, DeletionPolicy: RetainExceptOnCreate }
  C: { Type: Test::Thing, DependsOn: [A, B] }
`;
    const world = new World();
    world.failing.set('create C', 'no');
    const { events } = await run(world, operationOf('CREATE', text));
    expect(events).toContain('A DELETE_SKIPPED');
    expect(events).toContain('B DELETE_COMPLETE');
    const whole = new World();
    const { resources } = await run(whole, operationOf('CREATE', text));
    const deleted = await run(whole, operationOf('DELETE', text, { previous: resources }));
    expect(deleted.status).toBe('DELETE_COMPLETE');
    expect(whole.things.size).toBe(2);
  });

  it('refuses a bad property and a failing output with the resource and the reason', async () => {
    const world = new World();
    const shaped: ResourceType = { ...world.thing, required: ['Size'], properties: ['Size'] };
    Object.assign(world, { thing: shaped });
    const bad = await run(
      world,
      operationOf('CREATE', 'Resources: { A: { Type: Test::Thing, Properties: { Sise: 1 } } }'),
    );
    expect(bad.events).toContain(
      'A CREATE_FAILED (Properties validation failed for resource A with message:\n#: required key [Size] not found\n#: extraneous key [Sise] is not permitted)',
    );
    const output = await run(
      new World(),
      operationOf('CREATE', 'Resources: { A: { Type: Test::Thing } }\nOutputs: { O: { Value: !GetAtt A.Colour } }'),
    );
    expect(output.events).toContain(
      'shop ROLLBACK_IN_PROGRESS (Template error: resource A does not support attribute type Colour in Fn::GetAtt. Rollback requested by user.)',
    );
  });
});

describe('updating', () => {
  async function created(world: World, text = three): Promise<readonly LiveResource[]> {
    const { resources } = await run(world, operationOf('CREATE', text));
    world.calls.length = 0;
    return resources;
  }

  it('touches only what changed', async () => {
    const world = new World();
    const previous = await created(world);
    const { status, events } = await run(
      world,
      operationOf(
        'UPDATE',
        three.replace('C: { Type: Test::Thing, Properties: { Size: 1', 'C: { Type: Test::Thing, Properties: { Size: 2'),
        { previous },
      ),
    );
    expect(status).toBe('UPDATE_COMPLETE');
    expect(world.calls).toEqual(['update C']);
    expect(events).toEqual([
      'shop UPDATE_IN_PROGRESS (User Initiated)',
      'C UPDATE_IN_PROGRESS',
      'C UPDATE_COMPLETE',
      'shop UPDATE_COMPLETE_CLEANUP_IN_PROGRESS',
      'shop UPDATE_COMPLETE',
    ]);
  });

  it('replaces: new one first, then who refers to it, then the old one goes in the cleanup', async () => {
    const world = new World();
    const previous = await created(world);
    const { events, resources } = await run(
      world,
      operationOf('UPDATE', three.replace('Size: 1', 'Size: 1, Key: k'), { previous }),
    );
    expect(world.calls).toEqual(['create A', 'update B', 'delete A']);
    // The order recorded on AWS: LocalStack, test_change_set_ref, test_immutable_property_update_causes_resource_replacement.
    expect(events.filter((text) => text.startsWith('A '))).toEqual([
      'A UPDATE_IN_PROGRESS (Requested update requires the creation of a new physical resource; hence creating one.)',
      'A UPDATE_IN_PROGRESS (Resource creation Initiated)',
      'A UPDATE_COMPLETE',
      'A DELETE_IN_PROGRESS',
      'A DELETE_COMPLETE',
    ]);
    expect(events.indexOf('shop UPDATE_COMPLETE_CLEANUP_IN_PROGRESS')).toBeLessThan(
      events.indexOf('A DELETE_IN_PROGRESS'),
    );
    const physical = (id: string, of: readonly LiveResource[]): string | undefined =>
      of.find((r) => r.logicalId === id)?.physicalId;
    expect(physical('A', resources)).not.toBe(physical('A', previous));
    expect([...world.things.keys()].sort()).toEqual(resources.map((resource) => resource.physicalId).sort());
  });

  it('refuses to replace under a name that the user gave', async () => {
    const text = 'Resources: { A: { Type: Test::Thing, Properties: { Name: mine, Key: 1 } } }';
    const world = new World();
    const previous = await created(world, text);
    const { status, events } = await run(world, operationOf('UPDATE', text.replace('Key: 1', 'Key: 2'), { previous }));
    expect(status).toBe('UPDATE_ROLLBACK_COMPLETE');
    expect(events).toContain(
      'A UPDATE_FAILED (CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename mine and update the stack again.)',
    );
    expect(world.calls).toEqual([]);
  });

  it('deletes nothing where a type answers a replacement with the resource that it had', async () => {
    const text = 'Resources: { A: { Type: Test::Thing, Properties: { Key: 1 } } }';
    const world = new World();
    const previous = await created(world, text);
    const [id] = [...world.things.keys()] as [string];
    Object.assign(world.thing, { create: async () => ({ physicalId: id, attributes: {} }) });
    const { status } = await run(world, operationOf('UPDATE', text.replace('Key: 1', 'Key: 2'), { previous }));
    expect([status, world.things.has(id)]).toEqual(['UPDATE_COMPLETE', true]);
  });

  const changed = `
Resources:
  A: { Type: Test::Thing, Properties: { Size: 1, Key: k } }
  B: { Type: Test::Thing, Properties: { Of: !Ref A, Arn: !GetAtt A.Arn } }
  D: { Type: Test::Thing, Properties: { Of: !Ref B } }
  E: { Type: Test::Thing, DependsOn: D }
`;

  it('brings everything back when one fails: changes undone, replacements dropped, new resources deleted', async () => {
    const world = new World();
    const previous = await created(world);
    const before = new Map(world.things);
    world.failing.set('create E', 'no');
    const { status, events, resources } = await run(world, operationOf('UPDATE', changed, { previous }));
    expect(status).toBe('UPDATE_ROLLBACK_COMPLETE');
    expect(events).toContain('shop UPDATE_ROLLBACK_IN_PROGRESS (The following resource(s) failed to create: [E]. )');
    expect(events).toContain('shop UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS');
    expect(world.things).toEqual(before);
    expect(resources.map((r) => [r.logicalId, r.physicalId]).sort()).toEqual(
      previous.map((r) => [r.logicalId, r.physicalId]).sort(),
    );
  });

  it('stops in UPDATE_ROLLBACK_FAILED, and goes on from there, skipping what is asked', async () => {
    const world = new World();
    const previous = await created(world);
    const text = three
      .replaceAll('Size: 1', 'Size: 2')
      .replace('C: { Type: Test::Thing,', 'C: { Type: Test::Thing, DependsOn: B,');
    world.failing.set('update C', 'no');
    const operation = operationOf('UPDATE', text, { previous });
    const failed = await run(world, operation);
    expect([failed.status, failed.reason]).toEqual([
      'UPDATE_ROLLBACK_FAILED',
      'The following resource(s) failed to update: [C]. ',
    ]);
    const again = await run(world, operation, [...failed.journal, ...continueRollback(operation, ['C'])]);
    expect(again.status).toBe('UPDATE_ROLLBACK_COMPLETE');
  });

  it('with DO_NOTHING keeps what there is, and the next update does what is left', async () => {
    const world = new World();
    const previous = await created(world);
    world.failing.set('create E', 'no');
    const first = await run(world, operationOf('UPDATE', changed, { previous, onFailure: 'DO_NOTHING' }));
    expect(first.status).toBe('UPDATE_FAILED');
    expect(first.leftOver.map((resource) => resource.logicalId)).toEqual(['A']);
    world.failing.clear();
    world.calls.length = 0;
    const { resources, leftOver } = first;
    const second = await run(
      world,
      operationOf('UPDATE', changed, { previous: resources, leftOver, operationId: 'op-2' }),
    );
    expect(second.status).toBe('UPDATE_COMPLETE');
    expect([...world.calls].sort()).toEqual(['create E', 'delete A', 'delete C']);
    expect([...world.things.keys()].sort()).toEqual(second.resources.map((resource) => resource.physicalId).sort());
  });

  it('does not fail for a deletion in the cleanup, and keeps what UpdateReplacePolicy says', async () => {
    const world = new World();
    const previous = await created(world);
    world.failing.set('delete C', 'stuck');
    const { status, reason } = await run(world, operationOf('UPDATE', changed, { previous }));
    expect([status, reason]).toEqual(['UPDATE_COMPLETE', 'The following resource(s) failed to delete: [C]. ']);
    const retain = 'Resources: { A: { Type: Test::Thing, UpdateReplacePolicy: Retain, Properties: { Key: 1 } } }';
    const other = new World();
    const kept = await run(
      other,
      operationOf('UPDATE', retain.replace('Key: 1', 'Key: 2'), { previous: await created(other, retain) }),
    );
    expect(kept.events).toContain('A DELETE_SKIPPED');
    expect(other.things.size).toBe(2);
  });
});

describe('a crash at any step', () => {
  const next = `
Resources:
  A: { Type: Test::Thing, Properties: { Size: 1, Key: k } }
  B: { Type: Test::Thing, Properties: { Of: !Ref A, Arn: !GetAtt A.Arn } }
  D: { Type: Test::Thing, Properties: { Of: !Ref B, Secret: '{{resolve:ssm:/key}}' } }
`;

  it.each([
    ['CREATE', undefined],
    ['CREATE', 'create B'],
    ['UPDATE', undefined],
    ['UPDATE', 'create D'],
    ['DELETE', undefined],
  ] as const)(
    '%s, failing: %s: ends as it would have without, nothing twice and nothing left behind',
    async (kind, failing) => {
      const prepare = async (): Promise<{ world: World; operation: StackOperation }> => {
        const world = new World();
        const previous = kind === 'CREATE' ? [] : (await run(world, operationOf('CREATE', three))).resources;
        if (failing) world.failing.set(failing, 'no');
        return { world, operation: operationOf(kind, kind === 'CREATE' ? three : next, { previous }) };
      };
      const whole = await prepare();
      const expected = await run(whole.world, whole.operation);
      for (let limit = 1; limit < expected.journal.length; limit++) {
        const { world, operation } = await prepare();
        const kept: JournalEntry[] = [];
        await expect(run(world, operation, [], limit, kept)).rejects.toThrow('killed');
        const { status, resources, events } = await run(world, operation, kept);
        expect([limit, status]).toEqual([limit, expected.status]);
        expect(resources.map((r) => r.physicalId).sort()).toEqual(expected.resources.map((r) => r.physicalId).sort());
        expect([...world.things]).toEqual(expect.arrayContaining([...whole.world.things]));
        expect(world.things.size).toBe(whole.world.things.size);
        expect([...events].sort()).toEqual([...expected.events].sort());
      }
    },
  );

  it('gives a retried step the same token and name', async () => {
    const seen: { clientToken: string; retried: boolean | undefined }[] = [];
    const world = new World();
    const { create } = world.thing;
    Object.assign(world.thing, {
      create: (ctx: ResourceContext, properties: Properties) => {
        seen.push({ clientToken: ctx.clientToken, retried: ctx.retried });
        return create(ctx, properties);
      },
    });
    const operation = operationOf('CREATE', 'Resources: { A: { Type: Test::Thing } }');
    const kept: JournalEntry[] = [];
    await expect(run(world, operation, [], 2, kept)).rejects.toThrow('killed');
    expect((await run(world, operation, kept)).status).toBe('CREATE_COMPLETE');
    expect(seen.map(({ retried }) => retried)).toEqual([false, true]);
    expect(new Set(seen.map(({ clientToken }) => clientToken)).size).toBe(1);
    expect(world.things.size).toBe(1);
  });
});
