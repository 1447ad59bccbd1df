/** Lambda's figures for one execution environment. Sources: see the keys in each line's comment. */

/** The longest response (docs: gettingstarted-limits, 6 MB; the service's own error text names this number). */
export const responseLimitBytes = 6_291_556;
/** The longest response that is streamed to a caller who takes it so (docs: configuration-response-streaming, 200 MB). */
export const streamedResponseLimitBytes = 209_715_200;
/** Extensions of one function, external and internal (docs: runtimes-extensions-api; the emulator's MaxAgentsAllowed). */
export const mostExtensions = 10;
/** From SHUTDOWN to SIGKILL (docs: lambda-runtime-environment): with internal extensions only, and with external ones. */
export const internalShutdownMs = 500;
export const externalShutdownMs = 2_000;
/** Of that, what the runtime has between SIGTERM and SIGKILL (the emulator's runtimeDeadlineShare). */
export const runtimeShutdownShare = 0.3;
/** After a restore: the runtime's hooks (docs: snapstart-runtime-hooks). */
export const restoreLimitMs = 10_000;
/** INIT phase (docs: lambda-runtime-environment). */
export const initLimitMs = 10_000;
/** INIT phase with provisioned concurrency or SnapStart: 130 s or the function's timeout, at most 900 s (same page). */
export const provisionedInitLimitMs = 130_000;
export const longestInitLimitMs = 900_000;
/** Code and layers unpacked (docs: gettingstarted-limits, 250 MB). */
export const unzippedLimitBytes = 262_144_000;
/** A log event is cut here; our choice, below what PutLogEvents takes. */
export const logLineLimitBytes = 256 * 1024;
