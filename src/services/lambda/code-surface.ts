import type { Platform } from '../../platform/service.ts';
import type { Surface, SurfaceRequest, SurfaceResponse } from '../../platform/surface.ts';
import { type FunctionRecord, type FunctionVersion, keys, type LayerVersionRecord, type Place, read } from './state.ts';

const pathPrefix = '/_aws/lambda/code/';
/** In the place of a function's version: the content of a layer's. */
const layerMark = 'layer:';

/** Where a version's package can be had; the digest in it is what a presigned address's signature is on AWS. */
export function codeLocation(origin: string, place: Place, name: string, version: FunctionVersion): string {
  const parts = [place.account, place.region, name, version.version, version.codeDigest];
  return `${origin}${pathPrefix}${parts.map(encodeURIComponent).join('/')}`;
}

/** Where the content of a layer's version can be had. */
export function layerLocation(origin: string, place: Place, { name, version, digest }: LayerVersionRecord): string {
  const parts = [place.account, place.region, name, `${layerMark}${version}`, digest];
  return `${origin}${pathPrefix}${parts.map(encodeURIComponent).join('/')}`;
}

/** Serves packages at the addresses that GetFunction and GetLayerVersion give. */
export function codeSurface({ store, blobs }: Platform): Surface {
  const digestAt = async (place: Place, name: string, version: string): Promise<string | undefined> => {
    if (version.startsWith(layerMark)) {
      const number = Number(version.slice(layerMark.length));
      if (!Number.isInteger(number)) return undefined;
      return (await read<LayerVersionRecord>(store, keys.layerVersion(place, name, number)))?.record.digest;
    }
    if (version === '$LATEST') {
      return (await read<FunctionRecord>(store, keys.function(place, name)))?.record.latest.codeDigest;
    }
    if (!/^\d+$/.test(version)) return undefined;
    return (await read<FunctionVersion>(store, keys.version(place, name, version)))?.record.codeDigest;
  };
  return {
    name: 'lambda-code',
    pathPrefix,
    async handle({ method, path }: SurfaceRequest): Promise<SurfaceResponse> {
      if (method !== 'GET') return plain(405, 'Only GET is allowed here.');
      const parts = decodedParts(path.slice(pathPrefix.length));
      const [account = '', region = '', name = '', version = '', digest = ''] = parts ?? [];
      const found = await digestAt({ account, region }, name, version);
      const zip = found === digest ? await blobs.get(digest) : undefined;
      if (zip === undefined) return plain(404, 'There is no such package, or it has been replaced.');
      return { status: 200, headers: [['content-type', 'application/zip']], body: zip };
    },
  };
}

function decodedParts(path: string): string[] | undefined {
  try {
    return path.split('/').map(decodeURIComponent);
  } catch {
    return undefined;
  }
}

function plain(status: number, text: string): SurfaceResponse {
  return { status, headers: [['content-type', 'text/plain; charset=utf-8']], body: `${text}\n` };
}
