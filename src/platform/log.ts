/** The cloud's own log, on standard error: not the functions' output, which goes to CloudWatch Logs. */
export interface Logger {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  /** Something that must not happen did, or failed for good. */
  error(message: string, fields?: LogFields): void;
}

export type LogFields = Readonly<Record<string, unknown>>;
