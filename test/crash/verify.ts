import { counterValue, type DueEntry, type Store } from '../../src/kernel/store/contract.ts';
import { prefixRange } from '../../src/kernel/store/keys.ts';
import { type Acknowledged, idOf, names } from './workload.ts';

/**
 * What is wrong with the store after a crash, given all that was acknowledged before: nothing acknowledged may be
 * missing, and nothing half-written may be there. An empty list is what one wants.
 */
export async function findDamage(store: Store, acknowledged: readonly Acknowledged[]): Promise<string[]> {
  return [...(await missing(store, acknowledged)), ...(await halfWritten(store)), ...(await dueInDisorder(store))];
}

async function missing(store: Store, acknowledged: readonly Acknowledged[]): Promise<string[]> {
  const damage: string[] = [];
  const finished = new Set(acknowledged.flatMap((one) => (one.kind === 'finished' ? [one.id] : [])));
  const due = new Map((await store.listDue(names.queue)).map((entry) => [entry.id.toString(), entry]));
  for (const one of acknowledged) {
    if (one.kind === 'created') damage.push(...(await missingParts(store, one)));
    if (one.kind === 'claimed' && !finished.has(one.id)) {
      const entry = due.get(one.id);
      // It may have been finished, and the answer lost in the crash.
      if (entry === undefined && (await store.get(names.done(one.id))) === undefined) damage.push(`${one.id} is lost`);
      if (entry !== undefined && entry.attempts < one.attempts) damage.push(`the claim of ${one.id} is lost`);
    }
    if (one.kind === 'finished') {
      if (due.has(one.id)) damage.push(`${one.id} is due again after it was finished`);
      if ((await store.get(names.done(one.id))) === undefined) damage.push(`that ${one.id} was finished is lost`);
    }
  }
  return damage;
}

async function missingParts(store: Store, created: Extract<Acknowledged, { kind: 'created' }>): Promise<string[]> {
  const { name, position, version } = created;
  const [left, right] = await store.getMany([names.left(name), names.right(name)]);
  const [logged] = await store.readLog(names.log, position, 1);
  return [
    ...(left?.value.toString().startsWith(name) && left.version === version ? [] : [`${name}: the left key is lost`]),
    ...(right?.value.toString().startsWith(name) ? [] : [`${name}: the right key is lost`]),
    ...(logged?.position === position && logged.value.toString() === name ? [] : [`${name}: its log entry is lost`]),
  ];
}

/** All parts of a commit count alike. */
async function halfWritten(store: Store): Promise<string[]> {
  const read = async (key: Buffer): Promise<number> => counterValue((await store.get(key))?.value);
  const lefts = await store.list(prefixRange(names.lefts));
  const rights = await store.list(prefixRange(names.rights));
  const logged = await store.readLog(names.log, 1, 1e9);
  const counts = {
    lefts: lefts.length,
    rights: rights.length,
    counter: await read(names.commits),
    logged: logged.length,
    position: (await store.nextPosition(names.log)) - 1,
    counted: await store.count(prefixRange(names.lefts)),
  };
  const damage: string[] = [];
  if (new Set(Object.values(counts)).size !== 1) damage.push(`the parts of commits differ: ${JSON.stringify(counts)}`);
  for (const [index, left] of lefts.entries()) {
    if (rights[index]?.value.equals(left.value) !== true) damage.push(`a pair differs at ${index}`);
  }
  const texts = new Set(logged.map(({ value }) => value.toString()));
  if (texts.size !== logged.length) damage.push('the log has an entry twice');
  const waiting = await read(names.waiting);
  const due = await store.countDue(names.queue);
  if (waiting !== due) damage.push(`${due} entries are due and ${waiting} are counted`);
  return damage;
}

/** The order by time and the entries by id say the same. */
async function dueInDisorder(store: Store): Promise<string[]> {
  const damage: string[] = [];
  const listed = await store.listDue(names.queue);
  if ((await store.nextDue(names.queue)) !== listed[0]?.dueAtMs)
    damage.push('the next due time is not that of the first');
  let previous: DueEntry | undefined;
  for (const entry of listed) {
    const found = await store.due(names.queue, entry.id);
    if (found === undefined || !sameEntry(found, entry)) damage.push(`${entry.id} differs by id and in order`);
    if (previous !== undefined && compare(previous, entry) >= 0) damage.push(`${entry.id} is out of order`);
    previous = entry;
  }
  const present = new Set(listed.map(({ id }) => id.toString()));
  for (const { value } of await store.list(prefixRange(names.lefts))) {
    const name = value.toString().replace(/\.*$/, '');
    if (present.has(name)) continue;
    if ((await store.due(names.queue, idOf(name))) !== undefined)
      damage.push(`${name} is there by id and not in order`);
    if ((await store.get(names.done(name))) === undefined) damage.push(`${name} is neither due nor done`);
  }
  return damage;
}

function compare(a: DueEntry, b: DueEntry): number {
  return a.dueAtMs - b.dueAtMs || a.id.compare(b.id);
}

function sameEntry(a: DueEntry, b: DueEntry): boolean {
  return (
    a.dueAtMs === b.dueAtMs &&
    a.attempts === b.attempts &&
    a.token === b.token &&
    a.firstClaimedAtMs === b.firstClaimedAtMs &&
    a.value.equals(b.value)
  );
}
