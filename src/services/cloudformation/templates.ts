import { Evaluator, type PseudoParameters } from '../../deploy/intrinsics.ts';
import { isList, isObject, type Json, type JsonObject } from '../../deploy/json.ts';
import type { ParameterInput, ResolvedParameter } from '../../deploy/parameters.ts';
import { checkAttributes, checkTypes, type ResourceTypes } from '../../deploy/plan.ts';
import { type PreparedTemplate, prepareTemplate } from '../../deploy/prepare.ts';
import { parseSource } from '../../deploy/source.ts';
import { readTemplate, type Template } from '../../deploy/template.ts';
import { partitionOf } from '../../platform/arn.ts';
import { blobOfUrl } from '../../platform/blob-bucket.ts';
import type { Caller } from '../../platform/context.ts';
import { AwsError } from '../../wire/errors.ts';
import type { Environment } from './environment.ts';
import { limits } from './limits.ts';
import { customResource } from './resources/custom-resource.ts';
import { type Capability, checkCapabilities, neededCapabilities } from './rules/capabilities.ts';
import { invalid, judged } from './rules/errors.ts';
import type { Place } from './rules/names.ts';
import { checkTemplateRules } from './rules/template-rules.ts';
import { checkBuilt } from './rules/unbuilt.ts';
import {
  type ExportRecord,
  keys,
  read,
  readAll,
  type StackRecord,
  type StackSetup,
  type StoredParameter,
  type StoredText,
  type TemplateRecord,
} from './state.ts';

/** What CreateStack, UpdateStack and CreateChangeSet have in common. */
export interface SetupInput {
  readonly TemplateBody?: string | undefined;
  readonly TemplateURL?: string | undefined;
  readonly UsePreviousTemplate?: boolean | undefined;
  readonly Parameters?: readonly ParameterEntry[] | undefined;
  readonly Capabilities?: readonly string[] | undefined;
  readonly NotificationARNs?: readonly string[] | undefined;
  readonly RoleARN?: string | undefined;
  readonly Tags?: StackSetup['tags'] | undefined;
}

interface ParameterEntry {
  readonly ParameterKey?: string | undefined;
  readonly ParameterValue?: string | undefined;
  readonly UsePreviousValue?: boolean | undefined;
}

export interface PreparedSetup {
  /** Without the template's id, which it gets when it is stored. */
  readonly setup: Omit<StackSetup, 'template'>;
  readonly prepared: PreparedTemplate;
  readonly original: string;
  readonly needed: readonly Capability[];
}

/**
 * From a request to what an operation can run, everything in it checked but the capabilities.
 *
 * @param previous the stack that is updated: gives the previous template and parameters, and what is not said anew.
 * @throws ValidationError with AWS's text.
 */
export async function prepareSetup(
  env: Environment,
  caller: Caller,
  stack: { readonly name: string; readonly arn: string },
  input: SetupInput,
  previous: StackRecord | undefined,
): Promise<PreparedSetup> {
  const original = await templateText(env, input, previous);
  await checkRole(env, caller, input.RoleARN);
  const notificationArns = input.NotificationARNs ?? previous?.setup.notificationArns ?? [];
  const pseudo = pseudoOf(caller, stack, notificationArns);
  const prepared = await judged(async () => {
    const ready = await prepareTemplate(parseSource(original), {
      pseudo,
      parameters: parametersOf(env, caller, input, previous),
    });
    checkTemplateRules(ready, pseudo);
    checkBuilt(ready.template);
    return ready;
  });
  const needed: Capability[] = [...neededCapabilities(prepared.template).capabilities];
  const description = prepared.template.description;
  const roleArn = input.RoleARN ?? previous?.setup.roleArn;
  const exports = await exportsOf(env, caller);
  return {
    original,
    prepared,
    needed,
    setup: {
      ...(description !== undefined && { description }),
      parameters: [...prepared.parameters].map(([key, value]) => stored(key, value)),
      tags: input.Tags ?? previous?.setup.tags ?? [],
      capabilities: input.Capabilities ?? [],
      notificationArns,
      ...(roleArn !== undefined && { roleArn }),
      imports: importsIn(prepared, pseudo, exports),
    },
  };
}

/** @throws ValidationError for types that are not known or have changed, and attributes that a type does not have. */
export async function checkAgainstTypes(
  env: Environment,
  template: Template,
  live: Parameters<typeof checkTypes>[1],
): Promise<void> {
  const types = typesOf(env);
  await judged(() => {
    checkTypes(template, live, types);
    checkAttributes(template, types);
  });
}

