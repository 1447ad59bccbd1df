import type { LogStream, LogWriter } from './log-writer.ts';
import type { PlatformLog } from './rules/platform-log.ts';

const tailBytes = 4_096;

/** The lines of one environment; those of the invocation under way are kept as well when its caller asked for the tail. */
export class EnvironmentLog {
  readonly #writer: LogWriter;
  readonly stream: LogStream;
  /** What Lambda's own lines are made of. */
  readonly platform: PlatformLog;
  #tail: string[] | undefined;
  #closing: readonly string[] | undefined;

  constructor(writer: LogWriter, stream: LogStream, platform: PlatformLog) {
    this.#writer = writer;
    this.stream = stream;
    this.platform = platform;
  }

  begin(startLine: string | undefined, withTail: boolean): void {
    this.#writeClosing();
    this.#tail = withTail ? [] : undefined;
    if (startLine !== undefined) this.line(startLine);
  }

  line(line: string): void {
    this.#tail?.push(line);
    this.#writer.write(this.stream, line);
  }

  /** The lines that close an invocation; they are written when what the function printed last has come out of its pipe. */
  end(lines: readonly string[], drained: Promise<void>): Promise<void> {
    this.#closing = lines;
    return drained.then(() => {
      if (this.#closing === lines) this.#writeClosing();
    });
  }

  /** The last 4 KB of the lines since `begin`, in base64. */
  tail(): string {
    const text = Buffer.from(`${(this.#tail ?? []).join('\n')}\n`, 'utf8');
    this.#tail = undefined;
    return text.subarray(Math.max(0, text.length - tailBytes)).toString('base64');
  }

  #writeClosing(): void {
    const lines = this.#closing;
    this.#closing = undefined;
    for (const line of lines ?? []) this.line(line);
  }
}
