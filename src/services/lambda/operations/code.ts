import { counterValue } from '../../../kernel/store/contract.ts';
import { blobBucket } from '../../../platform/blob-bucket.ts';
import type { RequestContext } from '../../../platform/context.ts';
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

/** Takes in a package: checked, and kept in the blob store. */
export async function storeCode(engine: Engine, context: RequestContext, code: CodeSource): Promise<CodePackage> {
  if (code.ImageUri) throw unbuilt('PackageType Image');
  if ((code.S3Bucket || code.S3Key) && code.S3Bucket !== blobBucket) throw unbuilt('Code from S3');
  const { blobs, compute } = engine.platform;
  const digest = code.S3Bucket === blobBucket ? (code.S3Key ?? '') : undefined;
  const zip = digest === undefined ? code.ZipFile : await blobs.get(digest);
  if (zip === undefined)
    throw digest === undefined
      ? invalidParameter('Please provide a source for function code.')
      : new AwsError('InvalidParameterValueException', `There is no package ${digest} in the blob store.`);
  if (digest === undefined) checkZippedSize(zip);
  if (zip.byteLength === 0) throw invalidParameter('Uploaded file must be a non-empty zip');
  const inspection = await compute.inspect(zip);
  if (!inspection.ok) throw invalidParameter(inspection.message);
  await checkStorage(engine, context, zip.byteLength);
  return { digest: await blobs.put(zip), zippedBytes: zip.byteLength };
}

async function checkStorage(engine: Engine, place: Place, moreBytes: number): Promise<void> {
  const { store, limits } = engine.platform;
  const used = counterValue((await store.get(keys.codeBytes(place)))?.value);
  if (used + moreBytes <= effective(lambdaLimits.codeStorageBytes, limits)) return;
  throw new AwsError('CodeStorageExceededException', 'Code storage limit exceeded.', { fields: { Type: 'User' } });
}
