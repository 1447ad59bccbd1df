import { afterEach, beforeEach, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { serviceCaller } from '../../platform/context.ts';
import type { Platform } from '../../platform/service.ts';
import { FakeStreams } from './fake-streams.test-support.ts';
import type { MappingRecord, StreamSettings } from './state.ts';
import { claimShards, discoverShards, forgottenShards } from './stream-shards.ts';

const place = { account: '000000000000', region: 'us-east-1' };
const caller = serviceCaller('lambda', place.account, place.region);
const arn = 'arn:aws:kinesis:us-east-1:000000000000:stream/s';
const settings: StreamSettings = {
  startingPosition: 'TRIM_HORIZON',
  parallelization: 1,
  bisects: false,
  retries: -1,
  recordAgeSeconds: -1,
  tumblingSeconds: 0,
};
const mapping = { ...place, uuid: 'u', sourceArn: arn, stream: settings } as MappingRecord;

let test: TestCloud;
let platform: Platform;
let streams: FakeStreams;

beforeEach(async () => {
  test = await startTestCloud({ services: ['sts'], clock: 'virtual' });
  platform = test.cloud.platform;
  streams = FakeStreams.into(platform, 'kinesis');
  streams.create(arn, 'one');
});
afterEach(() => test.close());

/** As a process sees it that is not alone over the store. */
function sharing(): Platform {
  const store = new Proxy(platform.store, {
    get(target, name) {
      if (name === 'shared') return true;
      const member: unknown = Reflect.get(target, name);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  return { ...platform, store };
}

const discover = (of = settings) => discoverShards(platform, streams, mapping, of, caller);

it('hands a shard that a process has left to the next, and fences the first off', async () => {
  await discover();
  const [first] = await claimShards(sharing(), place, 'u', true);
  expect(await claimShards(sharing(), place, 'u', true)).toEqual([]);
  expect(await first!.commit({ at: 'AFTER', sequenceNumber: '7' }, undefined)).toBe(true);
  await test.clock.advance(20_000);
  expect(await first!.renew()).toBe(true);
  await test.clock.advance(20_000);
  expect(await claimShards(sharing(), place, 'u', true)).toEqual([]);
  await test.clock.advance(20_000);
  const [second] = await claimShards(sharing(), place, 'u', true);
  expect(second!.startedAt.position).toEqual({ at: 'AFTER', sequenceNumber: '7' });
  expect(await first!.commit({ at: 'AFTER', sequenceNumber: '8' }, undefined)).toBe(false);
  expect(await first!.renew()).toBe(false);
  expect(await first!.finish()).toBe(false);
  await second!.release();
  const [third] = await claimShards(sharing(), place, 'u', false);
  expect(third!.startedAt.position).toEqual({ at: 'AFTER', sequenceNumber: '7' });
});

it('takes over at once what a process that was killed held, where there is no other', async () => {
  await discover();
  const [killed] = await claimShards(platform, place, 'u', true);
  await killed!.commit({ at: 'AFTER', sequenceNumber: '7' }, undefined);
  await test.clock.advance(3_600_000);
  expect(await claimShards(platform, place, 'u', false)).toEqual([]);
  const [next] = await claimShards(platform, place, 'u', true);
  expect(next!.startedAt.position).toEqual({ at: 'AFTER', sequenceNumber: '7' });
});

it('keeps a long window state', async () => {
  await discover();
  const [lease] = await claimShards(platform, place, 'u', true);
  const window = { startMs: 60_000, state: JSON.stringify('x'.repeat(500_000)) };
  await lease!.commit({ at: 'TRIM_HORIZON' }, window);
  const [next] = await claimShards(platform, place, 'u', true);
  expect(await next!.window()).toEqual(window);
});

it('opens children when their parents are over, and begins with the latest only once', async () => {
  streams.replace(arn, ['one'], ['two', 'three']);
  const latest = { ...settings, startingPosition: 'LATEST' as const };
  await discover(latest);
  const open = await claimShards(platform, place, 'u', true);
  expect(open.map(({ shardId }) => shardId)).toEqual(['three', 'two']);
  streams.replace(arn, ['two', 'three'], ['four']);
  await discover(latest);
  expect(await claimShards(platform, place, 'u', false)).toEqual([]);
  await open[0]!.finish();
  await discover(latest);
  expect(await claimShards(platform, place, 'u', false)).toEqual([]);
  await open[1]!.finish();
  await discover(latest);
  const [child] = await claimShards(platform, place, 'u', false);
  expect(child).toMatchObject({ shardId: 'four', startedAt: { position: { at: 'TRIM_HORIZON' } } });
});

it('leaves nothing behind', async () => {
  await discover();
  await claimShards(platform, place, 'u', true);
  await platform.store.commit(await forgottenShards(platform.store, place, 'u'));
  expect(await claimShards(platform, place, 'u', true)).toEqual([]);
  await discover();
  expect(await claimShards(platform, place, 'u', true)).toHaveLength(1);
});
