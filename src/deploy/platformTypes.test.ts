import { describe, expect, it } from 'vitest';
import type { ResourceContext as PlatformContext, ResourceType as PlatformType } from '../platform/resource-type.ts';
import { AwsError } from '../wire/errors.ts';
import { type ResourceContext, ResourceFailure } from './contract.ts';
import { fromPlatform, type PlatformSurroundings } from './platformTypes.ts';
import { shapeProperties } from './shapes.ts';

const surroundings = { sleep: async () => undefined } as unknown as PlatformSurroundings;
const context = {
  stackName: 's',
  stackId: 'arn:s',
  logicalId: 'Q',
  clientToken: 't',
  generatedName: () => 'n',
} as unknown as ResourceContext;

function typeWith(create: PlatformType['create']): PlatformType {
  return {
    typeName: 'AWS::SQS::Queue',
    properties: ['QueueName', 'Tags'],
    required: ['QueueName'],
    createOnly: ['QueueName'],
    create,
    update: async (_context, physicalId, properties, old) => ({
      physicalId,
      attributes: { now: properties['a'], was: old['a'] },
    }),
    delete: async () => undefined,
  };
}

describe('a service’s resource type in the engine', () => {
  it('gets its own context and order of arguments', async () => {
    const seen: PlatformContext[] = [];
    const type = fromPlatform(
      typeWith(async (given) => {
        seen.push(given);
        return { physicalId: given.generatedName({ maxLength: 9 }), attributes: { Arn: 'a' } };
      }),
      surroundings,
    );
    expect(await type.create(context, 'Q', {})).toEqual({ physicalId: 'n', attributes: { Arn: 'a' } });
    expect(seen[0]).toMatchObject({ stackName: 's', stackId: 'arn:s', logicalId: 'Q', clientToken: 't' });
    expect(await type.update?.(context, 'p', { a: 'old' }, { a: 'new' })).toEqual({
      physicalId: 'p',
      attributes: { now: 'new', was: 'old' },
    });
    expect(type).toMatchObject({ nameProperty: 'QueueName', createOnly: ['QueueName'] });
  });

  it('has its properties checked and its errors brought to CloudFormation’s codes', async () => {
    const type = fromPlatform(
      typeWith(async () => {
        throw new AwsError('QueueAlreadyExists', 'it is there');
      }),
      surroundings,
    );
    await expect(type.create(context, 'Q', {})).rejects.toMatchObject({
      message: 'it is there',
      handlerErrorCode: 'AlreadyExists',
    });
    await expect(type.create(context, 'Q', {})).rejects.toBeInstanceOf(ResourceFailure);
    expect(() => shapeProperties(type, { Colour: 1 })).toThrow(
      'Property validation failure: [The property {/QueueName} is required, Encountered unsupported properties in {/}: [Colour]]',
    );
  });
});
