import { isList, isObject, type Json, type JsonObject, type MutableObject, mapObject, member } from '../json.ts';
import type { SamContext, SamResource } from './context.ts';
import { SamProblem, samError, unsupported } from './errors.ts';
import { emitFunction } from './function.ts';
import { applyGlobals } from './globals.ts';
import { HttpApis } from './http-api.ts';
import { emitLayerVersion, emitSimpleTable } from './simple.ts';

/** The name of the transform in a template. */
export const samTransform = 'AWS::Serverless-2016-10-31';

/** What the transform may know beside the template. */
export interface SamOptions {
  /** Values of the template's parameters as far as they are known; defaults are taken from the template. */
  readonly parameters?: ReadonlyMap<string, Json>;
  readonly region: string;
  readonly partition?: string;
}

/** Whether a template names the SAM transform. */
export function isSamTemplate(root: JsonObject): boolean {
  const transform = member(root, 'Transform');
  return transform === samTransform || (isList(transform) && transform.includes(samTransform));
}

/**
 * Turns a SAM template into a CloudFormation template: pure, the same result for the same input. Logical ids and contents are
 * those of aws-sam-translator 1.110.0, which fixtures in this folder record. Code and other local paths must have been
 * packaged before (`packageLocalPaths`).
 *
 * @throws {TemplateError} with everything that is wrong: AWS's text, naming each resource and event. What this transform does
 *   not support is named too, and never left out.
 */
export function transformSam(root: JsonObject, options: SamOptions): JsonObject {
  const resources = member(root, 'Resources');
  if (!isObject(resources)) throw samError(["'Resources' section is required"]);
  const globals = member(root, 'Globals');
  const merged = applyGlobals(globals, resources);
  const input = readResources(merged);
  const httpGlobals = isObject(globals) ? member(globals, 'HttpApi') : undefined;
  const context: SamContext = {
    parameters: parametersOf(root, options),
    input,
    output: new Map(),
    conditions: { ...(member(root, 'Conditions') as JsonObject | undefined) },
    renamed: new Map(),
    referable: new Map(),
    httpApis: new HttpApis(input, isObject(httpGlobals) ? httpGlobals : {}),
    problems: [],
  };
  emitResources(context);
  if (context.problems.length > 0) throw samError(context.problems.map((problem) => problem.message));

  const { Globals: _globals, Transform: transform, Resources: _resources, Conditions: _conditions, ...rest } = root;
  const result: MutableObject = { ...rest };
  const others = (isList(transform) ? transform : transform === undefined ? [] : [transform]).filter(
    (name) => name !== samTransform,
  );
  if (others.length > 0) result['Transform'] = others;
  if (Object.keys(context.conditions).length > 0) result['Conditions'] = context.conditions;
  result['Resources'] = { ...plainResources(context, merged), ...Object.fromEntries(context.output) };
  return renameIn(result, context) as JsonObject;
}

function readResources(resources: JsonObject): ReadonlyMap<string, SamResource> {
  const read = new Map<string, SamResource>();
  for (const [logicalId, value] of Object.entries(resources)) {
    // A resource of another shape is CloudFormation's to refuse.
    if (!isObject(value) || typeof value['Type'] !== 'string') continue;
    const { Type, Properties, IgnoreGlobals: _ignored, ...attributes } = value;
    read.set(logicalId, {
      logicalId,
      type: Type as string,
      properties: isObject(Properties) ? Properties : {},
      attributes,
    });
  }
  return read;
}

function parametersOf(root: JsonObject, options: SamOptions): ReadonlyMap<string, Json> {
  const values = new Map<string, Json>([
    ['AWS::Region', options.region],
    ['AWS::Partition', options.partition ?? 'aws'],
  ]);
  for (const [name, declaration] of Object.entries((member(root, 'Parameters') ?? {}) as JsonObject)) {
    const fallback = isObject(declaration) ? member(declaration, 'Default') : undefined;
    const value = options.parameters?.get(name) ?? fallback;
    if (value !== undefined) values.set(name, value);
  }
  return values;
}

