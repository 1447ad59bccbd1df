import { processesWithEnvironment, sendSignal } from './processes.ts';

/** Kills processes that have slipped away from their sandbox, found by their environment. */
export class StrayHunt {
  readonly #markers: string[] = [];
  #hunt: Promise<void> | undefined;

  /** `marker` is a whole `NAME=value`. One look at all processes serves all the sandboxes that end at about the same time. */
  kill(marker: string): Promise<void> {
    this.#markers.push(`${marker}\0`);
    this.#hunt ??= Promise.resolve().then(async () => {
      // Yields once more, so that whatever else ends in this turn of the event loop joins in.
      await new Promise((resolve) => setImmediate(resolve));
      this.#hunt = undefined;
      for (const pid of await processesWithEnvironment(this.#markers.splice(0))) sendSignal(pid, 'SIGKILL');
    });
    return this.#hunt;
  }
}
