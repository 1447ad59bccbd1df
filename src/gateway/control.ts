import { type BlobStore, DigestMismatch } from '../kernel/blobs/contract.ts';
import type { VirtualClockControl } from '../kernel/clock/contract.ts';
import { FaultError, type Faults } from '../kernel/faults/faults.ts';
import type { Tracer } from '../kernel/trace/trace.ts';
import { parseWithBytes, stringifyWithBytes } from '../platform/bytes-json.ts';
import type { Caller } from '../platform/context.ts';
import type { Images } from '../platform/images.ts';
import { ImageError } from '../platform/oci.ts';
import type { Bus } from '../platform/service.ts';
import { UserMistake } from '../platform/user-mistake.ts';
import { AwsError } from '../wire/errors.ts';
import type { WireRequest, WireResponse } from '../wire/message.ts';
import { loadIndex, loadModel } from '../wire/model.ts';

/** What the control API steers: the cloud itself, not what runs on it. */
export interface Controlled {
  readonly faults: Faults;
  readonly tracer: Tracer;
  readonly virtualClock: VirtualClockControl | undefined;
  nowMs(): number;
  /** What a service tells beyond AWS's API; undefined where it tells nothing. */
  inspect(service: string, caller: Caller, query: Record<string, unknown>): Promise<unknown>;
  /** Does with a service what AWS's API has no operation for. */
  steer(service: string, caller: Caller, command: Record<string, unknown>): Promise<unknown>;
  status(): Promise<Record<string, unknown>>;
  /** Ports of this machine that functions in sandboxes with a network of their own reach. */
  readonly reach: Set<number>;
  readonly blobs: BlobStore;
  readonly images: Images;
  readonly bus: Bus;
  /** Called after the answer has been sent. */
  stop(): void;
}

export const controlPrefix = '/_unkai/';

/**
 * The control API, JSON over HTTP at `/_unkai/`:
 *
 * | GET status | what runs and how |
 * | GET clock; POST clock/freeze, clock/resume, clock/advance {durationMs}, clock/set {epochMs} | cloud time |
 * | GET faults; PUT faults {point, scope, rate, seed, times?}; DELETE faults | fault points |
 * | GET traces[?traceId=] | the latest spans |
 * | POST call/SERVICE/OPERATION {input} | an AWS operation as the caller; bytes as {"$base64": "…"} |
 * | POST inspect/SERVICE {query} | what a service tells beyond AWS's API |
 * | POST steer/SERVICE {command} | what is done with a service beyond AWS's API |
 * | POST blobs (bytes) | stores a blob, answers {digest} |
 * | PUT blobs/DIGEST (bytes, as they come) | stores a blob of any size, answers {digest, sizeBytes} |
 * | POST blobs/missing {digests} | which of them are not there, {missing} |
 * | GET images; PUT images {name, digest}; DELETE images {name} | names of container images |
 * | GET reach; PUT reach {ports} | ports of this machine that functions with a network of their own reach: told; more of them |
 * | POST stop | ends the cloud |
 */
export function answerControl(request: WireRequest, caller: Caller, cloud: Controlled): Promise<WireResponse> {
  return answering(() => route(request, caller, cloud));
}

async function answering(run: () => Promise<WireResponse>): Promise<WireResponse> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof UserMistake)
      return json(error.status, { error: { code: error.code, message: error.message, hint: error.hint } });
    if (error instanceof ImageError)
      return json(400, { error: { code: error.code, message: error.message, hint: error.hint } });
    if (error instanceof DigestMismatch)
      return json(400, { error: { code: 'BadDigest', message: error.message, hint: 'send it again' } });
    if (error instanceof AwsError)
      return json(error.status, { error: { code: error.code, message: error.message, hint: '' } });
    if (error instanceof FaultError)
      return json(400, { error: { code: 'BadFault', message: error.message, hint: 'see: GET /_unkai/faults' } });
    throw error;
  }
}

