import type { Json, JsonObject, MutableObject } from '../json.ts';
import { resourceProblem, type SamProblem } from './errors.ts';
import type { HttpApis } from './http-api.ts';
import type { OutputResource } from './values.ts';

/** One resource of a SAM template, its Globals merged. */
export interface SamResource {
  readonly logicalId: string;
  readonly type: string;
  readonly properties: JsonObject;
  /** Everything beside Type and Properties: Condition, DependsOn, Metadata, DeletionPolicy, UpdateReplacePolicy, UpdatePolicy. */
  readonly attributes: JsonObject;
}

/** What the parts of one transform share. */
export interface SamContext {
  /** Values of parameters and of AWS::Region and AWS::Partition, as far as they are known. */
  readonly parameters: ReadonlyMap<string, Json>;
  /** The template's resources, before the transform. */
  readonly input: ReadonlyMap<string, SamResource>;
  readonly output: Map<string, OutputResource>;
  /** The template's Conditions: some resources add to them. */
  readonly conditions: MutableObject;
  /** Logical ids that the transform changes: a layer's. */
  readonly renamed: Map<string, string>;
  /** `Function.Alias` → the logical id of what it stands for. */
  readonly referable: Map<string, string>;
  readonly httpApis: HttpApis;
  readonly problems: SamProblem[];
}

/** Adds a generated resource. @throws {SamProblem} if the template has one of that id itself. */
export function emit(context: SamContext, source: SamResource, logicalId: string, resource: OutputResource): void {
  const taken = logicalId !== source.logicalId && context.input.has(logicalId);
  if (taken || context.output.has(logicalId)) {
    // Text: aws-sam-translator, model/exceptions.py, DuplicateLogicalIdException.
    throw resourceProblem(
      source.logicalId,
      `Transforming resource with id [${source.logicalId}] attempts to create a new resource [${logicalId}] of type ` +
        `"${resource.Type}". A resource with that id already exists within this template. Please use a different id for that resource.`,
    );
  }
  context.output.set(logicalId, resource);
}

/** The attributes that generated resources take over from their source. */
export function passedOn(source: SamResource): JsonObject {
  const passed: MutableObject = {};
  for (const name of ['Condition', 'DeletionPolicy', 'UpdateReplacePolicy']) {
    const value = source.attributes[name];
    if (value !== undefined) passed[name] = value;
  }
  return passed;
}