/** Functions before APIs, whose routes they declare; then the rest, each in the template's order. */
function emitResources(context: SamContext): void {
  const all = [...context.input.values()].filter((source) => source.type.startsWith('AWS::Serverless::'));
  for (const { logicalId, attributes } of context.input.values()) {
    const condition = attributes['Condition'];
    if (condition !== undefined && typeof condition !== 'string') {
      context.problems.push(
        new SamProblem('Structure of the SAM template is invalid. Every Condition member must be a string.'),
      );
    }
    if (attributes['Connectors'] !== undefined) context.problems.push(unsupported(logicalId, "Attribute 'Connectors'"));
  }
  if (context.problems.length > 0) return;
  for (const source of all) if (source.type === 'AWS::Serverless::Function') attempt(context, source, emitFunction);
  context.httpApis.emitAll(context);
  for (const source of all) {
    switch (source.type) {
      case 'AWS::Serverless::Function':
      case 'AWS::Serverless::HttpApi':
        break;
      case 'AWS::Serverless::SimpleTable':
        attempt(context, source, emitSimpleTable);
        break;
      case 'AWS::Serverless::LayerVersion':
        attempt(context, source, emitLayerVersion);
        break;
      default:
        context.problems.push(unsupported(source.logicalId, `Resource type '${source.type}'`));
    }
  }
}

function attempt(
  context: SamContext,
  source: SamResource,
  emitOne: (context: SamContext, source: SamResource) => void,
): void {
  try {
    emitOne(context, source);
  } catch (error) {
    if (!(error instanceof SamProblem)) throw error;
    context.problems.push(error);
  }
}

/** The resources that are not SAM's, but for buckets that an event has changed. */
function plainResources(context: SamContext, merged: JsonObject): JsonObject {
  return mapObject(merged, (value, logicalId) =>
    context.input.get(logicalId)?.type.startsWith('AWS::Serverless::') || context.output.has(logicalId)
      ? undefined
      : value,
  );
}

/** `!Ref Function.Alias`, `!GetAtt Function.Version.Version`, `${Api.Stage}` and the ids of layers, put right everywhere. */
function renameIn(value: Json, context: SamContext): Json {
  if (context.renamed.size === 0 && context.referable.size === 0) return value;
  const rename = (path: string): string => {
    const [id, property, ...rest] = path.split('.') as [string, string | undefined, ...string[]];
    const referred = property === undefined ? undefined : context.referable.get(`${id}.${property}`);
    if (referred !== undefined) return [referred, ...rest].join('.');
    const renamed = context.renamed.get(id);
    return renamed === undefined ? path : [renamed, ...(property === undefined ? [] : [property]), ...rest].join('.');
  };
  const renameText = (text: string, own: JsonObject): string =>
    text.replace(/\$\{([^!{}][^{}]*)\}/g, (all, name: string) =>
      Object.hasOwn(own, name) ? all : `\${${rename(name.trim())}}`,
    );
  const visit = (node: Json): Json => {
    if (isList(node)) return node.map(visit);
    if (!isObject(node)) return node;
    return mapObject(node, (item, key) => {
      if (key === 'Ref' && typeof item === 'string') return rename(item);
      if (key === 'DependsOn') return isList(item) ? item.map((id) => rename(String(id))) : rename(String(item));
      if (key === 'Fn::GetAtt' && isList(item) && item.every((part) => typeof part === 'string')) {
        const path = rename(item.join('.'));
        const dot = path.indexOf('.');
        return path === item.join('.') ? item : [path.slice(0, dot), path.slice(dot + 1)];
      }
      if (key === 'Fn::GetAtt' && typeof item === 'string') return rename(item);
      if (key === 'Fn::Sub' && typeof item === 'string') return renameText(item, {});
      if (key === 'Fn::Sub' && isList(item) && typeof item[0] === 'string') {
        const own = isObject(item[1]) ? item[1] : {};
        return [renameText(item[0], own), ...item.slice(1).map(visit)];
      }
      return visit(item);
    });
  };
  return visit(value);
}
