import type { Entry, Key } from '../../../kernel/store/contract.ts';
import type { RequestContext } from '../../../platform/context.ts';
import { type Environment, onQueue } from '../environment.ts';
import { encodeMessage } from '../message.ts';
import type { Queue } from '../queues.ts';
import { deduplicationHash, deduplicationIdOf } from '../rules/fifo.ts';
import type { CheckedMessage, SendInput } from '../rules/messages.ts';
import { sequenceNumber } from '../rules/sequence.ts';
import { type DeduplicationRecord, decodeRecord, deduplicationKey, encodeRecord } from '../state.ts';
import { commitEdits, editGroup, lockName } from './group-edit.ts';
import { epochOf, forgetJob, willForget } from './remembered.ts';

/** A checked message for a FIFO queue. */
export interface FifoSend {
  readonly input: SendInput;
  readonly checked: CheckedMessage;
}

export interface FifoSent {
  readonly MessageId: string;
  readonly SequenceNumber: string;
  readonly MD5OfMessageBody: string;
  readonly MD5OfMessageAttributes: string | undefined;
  readonly MD5OfMessageSystemAttributes: string | undefined;
}

/** A send that waits for its group's turn. */
interface Waiting {
  readonly context: RequestContext;
  readonly sends: readonly FifoSend[];
  outcome: Promise<readonly FifoSent[]> | undefined;
}

/** Sends of one turn: the others have the next one. */
const mostTogether = 50;

/** Sends to FIFO queues. What arrives for a group while a commit of it is on its way goes into the next one together. */
export class GroupSender {
  readonly #waiting = new Map<string, Waiting[]>();

  /**
   * Sends messages of one group, in their order and in one commit. A duplicate is answered with the id and the sequence of the
   * message that it repeats, and is not delivered.
   */
  async send(
    env: Environment,
    context: RequestContext,
    queue: Queue,
    queueUrl: string,
    group: string,
    sends: readonly FifoSend[],
  ): Promise<readonly FifoSent[]> {
    const name = lockName(queue, group);
    const own: Waiting = { context, sends, outcome: undefined };
    const line = this.#waiting.get(name);
    if (line === undefined) this.#waiting.set(name, [own]);
    else line.push(own);
    const letGo = await env.groupLocks.lock(name);
    try {
      if (own.outcome === undefined) this.#sendTogether(env, name, queueUrl, group);
      return await own.outcome!;
    } finally {
      letGo();
    }
  }

  /** Everyone that waits, in the order of arrival; each is answered its own part. */
  #sendTogether(env: Environment, name: string, queueUrl: string, group: string): void {
    const line = this.#waiting.get(name)!;
    const together = line.splice(0, mostTogether);
    if (line.length === 0) this.#waiting.delete(name);
    const all = together.flatMap(({ context, sends }) => sends.map((send) => ({ ...send, context })));
    const sent = onQueue(env, together[0]!.context, queueUrl, (queue) => attempt(env, queue, group, all));
    let start = 0;
    for (const one of together) {
      const [from, to] = [start, start + one.sends.length];
      start = to;
      one.outcome = sent.then((results) => results.slice(from, to));
      // Whoever asked for it will hear of its failure in its turn.
      one.outcome.catch(() => {});
    }
  }
}

async function attempt(
  env: Environment,
  queue: Queue,
  group: string,
  sends: readonly (FifoSend & { readonly context: RequestContext })[],
): Promise<readonly FifoSent[] | undefined> {
  const { store, clock, random } = env.platform;
  const { id, generation } = queue.record;
  const fifo = queue.config.fifo!;
  const sentAtMs = clock.now();
  const epoch = epochOf(env, sentAtMs);
  const edit = await editGroup(env, queue, group);
  const hashes = sends.map(({ input }) => {
    const deduplicationId = input.MessageDeduplicationId ?? deduplicationIdOf(input.MessageBody);
    return { deduplicationId, hash: deduplicationHash(fifo, group, deduplicationId) };
  });
  const keysOf = (hash: Buffer): readonly [Key, Key] => [
    deduplicationKey(id, generation, epoch, hash),
    deduplicationKey(id, generation, epoch - 1, hash),
  ];
  const known = await store.getMany(hashes.flatMap(({ hash }) => keysOf(hash)));
  const checks: { key: Key; version: number | null }[] = [];
  const set: { key: Key; value: Buffer }[] = [];
  const added = new Map<string, DeduplicationRecord>();
  const sent = sends.map(({ context, input, checked }, index): FifoSent => {
    const { deduplicationId, hash } = hashes[index]!;
    const name = hash.toString('latin1');
    let record =
      added.get(name) ?? stillKnown(known[index * 2], sentAtMs, env) ?? stillKnown(known[index * 2 + 1], sentAtMs, env);
    const md5s = {
      MD5OfMessageAttributes: checked.attributesMd5,
      MD5OfMessageSystemAttributes: checked.systemAttributesMd5,
    };
    const traceHeader = checked.extras?.traceHeader ?? context.traceHeader;
    const messageId = record?.messageId ?? random.uuid();
    const { value, bodyMd5 } = encodeMessage({
      messageId,
      sentAtMs,
      senderId: context.principal.id,
      body: input.MessageBody,
      bodyBytes: checked.bodyBytes,
      extras: {
        ...checked.extras,
        ...(traceHeader === undefined ? {} : { traceHeader }),
        groupId: group,
        deduplicationId,
      },
    });
    if (record === undefined) {
      const [now, before] = keysOf(hash);
      record = { atMs: sentAtMs, messageId, sequence: edit.append(value, sentAtMs) };
      added.set(name, record);
      checks.push({ key: now, version: null }, { key: before, version: known[index * 2 + 1]?.version ?? null });
      set.push({ key: now, value: encodeRecord(record) });
    }
    return {
      MessageId: messageId,
      SequenceNumber: sequenceNumber(record.sequence),
      MD5OfMessageBody: bodyMd5,
      ...md5s,
    };
  });
  if (added.size === 0) return sent;
  if (!(await commitEdits(env, [edit], { checks, set, schedule: forgetJob(env, queue, epoch) }))) return undefined;
  willForget(env, queue, epoch);
  return sent;
}

function stillKnown(entry: Entry | undefined, nowMs: number, env: Environment): DeduplicationRecord | undefined {
  if (entry === undefined) return undefined;
  const record = decodeRecord<DeduplicationRecord>(entry.value);
  return record.atMs + env.limits.deduplicationMs > nowMs ? record : undefined;
}
