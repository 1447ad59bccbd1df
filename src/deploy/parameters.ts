import { TemplateError } from './errors.ts';
import type { ParameterDeclaration, Template } from './template.ts';

/** A parameter's value as an expression sees it: text, or a list for the list types. */
export type ParameterValue = string | readonly string[];

export interface ResolvedParameter {
  readonly value: ParameterValue;
  /** What was given or defaulted, as DescribeStacks shows it: text; lists joined by commas; an SSM type's parameter name. */
  readonly text: string;
  /** For SSM types: the value that the name stood for when the operation began. */
  readonly resolvedText: string | undefined;
  readonly noEcho: boolean;
}

export interface ParameterInput {
  /** What the caller gave; undefined takes the default. */
  readonly values: ReadonlyMap<string, string>;
  /** Of the stack being updated: for parameters given by `UsePreviousValue`. */
  readonly previous?: ReadonlyMap<string, ResolvedParameter>;
  readonly usePrevious?: ReadonlySet<string>;
  /** An SSM parameter's value by name; undefined when there is none. */
  readonly lookupSsm?: (name: string) => Promise<string | undefined>;
}

/** Values have at most 4,096 bytes (CloudFormation quotas). */
const maxValueBytes = 4096;

/**
 * Gives every parameter of the template its value and checks the constraints.
 *
 * The texts "must be one of AllowedValues", "must match pattern", "must contain at least/most N characters", "must be a
 * number (not less/greater than N)", "failed to satisfy constraint" are CloudFormation's as reported in public issues
 * (aws-ia/taskcat#627, aws/aws-cli#7992) and in Eucalyptus's compatible implementation.
 *
 * @throws {TemplateError} on the first violation.
 */
export async function resolveParameters(
  template: Template,
  input: ParameterInput,
): Promise<ReadonlyMap<string, ResolvedParameter>> {
  const unknown = [...input.values.keys(), ...(input.usePrevious ?? [])].filter(
    (name) => !template.parameters.has(name),
  );
  if (unknown.length > 0) throw new TemplateError(`Parameters: [${unknown.join(', ')}] do not exist in the template`);
  for (const [name, declaration] of template.parameters) checkDeclaration(name, declaration);

  const texts = new Map<string, string>();
  const missing: string[] = [];
  for (const [name, declaration] of template.parameters) {
    const text = textOf(name, declaration, input);
    if (text === undefined) missing.push(name);
    else texts.set(name, text);
  }
  if (missing.length > 0) throw new TemplateError(`Parameters: [${missing.join(', ')}] must have values`);

  const resolved = new Map<string, ResolvedParameter>();
  for (const [name, declaration] of template.parameters) {
    const text = texts.get(name) as string;
    resolved.set(name, await resolveOne(name, declaration, text, input));
  }
  return resolved;
}

/** Whether the type holds a list: its value is split at commas. */
export function isListType(type: string): boolean {
  const inner = /^AWS::SSM::Parameter::Value<(.+)>$/.exec(type)?.[1] ?? type;
  return inner === 'CommaDelimitedList' || inner.startsWith('List<');
}

function textOf(name: string, declaration: ParameterDeclaration, input: ParameterInput): string | undefined {
  if (input.usePrevious?.has(name)) return input.previous?.get(name)?.text;
  return input.values.get(name) ?? declaration.default;
}

/** The types that take a plain value: User Guide, "CloudFormation-supplied parameter types". */
const plainTypes: ReadonlySet<string> = new Set([
  'String',
  'Number',
  'List<Number>',
  'CommaDelimitedList',
  'AWS::EC2::AvailabilityZone::Name',
  'AWS::EC2::Image::Id',
  'AWS::EC2::Instance::Id',
  'AWS::EC2::KeyPair::KeyName',
  'AWS::EC2::SecurityGroup::GroupName',
  'AWS::EC2::SecurityGroup::Id',
  'AWS::EC2::Subnet::Id',
  'AWS::EC2::Volume::Id',
  'AWS::EC2::VPC::Id',
  'AWS::Route53::HostedZone::Id',
  'List<String>',
  'List<AWS::EC2::AvailabilityZone::Name>',
  'List<AWS::EC2::Image::Id>',
  'List<AWS::EC2::Instance::Id>',
  'List<AWS::EC2::SecurityGroup::GroupName>',
  'List<AWS::EC2::SecurityGroup::Id>',
  'List<AWS::EC2::Subnet::Id>',
  'List<AWS::EC2::Volume::Id>',
  'List<AWS::EC2::VPC::Id>',
  'List<AWS::Route53::HostedZone::Id>',
  'AWS::SSM::Parameter::Name',
]);

