import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { serviceCaller } from '../../platform/context.ts';
import type { ResourceContext } from '../../platform/resource-type.ts';
import { resourceTypes } from './resources.ts';

let cloud: TestCloud;
const caller = serviceCaller('cloudformation', '000000000000', 'us-east-1');

beforeAll(async () => {
  cloud = await startTestCloud({ services: ['logs'] });
});
afterAll(() => cloud.close());

function contextOf(logicalId: string): ResourceContext {
  return {
    caller,
    bus: cloud.cloud.platform.bus,
    stackName: 'stack',
    stackId: 'arn:aws:cloudformation:us-east-1:000000000000:stack/stack/1',
    logicalId,
    clientToken: logicalId,
    generatedName: () => `stack-${logicalId}-ABC123`,
    sleep: async () => {},
  };
}

test('a log group and a stream of a template', async () => {
  const [groupType, streamType] = resourceTypes as [(typeof resourceTypes)[0], (typeof resourceTypes)[0]];
  const properties = { RetentionInDays: 7, Tags: [{ Key: 'a', Value: '1' }] };
  const group = await groupType.create(contextOf('Group'), properties);
  expect(group).toEqual({
    physicalId: 'stack-Group-ABC123',
    attributes: { Arn: 'arn:aws:logs:us-east-1:000000000000:log-group:stack-Group-ABC123:*' },
  });
  expect(await groupType.create(contextOf('Group'), properties)).toEqual(group);
  await expect(groupType.create(contextOf('Other'), { LogGroupName: group.physicalId })).rejects.toMatchObject({
    code: 'ResourceAlreadyExistsException',
  });
  const { bus } = cloud.cloud.platform;
  const described = async () =>
    (await bus.call(caller, 'logs', 'DescribeLogGroups', { logGroupNamePrefix: group.physicalId })).logGroups?.[0];
  expect((await described())?.retentionInDays).toBe(7);
  await groupType.update(contextOf('Group'), group.physicalId, { Tags: [{ Key: 'b', Value: '2' }] }, properties);
  expect((await described())?.retentionInDays).toBeUndefined();
  const resourceArn = (await described())?.logGroupArn ?? '';
  const { tags = {} } = await bus.call(caller, 'logs', 'ListTagsForResource', { resourceArn });
  expect(Object.keys(tags).filter((key) => !key.startsWith('aws:'))).toEqual(['b']);

  const stream = await streamType.create(contextOf('Stream'), { LogGroupName: group.physicalId });
  expect(stream.physicalId).toBe('stack-Stream-ABC123');
  expect(await streamType.create(contextOf('Stream'), { LogGroupName: group.physicalId })).toEqual(stream);
  await streamType.delete(contextOf('Stream'), stream.physicalId, { LogGroupName: group.physicalId });
  await groupType.delete(contextOf('Group'), group.physicalId, {});
  await groupType.delete(contextOf('Group'), group.physicalId, {});
  expect(await described()).toBeUndefined();
});
