import { logLineLimitBytes } from '../limits.ts';

const lineFeed = 10;
const nul = 0;

/**
 * Cuts a stream of bytes into log events. An event ends at a line feed; within one, our own bootstraps write a NUL where the message
 * has a line break, so that a message of several lines stays one event, as on AWS. What is longer than 256 KiB comes in pieces, cut
 * between characters: nothing is lost.
 */
export class LogLines {
  readonly #onEvent: (event: string) => void;
  #pieces: Buffer[] = [];
  #length = 0;

  constructor(onEvent: (event: string) => void) {
    this.#onEvent = onEvent;
  }

  push(bytes: Buffer): void {
    let start = 0;
    for (let end = bytes.indexOf(lineFeed); end >= 0; end = bytes.indexOf(lineFeed, start)) {
      this.#add(bytes.subarray(start, end));
      this.#emit();
      start = end + 1;
    }
    if (start < bytes.length) this.#add(bytes.subarray(start));
  }

  /** Gives out what has come of a line that has no end yet. */
  flush(): void {
    if (this.#length > 0) this.#emit();
  }

  #add(bytes: Buffer): void {
    let rest = bytes;
    while (this.#length + rest.length > logLineLimitBytes) {
      const cut = characterBoundary(rest, logLineLimitBytes - this.#length);
      if (cut > 0) this.#keep(rest.subarray(0, cut));
      this.#emit();
      rest = rest.subarray(cut);
    }
    if (rest.length > 0) this.#keep(rest);
  }

  #keep(bytes: Buffer): void {
    this.#pieces.push(bytes);
    this.#length += bytes.length;
  }

  #emit(): void {
    const bytes = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#length = 0;
    const end = bytes.length > 0 && bytes[bytes.length - 1] === 13 ? bytes.length - 1 : bytes.length;
    const text = bytes.toString('utf8', 0, end);
    this.#onEvent(bytes.includes(nul) ? text.replaceAll('\0', '\n') : text);
  }
}

/** The last place at or before `at` where no UTF-8 character is cut; `at` itself in bytes that are not UTF-8. */
function characterBoundary(bytes: Buffer, at: number): number {
  for (let back = 0; back < 4 && at - back > 0; back++) {
    if ((bytes[at - back]! & 0xc0) !== 0x80) return at - back;
  }
  return at;
}
