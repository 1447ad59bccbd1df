import { BodyTooLarge, type Surface, type SurfaceRequest, type SurfaceResponse } from '../../platform/surface.ts';
import type { Environment } from './environment.ts';
import { encode, keys, type ResponseRecord, read } from './state.ts';

/** Where functions put what became of a custom resource; on AWS it is a presigned URL of S3. */
export const responsePath = '/_aws/cloudformation/response/';

/** AWS takes 4,096 bytes (crpg-ref-responses.html). */
const maxResponseBytes = 4_096;

export function responseSurface(env: Environment): Surface {
  return { name: 'cloudformation-responses', pathPrefix: responsePath, handle: (request) => take(env, request) };
}

async function take(env: Environment, request: SurfaceRequest): Promise<SurfaceResponse> {
  const { store } = env.platform;
  if (request.method !== 'PUT') return answer(405, 'PUT the response of a custom resource here');
  const key = keys.response(request.path.slice(responsePath.length));
  const found = await read<ResponseRecord>(store, key);
  if (found === undefined) return answer(404, 'nobody waits for this response');
  if (found.record.answer !== undefined) return answer(200, '');
  const response = await responseIn(request);
  if (typeof response === 'string') return answer(400, response);
  const record: ResponseRecord = { ...found.record, answer: response };
  const result = await store.commit({
    checks: [{ key, version: found.version }],
    set: [{ key, value: encode(record) }],
  });
  // The first answer counts: whoever lost against it, or against the end of the waiting, has nothing more to say.
  return answer(result.ok ? 200 : 409, '');
}

async function responseIn(request: SurfaceRequest): Promise<NonNullable<ResponseRecord['answer']> | string> {
  let text: string;
  try {
    text = (await request.body(maxResponseBytes)).toString('utf8');
  } catch (error) {
    if (error instanceof BodyTooLarge) return `Response object is too long: at most ${maxResponseBytes} bytes.`;
    throw error;
  }
  try {
    const parsed = JSON.parse(text) as Record<string, unknown>;
    const { Status, Reason, PhysicalResourceId, Data } = parsed;
    if (Status !== 'SUCCESS' && Status !== 'FAILED') return 'Status must be SUCCESS or FAILED';
    return {
      Status,
      ...(Reason !== undefined && { Reason: String(Reason) }),
      ...(PhysicalResourceId !== undefined && { PhysicalResourceId: String(PhysicalResourceId) }),
      ...(typeof Data === 'object' && Data !== null && { Data: Data as Record<string, unknown> }),
    };
  } catch {
    return 'the response is not a JSON object';
  }
}

function answer(status: number, body: string): SurfaceResponse {
  return { status, headers: [['content-type', 'text/plain']], body };
}
