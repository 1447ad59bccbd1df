import type { Server, Socket } from 'node:net';
import type { Readable } from 'node:stream';

/** How a sandbox's processes come to be. One implementation per kind of isolation; what runs inside, and when, is the environment's. */
export interface Launcher {
  /** Sets up the place where one sandbox's processes will run: its network, its bounds. Rejects with LaunchError. */
  prepare(bounds: Bounds): Promise<Berth>;
  /** Ends what it holds for all its processes, after their end. */
  close(): Promise<void>;
}

export interface Bounds {
  /** `internet`: everything but this machine, where the launcher can tell them apart; `none`: nothing but the cloud's endpoint. */
  readonly network: 'internet' | 'none';
  readonly memoryBytes: number;
  /** Of /tmp. */
  readonly temporaryBytes: number;
}

/** A place for the processes of one sandbox, in use once. */
export interface Berth {
  /** Listens where the sandbox's processes reach it, for the Runtime API; closed by whoever uses it. */
  readonly runtimeApi: Server;
  /** What they reach it as: `host:port`. */
  readonly runtimeApiAddress: string;
  /** Rejects with LaunchError where the program cannot be started at all; the berth is gone then. */
  launch(plan: LaunchPlan): Promise<LaunchedProcess>;
  /** In place of `launch`. */
  abandon(): void;
}

/** A folder of this machine, and its name inside the sandbox. The same where the sandbox sees the machine's own files. */
export interface Folder {
  readonly host: string;
  readonly seen: string;
}

export interface LaunchPlan {
  readonly program: Program;
  /**
   * Started before the program, beside it: external extensions. The program waits for `proceed` if there are any.
   */
  readonly companions: readonly Program[];
  readonly workingDirectory: string;
  /** Folders to be seen inside, read-only; a plain process sees everything where it is. */
  readonly folders: readonly Folder[];
  /** An unpacked image to be seen as `/`, read-only, in place of the machine's own system folders. */
  readonly root?: string;
  /** This sandbox's own /tmp, where it is a folder of the machine. */
  readonly temporaryFolder: string;
  /** Stands in the environment, as a whole `NAME=value`, of this sandbox's processes and of no other. */
  readonly marker: string;
}

export interface Program {
  /** An absolute path as seen inside. */
  readonly command: string;
  /** The same file on this machine. */
  readonly hostCommand: string;
  readonly args: readonly string[];
  /** The whole environment: nothing is added. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface LaunchedProcess {
  readonly pid: number;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves when the program has ended; others of its tree may still run. */
  readonly exited: Promise<ExitStatus>;
  /** Resolves when a companion has ended, with its place among the companions. Never, where there are none. */
  readonly companionExited: Promise<{ readonly index: number; readonly status: ExitStatus }>;
  /** Starts the program, where companions were started before it. */
  proceed(): void;
  /** A connection to a port of the sandbox's own loopback. */
  dial(port: number): Promise<Socket>;
  /** There is something to do: thaws it if it was frozen, and watches its memory. Cheap when nothing changes. */
  work(): void;
  /** Nothing is under way: frozen after a moment, unless there is something to do again. */
  rest(): void;
  /** The most memory held so far, in bytes; 0 where the system does not tell. */
  readonly peakBytes: number;
  /** Kills the program and every other process of the sandbox, as far as they can be found at once. */
  kill(): void;
  /** After the end: finds and kills what had slipped away (a daemon in a session of its own). Resolves when that is done. */
  killStrays(): Promise<void>;
}

export interface ExitStatus {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** It was ended for exceeding its memory. */
  readonly outOfMemory?: boolean;
}

export class LaunchError extends Error {
  /** The system's code, such as `EACCES`. */
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}
