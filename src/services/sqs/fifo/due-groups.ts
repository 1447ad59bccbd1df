import type { Environment } from '../environment.ts';
import type { Queue } from '../queues.ts';
import { editGroup, type GroupEdit, lockName } from './group-edit.ts';

/** Groups looked at together. */
const groupsPerLook = 10;

/** The groups of a queue that have something to give, one after the other, and held against other receivers of this process. */
export class DueGroups {
  readonly #env: Environment;
  readonly #queue: Queue;
  readonly #nowMs: number;
  readonly #releases: (() => void)[] = [];

  constructor(env: Environment, queue: Queue, nowMs: number) {
    this.#env = env;
    this.#queue = queue;
    this.#nowMs = nowMs;
  }

  /** The one that has waited longest comes first. They are held until `letGo`. */
  async *edits(): AsyncGenerator<GroupEdit> {
    const { store } = this.#env.platform;
    let after: { readonly dueAtMs: number; readonly id: Buffer } | undefined;
    for (;;) {
      const page = await store.listDue(this.#queue.partition, {
        beforeMs: this.#nowMs + 1,
        limit: groupsPerLook,
        ...(after === undefined ? {} : { after }),
      });
      for (const { id } of page) {
        const group = id.toString('latin1');
        const release = await this.#env.groupLocks.lockToReceive(lockName(this.#queue, group));
        if (release === undefined) continue;
        this.#releases.push(release);
        const edit = await editGroup(this.#env, this.#queue, group);
        // Nothing is left of one that was emptied since the look.
        if (edit.count > 0) yield edit;
      }
      const last = page.at(-1);
      if (last === undefined || page.length < groupsPerLook) return;
      after = { dueAtMs: last.dueAtMs, id: last.id };
    }
  }

  letGo(): void {
    for (const release of this.#releases) release();
  }
}
