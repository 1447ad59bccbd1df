import type { Readable } from 'node:stream';

/** How a sandbox's process comes to be. One implementation per kind of isolation; what runs inside, and when, is the environment's. */
export interface Launcher {
  /** Rejects with LaunchError where the program cannot be started at all. */
  launch(plan: LaunchPlan): Promise<LaunchedProcess>;
  /** Ends what it holds for all its processes, after their end. */
  close(): Promise<void>;
}

export interface LaunchPlan {
  /** An absolute path. */
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment: nothing is added. */
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  /** Stands in the environment, as a whole `NAME=value`, of this sandbox and of no other. */
  readonly marker: string;
}

export interface LaunchedProcess {
  readonly pid: number;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves when the first process has ended; others of its tree may still run. */
  readonly exited: Promise<ExitStatus>;
  /** Kills the first process and every other that it has started, as far as they can be found at once. */
  kill(): void;
  /** After the end: finds and kills what had slipped away (a daemon in a session of its own). Resolves when that is done. */
  killStrays(): Promise<void>;
}

export interface ExitStatus {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class LaunchError extends Error {
  /** The system's code, such as `EACCES`. */
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}
