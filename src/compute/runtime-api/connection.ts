/** Connections to the Runtime API, and what is written to them. */
import type { Socket } from 'node:net';
import type { RequestParser } from '../../wire/http1.ts';
import type { StreamedResponse } from './streamed-response.ts';

/** One event on its way to a runtime. */
export interface RuntimeEvent {
  readonly requestId: string;
  readonly payload: Buffer;
  readonly invokedFunctionArn: string;
  /** Epoch milliseconds in the time that the sandbox sees. */
  readonly deadlineMs: number;
  readonly traceHeader: string;
  /** JSON text. */
  readonly clientContext?: string;
  readonly cognitoIdentity?: string;
  /** Its caller takes the response as it comes. */
  readonly streamed?: boolean;
}

/** Pieces up to this size are written together, in one copy. */
export const copyUpToBytes = 64 * 1024;

export interface Connection {
  readonly socket: Socket;
  readonly parser: RequestParser;
  /** It has asked for an event and has none yet; what it sends meanwhile stays unread in the parser. */
  waits: boolean;
  /** The client wants it closed after this answer. */
  last: boolean;
  /** Answers not yet written. */
  readonly held: Buffer[];
  /** The response that is coming in on it piece by piece. */
  stream: StreamedResponse | undefined;
  /** It has asked for something beside the Runtime API: an extension's. */
  aside: boolean;
}

export function flush(connection: Connection): void {
  const { held, socket } = connection;
  if (held.length === 0) return;
  const bytes = held.length === 1 ? held[0]! : held.length > 2 ? undefined : joinSmall(held);
  if (bytes !== undefined) {
    held.length = 0;
    socket.write(bytes);
    return;
  }
  socket.cork();
  for (const piece of held) socket.write(piece);
  held.length = 0;
  socket.uncork();
}

function joinSmall(pieces: readonly Buffer[]): Buffer | undefined {
  return pieces[0]!.length + pieces[1]!.length <= copyUpToBytes ? Buffer.concat(pieces) : undefined;
}

export function eventHead(event: RuntimeEvent): string {
  let head =
    'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n' +
    `Lambda-Runtime-Aws-Request-Id: ${event.requestId}\r\n` +
    `Lambda-Runtime-Deadline-Ms: ${event.deadlineMs}\r\n` +
    `Lambda-Runtime-Invoked-Function-Arn: ${event.invokedFunctionArn}\r\n`;
  if (event.traceHeader !== '') head += `Lambda-Runtime-Trace-Id: ${headerText(event.traceHeader)}\r\n`;
  if (event.clientContext !== undefined)
    head += `Lambda-Runtime-Client-Context: ${headerText(event.clientContext)}\r\n`;
  if (event.cognitoIdentity !== undefined)
    head += `Lambda-Runtime-Cognito-Identity: ${headerText(event.cognitoIdentity)}\r\n`;
  return `${head}Content-Length: ${event.payload.length}\r\n\r\n`;
}

/** JSON may hold line breaks and any character; a header neither. Escaped, it is the same JSON. */
function headerText(text: string): string {
  if (!/[^\x20-\x7e]/.test(text)) return text;
  return text.replace(/[^\x20-\x7e]/g, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x20 ? ' ' : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}
