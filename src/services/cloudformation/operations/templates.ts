import { isObject, isScalar, type JsonObject, member } from '../../../deploy/json.ts';
import { readDeclarations } from '../../../deploy/prepare.ts';
import { parseSource } from '../../../deploy/source.ts';
import { readTemplate } from '../../../deploy/template.ts';
import type { Handlers } from '../../../platform/service.ts';
import { type Environment, requireStackWithId } from '../environment.ts';
import { neededCapabilities } from '../rules/capabilities.ts';
import { invalid, judged, noChangeSet } from '../rules/errors.ts';
import { loadTemplate, templateText } from '../templates.ts';
import { findChangeSet } from './change-sets.ts';

export function templateOperations(env: Environment): Handlers<'cloudformation'> {
  return {
    async GetTemplate(context, { StackName, ChangeSetName, TemplateStage = 'Original' }) {
      const { stack, template } = await templateOf(env, context, StackName, ChangeSetName);
      const { original, processed } = await loadTemplate(env, stack, template);
      const body = TemplateStage === 'Processed' ? processed : original;
      return { TemplateBody: body, StagesAvailable: ['Original', 'Processed'] };
    },

    async ValidateTemplate(_context, input) {
      const text = await templateText(env, input);
      const summary = await judged(() => summarize(text));
      return {
        Parameters: summary.parameters.map(({ name, defaultText, noEcho, description }) => ({
          ParameterKey: name,
          DefaultValue: defaultText,
          NoEcho: noEcho,
          Description: description,
        })),
        Description: summary.description,
        Capabilities: summary.capabilities,
        CapabilitiesReason: summary.reason,
        DeclaredTransforms: summary.transforms.length === 0 ? undefined : summary.transforms,
      };
    },

    async GetTemplateSummary(context, { StackName, StackSetName, TemplateBody, TemplateURL }) {
      if (StackSetName !== undefined) throw invalid('Stack sets are not supported here.');
      const text =
        StackName === undefined
          ? await templateText(env, { TemplateBody, TemplateURL })
          : (await loadTemplate(env, (await requireStackWithId(env, context, StackName)).record)).original;
      const summary = await judged(() => summarize(text));
      return {
        Parameters: summary.parameters.map(({ name, type, defaultText, noEcho, description, allowed }) => ({
          ParameterKey: name,
          DefaultValue: defaultText,
          ParameterType: type,
          NoEcho: noEcho,
          Description: description,
          ParameterConstraints: allowed === undefined ? {} : { AllowedValues: allowed },
        })),
        Description: summary.description,
        Capabilities: summary.capabilities.length === 0 ? undefined : summary.capabilities,
        CapabilitiesReason: summary.reason,
        ResourceTypes: summary.types,
        Version: summary.version,
        Metadata: summary.metadata,
        DeclaredTransforms: summary.transforms.length === 0 ? undefined : summary.transforms,
      };
    },
  };
}

async function templateOf(
  env: Environment,
  context: Parameters<typeof requireStackWithId>[1],
  stackName: string | undefined,
  changeSetName: string | undefined,
) {
  if (changeSetName !== undefined) {
    const { stack, set } = await findChangeSet(env, context, changeSetName, stackName);
    if (set.setup.template === undefined) throw noChangeSet(changeSetName);
    return { stack, template: set.setup.template };
  }
  if (stackName === undefined) throw invalid('StackName is required if ChangeSetName is not specified.');
  const { record: stack } = await requireStackWithId(env, context, stackName);
  return { stack, template: stack.setup.template };
}

/** What a template says about itself; a template with transforms is judged as far as it can be without them. */
function summarize(text: string) {
  const source = parseSource(text);
  const declared = readDeclarations(source);
  const { root } = source;
  const transformed = declared.transforms.length > 0;
  const template = transformed ? declared : readTemplate(source);
  const resources = member(root, 'Resources');
  const types = isObject(resources)
    ? Object.values(resources).flatMap((resource) =>
        isObject(resource) ? [String(member(resource, 'Type') ?? '')] : [],
      )
    : [];
  const description = member(root, 'Description');
  const metadata = member(root, 'Metadata');
  const version = member(root, 'AWSTemplateFormatVersion');
  const iam = neededCapabilities(transformed ? { resources: plainResources(resources) } : template);
  return {
    parameters: [...declared.parameters].map(([name, declaration]) => ({
      name,
      type: declaration.type,
      defaultText: declaration.default,
      noEcho: declaration.noEcho,
      description: declaration.description,
      allowed: declaration.allowedValues,
    })),
    description: isScalar(description) ? String(description) : undefined,
    metadata: metadata === undefined ? undefined : JSON.stringify(metadata),
    version: isScalar(version) ? String(version) : undefined,
    types: [...new Set(types)],
    transforms: declared.transforms,
    capabilities: [...iam.capabilities, ...(transformed ? (['CAPABILITY_AUTO_EXPAND'] as const) : [])],
    // As AWS tells it: LocalStack's recording of test_get_template_summary with a transform.
    reason: transformed
      ? `The following resource(s) require capabilities: [${declared.transforms.join(', ')}]`
      : iam.reason,
  };
}

function plainResources(resources: unknown): Parameters<typeof neededCapabilities>[0]['resources'] {
  const entries = isObject(resources) ? Object.entries(resources) : [];
  return new Map(
    entries.flatMap(([name, resource]) => {
      if (!isObject(resource)) return [];
      const properties = member(resource, 'Properties');
      const type = String(member(resource, 'Type') ?? '');
      return [[name, { type, properties: (isObject(properties) ? properties : {}) as JsonObject }]];
    }),
  );
}
