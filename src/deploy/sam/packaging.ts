import { packagedImageUri } from '../../platform/blob-bucket.ts';
import { isList, isObject, type Json, type JsonObject, mapObject, member } from '../json.ts';

/** A path on the author's machine that a template names, to be put where the cloud can read it. */
export interface LocalPath {
  readonly logicalId: string;
  /** `CodeUri`, `ContentUri`, … */
  readonly property: string;
  /** As written, relative to the template's folder. Empty where the property is missing: the template's folder itself. */
  readonly path: string;
  /** A folder or file to be zipped, a document to be stored as it is, or a saved container image (its key is its digest). */
  readonly kind: 'zip' | 'document' | 'image';
  /** Of an image, where the function says it. */
  readonly architecture?: 'x86_64' | 'arm64';
}

export interface StoredObject {
  readonly bucket: string;
  readonly key: string;
  readonly version?: string;
}

interface Place {
  readonly property: string;
  readonly kind: LocalPath['kind'];
  readonly write: (stored: StoredObject) => Json;
}

const samPlace = (property: string, kind: LocalPath['kind']): Place => ({
  property,
  kind,
  write: ({ bucket, key, version }) => ({
    Bucket: bucket,
    Key: key,
    ...(version !== undefined && { Version: version }),
  }),
});

const lambdaCode: Place = {
  property: 'Code',
  kind: 'zip',
  write: ({ bucket, key, version }) => ({
    S3Bucket: bucket,
    S3Key: key,
    ...(version !== undefined && { S3ObjectVersion: version }),
  }),
};

/** Where local paths may stand: as `aws cloudformation package` and `sam package` take them. */
const places: { readonly [type: string]: Place } = {
  'AWS::Serverless::Function': samPlace('CodeUri', 'zip'),
  'AWS::Serverless::LayerVersion': samPlace('ContentUri', 'zip'),
  'AWS::Serverless::HttpApi': samPlace('DefinitionUri', 'document'),
  'AWS::Serverless::Api': samPlace('DefinitionUri', 'document'),
  'AWS::Serverless::StateMachine': samPlace('DefinitionUri', 'document'),
  'AWS::Lambda::Function': lambdaCode,
  'AWS::Lambda::LayerVersion': { ...lambdaCode, property: 'Content' },
};

/**
 * Replaces the local paths of a template by where `store` has put what they name. What is already in S3 stays.
 *
 * @param store is asked once for each path; what it throws ends the packaging.
 */
export async function packageLocalPaths(
  root: JsonObject,
  store: (path: LocalPath) => Promise<StoredObject>,
): Promise<JsonObject> {
  const resources = member(root, 'Resources');
  if (!isObject(resources)) return root;
  const globals = member(root, 'Globals');
  const common = isObject(globals) ? member(globals, 'Function') : undefined;
  const commonUri = isObject(common) ? member(common, 'CodeUri') : undefined;
  const written: { [logicalId: string]: Json } = {};
  for (const [logicalId, resource] of Object.entries(resources)) {
    if (!isObject(resource) || typeof resource['Type'] !== 'string' || !Object.hasOwn(places, resource['Type']))
      continue;
    const place = places[resource['Type']] as Place;
    const properties = (member(resource, 'Properties') ?? {}) as JsonObject;
    const image = localImage(logicalId, resource['Type'], properties, common);
    if (image !== undefined) {
      const uri = packagedImageUri((await store(image)).key);
      const replaced = image.property === 'ImageUri' ? { ImageUri: uri } : { Code: { ImageUri: uri } };
      written[logicalId] = { ...resource, Properties: { ...properties, ...replaced } };
      continue;
    }
    const value =
      properties[place.property] ?? (resource['Type'] === 'AWS::Serverless::Function' ? commonUri : undefined);
    const path = localPath(properties, resource['Type'], value);
    if (path === undefined) continue;
    const stored = await store({ logicalId, property: place.property, path, kind: place.kind });
    written[logicalId] = { ...resource, Properties: { ...properties, [place.property]: place.write(stored) } };
  }
  return { ...root, Resources: mapObject(resources, (value, logicalId) => written[logicalId] ?? value) };
}

/** An image that lies beside the template: an archive or the folder of an OCI layout. Names of images in registries stay as they are. */
function localImage(
  logicalId: string,
  type: string,
  properties: JsonObject,
  common: Json | undefined,
): LocalPath | undefined {
  if (properties['PackageType'] !== 'Image') return undefined;
  const code = properties['Code'];
  const plain = type === 'AWS::Lambda::Function';
  const uri = plain ? (isObject(code) ? code['ImageUri'] : undefined) : properties['ImageUri'];
  if (typeof uri !== 'string' || !/^\.{0,2}\/|^\.{1,2}$|\.(tar|oci|tgz|tar\.gz)$/.test(uri)) return undefined;
  const inherited = !plain && isObject(common) ? common['Architectures'] : undefined;
  const architectures = properties['Architectures'] ?? inherited;
  const architecture = isList(architectures) ? architectures[0] : undefined;
  const known: Pick<LocalPath, 'architecture'> =
    architecture === 'x86_64' || architecture === 'arm64' ? { architecture } : {};
  return { logicalId, property: plain ? 'Code.ImageUri' : 'ImageUri', path: uri, kind: 'image', ...known };
}

/** A function without CodeUri means the template's own folder, as with `sam package`; with inline code or an image, none. */
function localPath(properties: JsonObject, type: string, value: Json | undefined): string | undefined {
  if (type === 'AWS::Serverless::Function') {
    const elsewhere = properties['InlineCode'] !== undefined || properties['PackageType'] === 'Image';
    if (elsewhere) return undefined;
    if (value === undefined) return '';
  }
  return typeof value === 'string' && !/^(?:s3|https?):\/\//.test(value) && !value.startsWith('{{resolve:')
    ? value
    : undefined;
}
