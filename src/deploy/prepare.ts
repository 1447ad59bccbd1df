import { TemplateError } from './errors.ts';
import { dependencyGraph } from './graph.ts';
import { Evaluator, type PseudoParameters, type Scope } from './intrinsics.ts';
import { type Json, type JsonObject, mapObject, member } from './json.ts';
import { expandLoops } from './language-extensions.ts';
import { type ParameterInput, type ResolvedParameter, resolveParameters } from './parameters.ts';
import { checkReferences } from './references.ts';
import { isSamTemplate, samTransform, transformSam } from './sam/transform.ts';
import type { TemplateSource } from './source.ts';
import { readTemplate, refuseNulls, type Template } from './template.ts';

/** A template ready to be run: transforms applied, parameters known, everything in it checked. */
export interface PreparedTemplate {
  readonly template: Template;
  readonly parameters: ReadonlyMap<string, ResolvedParameter>;
  /** The template as it is after the transforms: what GetTemplate returns as Processed. */
  readonly processed: JsonObject;
  /** Names of conditions that hold. */
  readonly conditions: ReadonlyMap<string, boolean>;
}

export interface PrepareOptions {
  readonly pseudo: PseudoParameters;
  readonly parameters: ParameterInput;
}

/**
 * From a template's source to what the engine runs: parameters, AWS::LanguageExtensions, AWS::Serverless, shape, references,
 * conditions, cycles. Resource types are checked with `checkTypes` and `checkAttributes` (plan.ts).
 *
 * @throws {TemplateError} with AWS's text; `position` where the place is known.
 */
export async function prepareTemplate(source: TemplateSource, options: PrepareOptions): Promise<PreparedTemplate> {
  refuseNulls(source);
  const declared = readDeclarations(source);
  const parameters = await resolveParameters(declared, options.parameters);
  const base = { template: declared, pseudo: options.pseudo, parameters };
  let root = source.root;
  for (const name of declared.transforms) root = applyTransform(name, root, base);
  const processed: JsonObject = mapObject(root, (value, key) => (key === 'Transform' ? undefined : value));

  const final: TemplateSource = { root, positionAt: source.positionAt };
  const template = readTemplate(final);
  checkReferences(template, final);
  const evaluator = new Evaluator({
    ...base,
    template,
    resource: () => undefined,
    exports: new Map(),
    availabilityZones: () => [],
  });
  const conditions = evaluator.allConditions();
  dependencyGraph(template, (condition) => conditions.get(condition) === true);
  return { template, parameters, processed, conditions };
}

/**
 * Parameters, mappings and transforms, which the transforms themselves need; the rest may still be in a transform's own form.
 *
 * @throws {TemplateError}
 */
export function readDeclarations(source: TemplateSource): Template {
  const sections = ['Parameters', 'Mappings', 'Transform', 'AWSTemplateFormatVersion'];
  const known = mapObject(source.root, (value, key) => (sections.includes(key) ? value : undefined));
  const root = { ...known, Resources: { Placeholder: { Type: 'AWS::CloudFormation::WaitConditionHandle' } } };
  return readTemplate({ root, positionAt: source.positionAt });
}

function applyTransform(
  name: string,
  root: JsonObject,
  scope: Pick<Scope, 'template' | 'pseudo' | 'parameters'>,
): JsonObject {
  switch (name) {
    case 'AWS::LanguageExtensions':
      return expandLoops(root, scope);
    case samTransform: {
      if (!isSamTemplate(root)) return root;
      const { region, partition } = scope.pseudo;
      const parameters = new Map([...scope.parameters].map(([key, { value }]) => [key, value as Json]));
      return transformSam(root, { region, partition, parameters });
    }
    default: {
      if (member(root, 'Transform') === undefined) return root;
      throw new TemplateError(`No transform named ${name} found.`);
    }
  }
}
