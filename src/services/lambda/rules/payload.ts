import { AwsError } from '../../../wire/errors.ts';
import { lambdaLimits } from '../limits.ts';

/**
 * Refuses a payload that is not JSON, in the words of the parser that AWS uses (Jackson; recorded:
 * test_lambda_invoke_payload_encoding_error), as far as its column can be told.
 */
export function checkPayload(payload: Buffer, validUtf8: boolean): void {
  if (!validUtf8) throw notJson(`Invalid UTF-8 start byte 0x${firstInvalidByte(payload).toString(16)}`, 1);
  const text = payload.toString('utf8');
  try {
    JSON.parse(text);
  } catch (error) {
    const at = positionIn(error as Error, text);
    const unit = text.charCodeAt(at);
    if (Number.isNaN(unit)) throw notJson('Unexpected end-of-input', text.length + 1);
    const shown = unit < 32 || unit > 126 ? `(CTRL-CHAR, code ${unit})` : `'${text[at]}' (code ${unit})`;
    throw notJson(
      `Unexpected character (${shown}): expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')`,
      at + 1,
    );
  }
}

/** The client context as JSON text; it comes in base64. */
export function clientContextText(base64: string | undefined): string | undefined {
  if (base64 === undefined || base64 === '') return undefined;
  if (base64.length > lambdaLimits.clientContextBytes.value)
    throw badRequest(`Client context must be no more than ${lambdaLimits.clientContextBytes.value} bytes.`);
  const text = Buffer.from(base64, 'base64').toString('utf8');
  try {
    JSON.parse(text);
    return text;
  } catch {
    throw badRequest('Client context must be a valid Base64-encoded JSON object.');
  }
}

function notJson(problem: string, column: number): AwsError {
  return badRequest(
    `Could not parse request body into json: Could not parse payload into json: ${problem}\n at [Source: REDACTED (\`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION\` disabled); line: 1, column: ${column}]`,
  );
}

function badRequest(message: string): AwsError {
  return new AwsError('InvalidRequestContentException', message, { fields: { Type: 'User' } });
}

/** V8 tells the position, or at the end of the text that it is the end, or just the token. */
function positionIn(error: Error, text: string): number {
  const position = /position (\d+)/.exec(error.message)?.[1];
  if (position !== undefined) return Number(position);
  if (/end of JSON/.test(error.message)) return text.length;
  const token = /Unexpected token '?(.)'?/u.exec(error.message)?.[1];
  return token === undefined ? 0 : Math.max(0, text.indexOf(token));
}

function firstInvalidByte(payload: Buffer): number {
  for (const byte of payload) if (byte > 0x7f) return byte;
  return 0;
}
