import type { Clock, Timer } from '../../kernel/clock/contract.ts';
import type { Key, Store } from '../../kernel/store/contract.ts';

/** 'turn': there is something to receive; 'moved': look at the queue anew; the rest ends the wait. */
export type Wakening = 'turn' | 'moved' | 'timeout' | 'gone';

/** How often a store that other processes write to is asked although no hint came. */
const pollMs = 1000;

/**
 * Where receivers wait for messages of a queue. A hint of the store, or the moment at which the next message becomes
 * visible, makes the room look once, and as many receivers as there are visible messages are called in, in the order in
 * which they came: the others sleep on, however many there are.
 */
export class WaitingRooms {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #rooms = new Map<string, Room>();
  #closed = false;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /**
   * A place in the line for messages of this partition; `leave` must follow. `others`: the partitions that stand beside it for
   * the same receivers, all of whose keys begin with its own.
   */
  enter(partition: Key, others: () => Promise<readonly Key[]> = none): Seat {
    const name = partition.toString('latin1');
    let room = this.#rooms.get(name);
    if (room === undefined) {
      room = new Room(this.#store, this.#clock, partition, others, () => this.#rooms.delete(name));
      this.#rooms.set(name, room);
    }
    const seat = new Seat(room, this.#clock, this.#closed);
    room.seats.add(seat);
    return seat;
  }

  /** Wakes everyone who waits at this partition: its queue was purged or deleted. */
  moved(partition: Key): void {
    const room = this.#rooms.get(partition.toString('latin1'));
    for (const seat of [...(room?.waiting ?? [])]) seat.wake('moved');
  }

  close(): void {
    this.#closed = true;
    for (const room of [...this.#rooms.values()]) for (const seat of [...room.waiting]) seat.wake('gone');
  }
}

async function none(): Promise<readonly Key[]> {
  return [];
}

class Seat {
  readonly #room: Room;
  readonly #clock: Clock;
  #closed: boolean;
  #wake: ((how: Wakening) => void) | undefined;

  constructor(room: Room, clock: Clock, closed: boolean) {
    this.#room = room;
    this.#clock = clock;
    this.#closed = closed;
  }

  /** Waits for a turn until the time given. A turn ends with the next `wait` or with `leave`. */
  wait(untilMs: number, signal: AbortSignal): Promise<Wakening> {
    const again = this.#room.endTurn(this);
    if (this.#closed || signal.aborted) return Promise.resolve('gone');
    return new Promise((resolve) => {
      const onAbort = (): void => this.wake('gone');
      const timer = this.#clock.at(untilMs, () => this.wake('timeout'));
      this.#wake = (how) => {
        timer.cancel();
        signal.removeEventListener('abort', onAbort);
        resolve(how);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#room.join(this, again);
    });
  }

  wake(how: Wakening): void {
    const wake = this.#wake;
    if (wake === undefined) return;
    if (how === 'gone') this.#closed = true;
    this.#wake = undefined;
    this.#room.stopWaiting(this);
    wake(how);
  }

  leave(): void {
    this.#room.endTurn(this);
    this.#room.leave(this);
  }
}

export type { Seat };

class Room {
  readonly seats = new Set<Seat>();
  /** In the order of their turns. */
  readonly waiting: Seat[] = [];
  readonly #atWork = new Set<Seat>();
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #partition: Key;
  readonly #others: () => Promise<readonly Key[]>;
  readonly #onEmpty: () => void;
  readonly #unwatch: () => void;
  #timer: Timer | undefined;
  #looking = false;
  #lookAgain = false;

  constructor(store: Store, clock: Clock, partition: Key, others: () => Promise<readonly Key[]>, onEmpty: () => void) {
    this.#store = store;
    this.#clock = clock;
    this.#partition = partition;
    this.#others = others;
    this.#onEmpty = onEmpty;
    this.#unwatch = store.watch(partition, () => this.#look());
  }

  /** Who was called in and found nothing waits in front again. */
  join(seat: Seat, first: boolean): void {
    if (first) this.waiting.unshift(seat);
    else this.waiting.push(seat);
    this.#look();
  }

  stopWaiting(seat: Seat): void {
    const index = this.waiting.indexOf(seat);
    if (index >= 0) this.waiting.splice(index, 1);
  }

  /** Whether the seat had a turn. */
  endTurn(seat: Seat): boolean {
    const had = this.#atWork.delete(seat);
    if (had) this.#look();
    return had;
  }

  leave(seat: Seat): void {
    this.stopWaiting(seat);
    this.seats.delete(seat);
    if (this.seats.size > 0) return;
    this.#timer?.cancel();
    this.#unwatch();
    this.#onEmpty();
  }

  #look(): void {
    this.#lookAgain = true;
    if (this.#looking || this.waiting.length === 0) return;
    this.#looking = true;
    // Looking is work: virtual time must not jump while someone is about to be called in.
    const idle = this.#clock.busy();
    this.#lookUntilQuiet()
      .catch(() => this.#arm(this.#clock.now() + pollMs))
      .finally(() => {
        this.#looking = false;
        setImmediate(idle);
      });
  }

  async #lookUntilQuiet(): Promise<void> {
    while (this.#lookAgain && this.waiting.length > 0) {
      this.#lookAgain = false;
      const partitions = [this.#partition, ...(await this.#others())];
      const nextMs = await this.#nextDue(partitions);
      const nowMs = this.#clock.now();
      if (nextMs === undefined || nextMs > nowMs) {
        this.#arm(nextMs);
        continue;
      }
      // Those at work will take one each at least.
      const room = this.waiting.length + this.#atWork.size;
      let visible = 0;
      for (const partition of partitions) {
        visible += await this.#store.countDue(partition, { beforeMs: nowMs + 1, limit: room });
      }
      for (let called = this.#atWork.size; called < visible; called++) {
        const seat = this.waiting[0];
        if (seat === undefined) break;
        this.#atWork.add(seat);
        seat.wake('turn');
      }
    }
  }

  async #nextDue(partitions: readonly Key[]): Promise<number | undefined> {
    let first: number | undefined;
    for (const partition of partitions) {
      const nextMs = await this.#store.nextDue(partition);
      if (nextMs !== undefined && (first === undefined || nextMs < first)) first = nextMs;
    }
    return first;
  }

  #arm(dueMs: number | undefined): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const shared = this.#store.shared;
    const atMs = shared ? Math.min(dueMs ?? Number.POSITIVE_INFINITY, this.#clock.now() + pollMs) : dueMs;
    if (atMs === undefined) return;
    this.#timer = this.#clock.at(atMs, () => this.#look());
  }
}
