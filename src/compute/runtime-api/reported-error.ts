import type { HttpRequest } from '../../wire/http1.ts';

/** The body of a runtime that sends what X-Ray is to know along with the error (the emulator's mime_type_error_cause_json.go). */
const causeType = 'application/vnd.aws.lambda.error.cause+json';
const invalidBody = Buffer.from('"Invalid error body"');

/**
 * The error as the caller gets it. Its cause, in the body or in the header Lambda-Runtime-Function-XRay-Error-Cause, is for X-Ray,
 * which there is none of here.
 */
export function withoutCause({ headers, body }: HttpRequest): Buffer {
  if (headers['content-type'] !== causeType) return body;
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.toString());
  } catch {
    return invalidBody;
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return invalidBody;
  const { errorMessage = '', errorType = '', stackTrace } = parsed as Readonly<Record<string, unknown>>;
  return Buffer.from(JSON.stringify({ errorMessage, errorType, ...(stackTrace === undefined ? {} : { stackTrace }) }));
}
