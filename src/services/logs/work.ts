import type { Job } from '../../kernel/agenda/agenda.ts';
import type { Platform } from '../../platform/service.ts';
import { dayMs } from './limits.ts';
import {
  type Chunk,
  type ChunkRef,
  chunkRefOf,
  chunkSpanMs,
  chunkStoredBytes,
  type GroupRecord,
  keys,
  type Place,
  read,
  streamChunkRefOf,
} from './state.ts';

/** Removes what a deleted group leaves behind; its key is the group's id. */
export const purgeGroupJob = 'logs.purge-group';
/** The same for a stream; its payload names the group. */
export const purgeStreamJob = 'logs.purge-stream';
/** Removes events whose retention has ended; one job for each group that has a retention. */
export const retentionJob = 'logs.retention';

/** A group is swept no sooner than this after the last time: reading hides what is over anyway. */
export const sweepPauseMs = 3_600_000;

const leaseMs = 60_000;
const perCommit = 200;

export function startWork({ agenda, store, clock }: Platform): void {
  agenda.handle(purgeGroupJob, { concurrency: 1, leaseMs, run: purgeGroup });
  agenda.handle(purgeStreamJob, { concurrency: 2, leaseMs, run: purgeStream });
  agenda.handle(retentionJob, { concurrency: 2, leaseMs, run: sweepGroup });

  async function purgeGroup(job: Job): Promise<void> {
    const id = job.key;
    for (const range of [keys.streams(id), keys.lasts(id)]) {
      for (;;) {
        const entries = await store.list(range, { limit: perCommit });
        if (entries.length === 0) break;
        await store.commit({ delete: entries.map(({ key }) => key) });
        if (job.signal.aborted) return;
      }
    }
    for (;;) {
      const entries = await store.list(keys.chunks(id), { limit: perCommit });
      if (entries.length === 0) break;
      await store.commit({ delete: entries.flatMap(({ key }) => [key, keys.of(id, chunkRefOf(key))]) });
      if (job.signal.aborted) return;
    }
    await store.commit({ delete: [keys.stored(id)], settle: [job.done()] });
  }

  async function purgeStream(job: Job): Promise<void> {
    const { groupId, streamId } = JSON.parse(job.payload.toString('utf8')) as { groupId: string; streamId: string };
    for (;;) {
      const pointers = await store.list(keys.chunksOf(groupId, streamId), { limit: perCommit });
      if (pointers.length === 0) break;
      await removeChunks(
        groupId,
        pointers.map(({ key }) => streamChunkRefOf(key)),
      );
      if (job.signal.aborted) return;
    }
    await store.commit({ settle: [job.done()] });
  }

  async function sweepGroup(job: Job): Promise<void> {
    const place = JSON.parse(job.payload.toString('utf8')) as Place & { readonly name: string };
    const group = (await read<GroupRecord>(store, keys.group(place, place.name)))?.value;
    if (group?.id !== job.key || group.retentionDays === undefined) {
      await store.commit({ settle: [job.done()] });
      return;
    }
    const retentionMs = group.retentionDays * dayMs;
    for (;;) {
      // A chunk goes when its last event is surely over.
      const range = keys.chunks(group.id, undefined, Math.max(0, clock.now() - retentionMs - chunkSpanMs));
      const entries = await store.list(range, { limit: perCommit });
      if (entries.length === 0) break;
      await removeChunks(
        group.id,
        entries.map(({ key }) => chunkRefOf(key)),
      );
      if (job.signal.aborted) return;
    }
    const [oldest] = await store.list(keys.chunks(group.id), { limit: 1 });
    const oldestMs = oldest === undefined ? clock.now() : chunkRefOf(oldest.key).firstMs;
    const nextMs = Math.max(clock.now() + sweepPauseMs, oldestMs + retentionMs + chunkSpanMs);
    await store.commit({ settle: [job.again(nextMs)] });
  }

  async function removeChunks(groupId: string, refs: readonly ChunkRef[]): Promise<void> {
    const found = await store.getMany(refs.map((ref) => keys.chunk(groupId, ref)));
    const bytes = found.reduce(
      (sum, entry) =>
        entry === undefined ? sum : sum + chunkStoredBytes(JSON.parse(entry.value.toString('utf8')) as Chunk),
      0,
    );
    // Counted only once, also when a crash makes this run again.
    const checks = found.flatMap((entry) => (entry === undefined ? [] : [{ key: entry.key, version: entry.version }]));
    await store.commit({
      checks,
      delete: refs.flatMap((ref) => [keys.chunk(groupId, ref), keys.of(groupId, ref)]),
      ...(bytes === 0 ? {} : { sum: [{ key: keys.stored(groupId), delta: -bytes }] }),
    });
  }
}
