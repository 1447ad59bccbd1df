import { counterValue } from '../../../kernel/store/contract.ts';
import { blobBucket } from '../../../platform/blob-bucket.ts';
import { ImageError } from '../../../platform/oci.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { FunctionCode } from '../../../wire/types/lambda.ts';
import type { Engine } from '../engine.ts';
import { effective, lambdaLimits } from '../limits.ts';
import { type CodePackage, unbuilt } from '../rules/configuration.ts';
import { invalidParameter } from '../rules/names.ts';
import { checkZippedSize } from '../rules/package.ts';
import { keys, type Place } from '../state.ts';

/** Where code may come from. */
export type CodeSource = Pick<FunctionCode, 'ZipFile' | 'S3Bucket' | 'S3Key' | 'ImageUri'>;

type ZipPackage = Extract<CodePackage, { readonly kind: 'zip' }>;

/** Takes in the code of a function: a package, checked and kept in the blob store, or an image, found. */
export function storeCode(engine: Engine, place: Place, code: CodeSource, image: boolean): Promise<CodePackage> {
  return image ? findImage(engine, code.ImageUri ?? '') : storeZip(engine, place, code, 'function code');
}

/** Takes in the content of a layer's version. */
export function storeLayer(engine: Engine, place: Place, content: Omit<CodeSource, 'ImageUri'>): Promise<ZipPackage> {
  return storeZip(engine, place, content, 'the layer');
}

async function storeZip(
  engine: Engine,
  place: Place,
  code: Omit<CodeSource, 'ImageUri'>,
  what: string,
): Promise<ZipPackage> {
  if ((code.S3Bucket || code.S3Key) && code.S3Bucket !== blobBucket) throw unbuilt('Code from S3');
  const { blobs, compute } = engine.platform;
  const digest = code.S3Bucket === blobBucket ? (code.S3Key ?? '') : undefined;
  const zip = digest === undefined ? code.ZipFile : await blobs.get(digest);
  if (zip === undefined)
    throw digest === undefined
      ? invalidParameter(`Please provide a source for ${what}.`)
      : new AwsError('InvalidParameterValueException', `There is no package ${digest} in the blob store.`);
  if (digest === undefined) checkZippedSize(zip);
  if (zip.byteLength === 0) throw invalidParameter('Uploaded file must be a non-empty zip');
  const inspection = await compute.inspect(zip);
  if (!inspection.ok) throw invalidParameter(inspection.message);
  await checkStorage(engine, place, zip.byteLength);
  return {
    kind: 'zip',
    digest: await blobs.put(zip),
    zippedBytes: zip.byteLength,
    unzippedBytes: inspection.unzippedBytes,
  };
}

/** The texts are quoted in public issues of the AWS CDK and Terraform. */
async function findImage(engine: Engine, uri: string): Promise<CodePackage> {
  // A tag or a digest must be named.
  if (!/[:@][^/]+$/.test(uri))
    throw invalidParameter(`Source image ${uri} is not valid. Provide a valid source image.`);
  const found = await engine.platform.images.resolve(uri).catch((error: unknown) => {
    if (error instanceof ImageError) throw invalidParameter(`Source image ${uri} is not valid: ${error.message}.`);
    throw error;
  });
  if (found === undefined) throw invalidParameter(`Source image ${uri} does not exist. Provide a valid source image.`);
  const digest = found.digest.replace(/^sha256:/, '');
  const repository = uri.replace(/(?::[^:/@]+)?(?:@[^/]+)?$/, '');
  return { kind: 'image', digest, uri, resolvedUri: `${repository}@sha256:${digest}` };
}

async function checkStorage(engine: Engine, place: Place, moreBytes: number): Promise<void> {
  const { store, limits } = engine.platform;
  const used = counterValue((await store.get(keys.codeBytes(place)))?.value);
  if (used + moreBytes <= effective(lambdaLimits.codeStorageBytes, limits)) return;
  throw new AwsError('CodeStorageExceededException', 'Code storage limit exceeded.', { fields: { Type: 'User' } });
}