/** For operations without a change set: a template with transforms must have been acknowledged, too. */
export function checkDirectCapabilities({ prepared, needed, setup, original }: PreparedSetup): void {
  const transforms = parseSource(original).root['Transform'] !== undefined || prepared.template.transforms.length > 0;
  checkCapabilities([...(transforms ? (['CAPABILITY_AUTO_EXPAND'] as const) : []), ...needed], setup.capabilities);
}

/** @throws ValidationError unless exactly one source is named, and it is there. */
export async function templateText(
  env: Environment,
  { TemplateBody, TemplateURL, UsePreviousTemplate }: SetupInput,
  previous?: StackRecord,
): Promise<string> {
  if (UsePreviousTemplate && previous !== undefined) {
    if (TemplateBody !== undefined || TemplateURL !== undefined)
      throw invalid('UsePreviousTemplate cannot be used together with a template body or URL.');
    return (await loadTemplate(env, previous)).original;
  }
  if ((TemplateBody === undefined) === (TemplateURL === undefined))
    throw invalid('Either Template URL or Template Body must be specified.');
  if (TemplateBody !== undefined) {
    if (Buffer.byteLength(TemplateBody) > limits.templateBodyBytes) {
      throw invalid(
        `1 validation error detected: Value '${TemplateBody}' at 'templateBody' failed to satisfy constraint: ` +
          `Member must have length less than or equal to ${limits.templateBodyBytes}`,
      );
    }
    return TemplateBody;
  }
  const url = TemplateURL as string;
  const digest = blobOfUrl(url);
  if (digest === undefined) {
    // AWS's text for an address that is no object of S3 (LocalStack's recording, test_create_stack_with_bad_template_url).
    throw invalid(`S3 error: Domain name specified in ${hostOf(url)} is not a valid S3 domain`);
  }
  const bytes = await env.platform.blobs.get(digest);
  if (bytes === undefined) throw invalid('S3 error: The specified key does not exist.');
  return bytes.toString('utf8');
}

export interface LoadedTemplate {
  readonly original: string;
  readonly processed: string;
  readonly template: Template;
}

export async function loadTemplate(env: Environment, stack: StackRecord, id?: string): Promise<LoadedTemplate> {
  const template = id ?? stack.setup.template;
  if (template === undefined) throw invalid(`Stack with id ${stack.name} has no template`);
  const found = await read<TemplateRecord>(env.platform.store, keys.template(stack, stack.id, template));
  if (found === undefined) throw new Error(`the template ${template} of ${stack.arn} is missing`);
  const [original, processed] = await Promise.all([
    loadText(env, found.record.original),
    loadText(env, found.record.processed),
  ]);
  const declared = readTemplate({ root: JSON.parse(processed) as JsonObject, positionAt: () => undefined });
  return { original, processed, template: { ...declared, transforms: found.record.transforms } };
}

/** Puts a template away; the record goes into the commit that refers to it. */
export async function templateRecord(env: Environment, { original, prepared }: PreparedSetup): Promise<TemplateRecord> {
  const [first, processed] = await Promise.all([
    storeText(env, original),
    storeText(env, JSON.stringify(prepared.processed)),
  ]);
  return { original: first, processed, transforms: prepared.template.transforms };
}

export function pseudoOf(
  { account, region }: Place,
  { name, arn }: { readonly name: string; readonly arn: string },
  notificationArns: readonly string[],
): PseudoParameters {
  const partition = partitionOf(region);
  return {
    accountId: account,
    region,
    partition,
    urlSuffix: partition === 'aws-cn' ? 'amazonaws.com.cn' : 'amazonaws.com',
    stackId: arn,
    stackName: name,
    notificationArns,
  };
}

export function typesOf(env: Environment): ResourceTypes {
  return (name) =>
    env.platform.resourceTypes.get(name) ?? (name.startsWith('Custom::') ? customResource(env, name) : undefined);
}

export function resolvedParameters(parameters: readonly StoredParameter[]): ReadonlyMap<string, ResolvedParameter> {
  return new Map(
    parameters.map(({ key, value, text, resolvedText, noEcho }) => [key, { value, text, resolvedText, noEcho }]),
  );
}

/** The values of all exports of an account and region, by name. */
export async function exportsOf(
  { platform: { store } }: Environment,
  place: Place,
): Promise<ReadonlyMap<string, string>> {
  const named = await readAll<ExportRecord>(store, keys.exports(place));
  return new Map(named.map(({ name, value }) => [name, value]));
}