async function route(request: WireRequest, caller: Caller, cloud: Controlled): Promise<WireResponse> {
  const { faults, tracer } = cloud;
  const path = request.path.slice(controlPrefix.length);
  const call = request.method === 'POST' ? /^call\/([a-z0-9]+)\/([A-Za-z0-9]+)$/.exec(path) : null;
  if (call !== null) {
    const [, service, operation] = call as unknown as [string, string, string];
    if (loadIndex()[service] === undefined || loadModel(service).operations[operation] === undefined) {
      throw new UserMistake(
        404,
        'UnknownOperation',
        `AWS has no ${service}.${operation}`,
        'write it as in models/, such as call/sqs/ListQueues',
      );
    }
    return json(200, (await cloud.bus.callByName(caller, service, operation, parse(request))) ?? {});
  }
  const inspect = request.method === 'POST' ? /^inspect\/([a-z0-9]+)$/.exec(path) : null;
  if (inspect !== null) return json(200, await cloud.inspect(inspect[1]!, caller, parse(request)));
  const steer = request.method === 'POST' ? /^steer\/([a-z0-9]+)$/.exec(path) : null;
  if (steer !== null) return json(200, await cloud.steer(steer[1]!, caller, parse(request)));
  switch (`${request.method} ${path}`) {
    case 'GET status':
      return json(200, await cloud.status());
    case 'POST blobs':
      return json(200, { digest: await cloud.blobs.put(request.body) });
    case 'POST blobs/missing': {
      const digests = parse(request)['digests'];
      if (!Array.isArray(digests) || !digests.every(isDigest)) throw badDigests();
      const known = await Promise.all(digests.map((digest) => cloud.blobs.has(digest)));
      return json(200, { missing: digests.filter((_, place) => known[place] !== true) });
    }
    case 'GET images':
      return json(200, { images: await cloud.images.list() });
    case 'PUT images': {
      const body = parse(request);
      return json(200, await cloud.images.put(text(body, 'name'), text(body, 'digest')));
    }
    case 'DELETE images': {
      const name = text(parse(request), 'name');
      if (await cloud.images.remove(name)) return json(200, { removed: name });
      throw new UserMistake(404, 'NoSuchImage', `there is no image '${name}'`, 'see: unkai image list');
    }
    case 'GET reach':
      return json(200, { ports: [...cloud.reach] });
    case 'PUT reach':
      for (const port of ports(request)) cloud.reach.add(port);
      return json(200, { ports: [...cloud.reach] });
    case 'POST stop':
      cloud.stop();
      return json(202, { stopping: true });
    case 'GET clock':
      return json(200, cloud.virtualClock?.status() ?? { kind: 'wall', nowMs: cloud.nowMs(), mode: 'flowing' });
    case 'POST clock/freeze':
      virtual(cloud).freeze();
      return json(200, virtual(cloud).status());
    case 'POST clock/resume':
      virtual(cloud).resume();
      return json(200, virtual(cloud).status());
    case 'POST clock/advance':
      return json(200, await mistaken(() => virtual(cloud).advance(number(request, 'durationMs'))));
    case 'POST clock/set':
      return json(200, await mistaken(() => virtual(cloud).set(number(request, 'epochMs'))));
    case 'GET faults':
      return json(200, { points: faults.points(), rules: faults.rules() });
    case 'PUT faults': {
      const body = parse(request);
      faults.set({
        point: text(body, 'point'),
        scope: typeof body['scope'] === 'string' ? body['scope'] : '*',
        rate: number(request, 'rate'),
        seed: typeof body['seed'] === 'number' ? body['seed'] : 1,
        ...(typeof body['times'] === 'number' ? { times: body['times'] } : {}),
      });
      return json(200, { rules: faults.rules() });
    }
    case 'DELETE faults':
      faults.clear();
      return json(200, { rules: [] });
    case 'GET traces':
      return json(200, { spans: tracer.recent(new URLSearchParams(request.query).get('traceId') ?? undefined) });
    default:
      throw new UserMistake(
        404,
        'UnknownControl',
        `${request.method} ${request.path} is not part of the control API`,
        'the API is listed in docs/control-api.md',
      );
  }
}

/** `PUT blobs/DIGEST`: the digest, where a request is one; its body goes into the blob store as it comes. */
export function uploadOf(method: string, path: string): string | undefined {
  const digest = path.slice(`${controlPrefix}blobs/`.length);
  return method === 'PUT' && path.startsWith(`${controlPrefix}blobs/`) && isDigest(digest) ? digest : undefined;
}

/** A file of an image may be as large as an image on Lambda: 10 GB. */
const maxUploadBytes = 10 * 1024 ** 3;

/** Takes an upload in. What was signed is the digest in its path, and the content must be the digest's. */
export async function takeUpload(
  digest: string,
  body: AsyncIterable<Uint8Array>,
  blobs: BlobStore,
): Promise<WireResponse> {
  let sizeBytes = 0;
  const bounded = async function* (): AsyncGenerator<Uint8Array> {
    for await (const piece of body) {
      sizeBytes += piece.byteLength;
      if (sizeBytes > maxUploadBytes) {
        throw new UserMistake(413, 'BlobTooLarge', 'a blob may have 10 GiB at most', 'store less at once');
      }
      yield piece;
    }
  };
  return answering(async () => json(200, await blobs.putStream(bounded(), digest)));
}

function isDigest(text: unknown): text is string {
  return typeof text === 'string' && /^[0-9a-f]{64}$/.test(text);
}

function badDigests(): UserMistake {
  return new UserMistake(400, 'BadBody', 'the body needs digests, each of 64 hex digits', 'see docs/control-api.md');
}

function virtual(cloud: Controlled): VirtualClockControl {
  if (cloud.virtualClock !== undefined) return cloud.virtualClock;
  throw new UserMistake(
    409,
    'ClockIsWall',
    'this cloud runs on the clock of the wall, which nobody can move',
    'start it with: unkai start --clock virtual',
  );
}

/** A clock refuses a bad time with a RangeError: here that is the caller's mistake. */
async function mistaken<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof RangeError) throw new UserMistake(400, 'BadTime', error.message, 'see: unkai clock status');
    throw error;
  }
}

function parse(request: WireRequest): Record<string, unknown> {
  try {
    const body: unknown = parseWithBytes(request.body.toString('utf8'));
    if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Record<string, unknown>;
  } catch {}
  throw new UserMistake(400, 'BadBody', 'the body must be a JSON object', 'see docs/control-api.md');
}

function number(request: WireRequest, name: string): number {
  const value = parse(request)[name];
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw new UserMistake(400, 'BadBody', `the body needs ${name}, a number`, 'see docs/control-api.md');
}

function ports(request: WireRequest): readonly number[] {
  const named = parse(request)['ports'];
  const isPort = (value: unknown): value is number =>
    Number.isInteger(value) && Number(value) > 0 && Number(value) < 65_536;
  if (Array.isArray(named) && named.every(isPort)) return named;
  throw new UserMistake(
    400,
    'BadBody',
    'the body needs ports, a list of numbers from 1 to 65535',
    'see docs/control-api.md',
  );
}

function text(body: Record<string, unknown>, name: string): string {
  const value = body[name];
  if (typeof value === 'string') return value;
  throw new UserMistake(400, 'BadBody', `the body needs ${name}, a string`, 'see docs/control-api.md');
}

function json(status: number, body: unknown): WireResponse {
  return { status, headers: { 'content-type': 'application/json' }, body: `${stringifyWithBytes(body)}\n` };
}
