import type { Server, Socket } from 'node:net';
import type { Readable } from 'node:stream';

/** How a sandbox's processes come to be. One implementation per kind of isolation; what runs inside, and when, is the environment's. */
export interface Launcher {
  /** Whether its sandboxes have file systems of their own, laid out as on Lambda (/var/task, /opt, /tmp), or see the machine's. */
  readonly ownFiles: boolean;
  /** Sets up the place where one sandbox's processes will run: its network, its bounds. Rejects with LaunchError. */
  prepare(bounds: Bounds): Promise<Berth>;
  /** Ends what it holds for all its processes, after their end. */
  close(): Promise<void>;
}

export interface Bounds {
  /**
   * `internet`: everything but this machine, where the launcher can tell them apart; `none`: nothing but the cloud's endpoint;
   * `host`: this machine's own (a debugger has to reach it).
   */
  readonly network: 'internet' | 'none' | 'host';
  readonly memoryBytes: number;
  /** Of /tmp. */
  readonly temporaryBytes: number;
  /** Whether it stands still while it rests. */
  readonly freezes: boolean;
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
  /** The whole environment; nothing is added but the variable below. */
  readonly environment: Readonly<Record<string, string>>;
  /** The variable that is to hold the number of a descriptor: a connection to the Runtime API, where the launcher can give one. */
  readonly connectionVariable?: string;
}

export interface LaunchedProcess {
  readonly pid: number;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves when the program has ended; others of its tree may still run, and its companions do. Killed before `proceed`, too. */
  readonly exited: Promise<ExitStatus>;
  /** The other end of the connection that the program was given, if it was. */
  readonly connection: Socket | undefined;
  /** In the order of the plan; their output is not the program's. */
  readonly companions: readonly Companion[];
  /** Starts the program, where companions were started before it. */
  proceed(): void;
  /** Ends the program and what hangs below it, its companions not. Harmless after its end. */
  endProgram(signal: 'SIGTERM' | 'SIGKILL'): void;
  /** A connection to a port of the sandbox's own loopback. */
  dial(port: number): Promise<Socket>;
  /** There is something to do: thaws it if it was frozen, and watches its memory. Cheap when nothing changes. */
  work(): void;
  /** Nothing is under way: frozen after a moment, unless there is something to do again. */
  rest(): void;
  /** The most memory held so far, in bytes; 0 where the system does not tell. */
  readonly peakBytes: number;
  /** Kills the program, its companions and every other process of the sandbox, as far as they can be found at once. */
  kill(): void;
  /** After the end: finds and kills what had slipped away (a daemon in a session of its own). Resolves when that is done. */
  killStrays(): Promise<void>;
}

/** What runs beside the program. */
export interface Companion {
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly exited: Promise<ExitStatus>;
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
  /** The command of the companion that could not be started; undefined where it was the program, or the place for it. */
  readonly companion: string | undefined;

  constructor(code: string, message: string, companion?: string) {
    super(message);
    this.code = code;
    this.companion = companion;
  }
}