export function availabilityZones(region: string): readonly string[] {
  return ['a', 'b', 'c'].map((zone) => region + zone);
}

function parametersOf(
  env: Environment,
  caller: Caller,
  { Parameters = [] }: SetupInput,
  previous: StackRecord | undefined,
): ParameterInput {
  const values = new Map<string, string>();
  const usePrevious = new Set<string>();
  for (const { ParameterKey, ParameterValue, UsePreviousValue } of Parameters) {
    if (ParameterKey === undefined) throw invalid('Parameters must have a ParameterKey.');
    if (UsePreviousValue && ParameterValue !== undefined) {
      // AWS's text (moto, cloudformation/exceptions.py, and public issues).
      throw invalid(
        `Invalid input for parameter key ${ParameterKey}. Cannot specify usePreviousValue as true and non empty value for a parameter`,
      );
    }
    if (UsePreviousValue) usePrevious.add(ParameterKey);
    else if (ParameterValue !== undefined) values.set(ParameterKey, ParameterValue);
  }
  return {
    values,
    usePrevious,
    previous: resolvedParameters(previous?.setup.parameters ?? []),
    lookupSsm: (name) => ssmValue(env, caller, name),
  };
}

async function ssmValue({ platform }: Environment, caller: Caller, name: string): Promise<string | undefined> {
  try {
    const found = await platform.bus.callByName(caller, 'ssm', 'GetParameter', { Name: name });
    return (found as { Parameter?: { Value?: string } }).Parameter?.Value;
  } catch (error) {
    if (error instanceof AwsError) return undefined;
    throw error;
  }
}

/** @throws ValidationError for a role that is not there. */
async function checkRole({ platform }: Environment, caller: Caller, roleArn: string | undefined): Promise<void> {
  if (roleArn === undefined) return;
  const refused = invalid(`Role ${roleArn} is invalid or cannot be assumed`);
  const name = /^arn:[^:]+:iam::(\d{12}):role\/(?:.*\/)?([^/]+)$/.exec(roleArn);
  if (name === null || name[1] !== caller.account) throw refused;
  try {
    await platform.bus.call(caller, 'iam', 'GetRole', { RoleName: name[2] as string });
  } catch (error) {
    throw error instanceof AwsError && error.code === 'NoSuchEntityException' ? refused : error;
  }
}

function stored(key: string, { value, text, resolvedText, noEcho }: ResolvedParameter): StoredParameter {
  return { key, value, text, ...(resolvedText !== undefined && { resolvedText }), noEcho };
}

/** The exports that the template's resources and outputs name. */
function importsIn(
  { template, parameters, conditions }: PreparedTemplate,
  pseudo: PseudoParameters,
  exports: ReadonlyMap<string, string>,
): readonly string[] {
  const evaluator = new Evaluator({
    template,
    pseudo,
    parameters,
    resource: () => undefined,
    exports,
    availabilityZones,
  });
  const names = new Set<string>();
  const visit = (value: Json): void => {
    if (isList(value)) for (const item of value) visit(item);
    if (!isObject(value)) return;
    for (const [key, item] of Object.entries(value)) {
      if (key !== 'Fn::ImportValue') visit(item);
      else {
        const name = evaluator.value(item);
        if (typeof name === 'string' && exports.has(name)) names.add(name);
      }
    }
  };
  const holds = (condition: string | undefined): boolean =>
    condition === undefined || conditions.get(condition) === true;
  for (const resource of template.resources.values()) if (holds(resource.condition)) visit(resource.properties);
  for (const output of template.outputs.values()) if (holds(output.condition)) visit(output.value);
  return [...names];
}

/** As DESIGN has it for bodies: short ones in the store, long ones in the blob store. */
const mostInlineBytes = 65_536;

async function storeText({ platform }: Environment, text: string): Promise<StoredText> {
  if (Buffer.byteLength(text) <= mostInlineBytes) return { inline: text };
  return { blob: await platform.blobs.put(Buffer.from(text, 'utf8')) };
}

async function loadText({ platform }: Environment, text: StoredText): Promise<string> {
  if ('inline' in text) return text.inline;
  const bytes = await platform.blobs.get(text.blob);
  if (bytes === undefined) throw new Error(`the blob ${text.blob} of a template is missing`);
  return bytes.toString('utf8');
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url;
}
