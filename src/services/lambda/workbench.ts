import type { Platform } from '../../platform/service.ts';
import type { FunctionEntry } from './directory.ts';
import { functionArn } from './rules/names.ts';
import type { Place } from './state.ts';

/** A function that somebody works on. */
export interface Piece {
  /** A folder of this machine that holds its code, run in place of what is deployed. */
  readonly directory?: string;
  /** Its runtime waits for a debugger on this port of 127.0.0.1. */
  readonly debugPort?: number;
  /** The process of whoever works on it: with that, the work ends. */
  readonly pid: number;
}

/** Whose $LATEST is asked for. */
interface Wanted {
  readonly place: Place;
  readonly functionName: string;
  readonly version: { readonly version: string; readonly environmentId: string };
}

export interface WorkbenchOptions {
  readonly platform: Platform;
  /** Ends the environments of a function whose author has gone. */
  readonly onLeft: (environmentId: string) => void;
}

/** Functions that somebody works on (`unkai up`): of $LATEST only, and in the memory of this process alone. */
export class Workbench {
  readonly #options: WorkbenchOptions;
  readonly #pieces = new Map<string, Piece>();
  /** How often each has been put here, changed or taken away. */
  readonly #changes = new Map<string, number>();
  readonly #turns = new Map<string, Promise<void>>();

  constructor(options: WorkbenchOptions) {
    this.#options = options;
  }

  /** What is to run in place of the deployed code, if anything. */
  find({ place, functionName, version }: Wanted): Piece | undefined {
    if (this.#pieces.size === 0 || version.version !== '$LATEST') return undefined;
    const key = functionArn(place, functionName);
    const piece = this.#pieces.get(key);
    if (piece === undefined || isRunning(piece.pid)) return piece;
    this.#options.platform.log.info('whoever worked on a function has gone: its deployed code runs again', {
      functionName,
    });
    this.put(place, functionName, undefined);
    this.#options.onLeft(version.environmentId);
    return undefined;
  }

  /** As it was put there, whether or not its author is still about. */
  peek(place: Place, functionName: string): Piece | undefined {
    return this.#pieces.get(functionArn(place, functionName));
  }

  /** Whether its code comes from a folder, not from its package. */
  holdsCode({ place, record }: FunctionEntry): boolean {
    return this.peek(place, record.name)?.directory !== undefined;
  }

  put(place: Place, functionName: string, piece: Piece | undefined): void {
    const key = functionArn(place, functionName);
    if (piece === undefined) this.#pieces.delete(key);
    else this.#pieces.set(key, piece);
    this.#changes.set(key, this.changes(place, functionName) + 1);
  }

  changes(place: Place, functionName: string): number {
    return this.#changes.get(functionArn(place, functionName)) ?? 0;
  }

  /** The ARN of the function that has this port already. */
  holderOf(debugPort: number): string | undefined {
    return [...this.#pieces].find(([, piece]) => piece.debugPort === debugPort)?.[0];
  }

  /** For what must not run twice at once: resolves when it is one's turn, with what ends it. */
  async turn(place: Place, functionName: string): Promise<() => void> {
    const key = functionArn(place, functionName);
    const before = this.#turns.get(key);
    let end: () => void = () => {};
    const over = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#turns.set(key, over);
    await before;
    return () => {
      if (this.#turns.get(key) === over) this.#turns.delete(key);
      end();
    };
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It is there, and somebody else's.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