function checkDeclaration(name: string, declaration: ParameterDeclaration): void {
  const inner = ssmValueType(declaration.type) ?? declaration.type;
  if (!plainTypes.has(inner)) {
    throw new TemplateError(`Template format error: Unrecognized parameter type: ${declaration.type}`);
  }
  if (declaration.allowedPattern !== undefined) {
    try {
      patternOf(declaration.allowedPattern);
    } catch {
      throw new TemplateError(
        `Template format error: Parameter '${name}' AllowedPattern must be a valid regular expression.`,
      );
    }
  }
}

async function resolveOne(
  name: string,
  declaration: ParameterDeclaration,
  text: string,
  input: ParameterInput,
): Promise<ResolvedParameter> {
  if (Buffer.byteLength(text) > maxValueBytes) {
    throw new TemplateError(
      `Parameter '${name}' exceeds the maximum parameter value length of ${maxValueBytes} bytes.`,
    );
  }
  check(name, declaration, text);
  if (ssmValueType(declaration.type) === undefined) {
    return { value: parse(declaration.type, text), text, resolvedText: undefined, noEcho: declaration.noEcho };
  }
  const found = await input.lookupSsm?.(text);
  if (found === undefined) {
    // Text: https://github.com/awslabs/aws-deployment-framework/issues/659
    throw new TemplateError(`Unable to fetch parameters [${text}] from parameter store for this account.`);
  }
  return { value: parse(declaration.type, found), text, resolvedText: found, noEcho: declaration.noEcho };
}

function check(name: string, declaration: ParameterDeclaration, text: string): void {
  const fail = (reason: string): never => {
    if (declaration.constraintDescription !== undefined) {
      throw new TemplateError(`Parameter ${name} failed to satisfy constraint: ${declaration.constraintDescription}`);
    }
    throw new TemplateError(`Parameter '${name}' ${reason}`);
  };
  const { type, allowedValues, allowedPattern, minLength, maxLength, minValue, maxValue } = declaration;
  const items = isListType(type) && ssmValueType(type) === undefined ? split(text) : [text];
  const numeric = type === 'Number' || type === 'List<Number>';
  for (const item of items) {
    if (numeric && !/^\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*$/.test(item)) {
      throw new TemplateError(`Parameter '${name}' must be a number.`);
    }
    if (numeric && minValue !== undefined && Number(item) < minValue)
      fail(`must be a number not less than ${minValue}`);
    if (numeric && maxValue !== undefined && Number(item) > maxValue)
      fail(`must be a number not greater than ${maxValue}`);
    if (
      allowedValues !== undefined &&
      !allowedValues.some((allowed) => allowed === item || (numeric && Number(allowed) === Number(item)))
    ) {
      fail('must be one of AllowedValues');
    }
    if (allowedPattern !== undefined && !patternOf(allowedPattern).test(item))
      fail(`must match pattern ${allowedPattern}`);
    if (numeric) continue;
    const length = [...item].length;
    if (minLength !== undefined && length < minLength) fail(`must contain at least ${minLength} characters`);
    if (maxLength !== undefined && length > maxLength) fail(`must contain at most ${maxLength} characters`);
  }
}

/** The pattern must match the whole value, as java.util.regex's `matches` does. */
function patternOf(pattern: string): RegExp {
  const java = pattern.replace(
    /\\p\{(Alpha|Alnum|Digit|Lower|Upper)\}/g,
    (_all, name: string) => javaClasses[name] ?? '',
  );
  return new RegExp(`^(?:${java})$`, 's');
}

const javaClasses: Readonly<Record<string, string>> = {
  Alpha: '[A-Za-z]',
  Alnum: '[A-Za-z0-9]',
  Digit: '[0-9]',
  Lower: '[a-z]',
  Upper: '[A-Z]',
};

function ssmValueType(type: string): string | undefined {
  return /^AWS::SSM::Parameter::Value<(.+)>$/.exec(type)?.[1];
}

function parse(type: string, text: string): ParameterValue {
  return isListType(type) ? split(text) : text;
}

/** Spaces around the items do not count (User Guide, "CommaDelimitedList"). */
function split(text: string): readonly string[] {
  return text === '' ? [] : text.split(',').map((item) => item.trim());
}
