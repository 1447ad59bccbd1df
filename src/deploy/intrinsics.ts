import { cidrBlocks } from './cidr.ts';
import { TemplateError } from './errors.ts';
import {
  isList,
  isObject,
  isScalar,
  type Json,
  type JsonObject,
  type MutableObject,
  member,
  setMember,
} from './json.ts';
import type { ResolvedParameter } from './parameters.ts';
import { attributeTarget, functionOf } from './references.ts';
import type { Template } from './template.ts';

/** What a resource is to expressions that refer to it. */
export interface ResourceValue {
  /** What Ref gives: the physical id. */
  readonly ref: Json;
  readonly attributes: JsonObject;
}

/** Who and where the stack is: the values of the pseudo parameters. */
export interface PseudoParameters {
  readonly accountId: string;
  readonly region: string;
  readonly partition: string;
  readonly urlSuffix: string;
  readonly stackId: string;
  readonly stackName: string;
  readonly notificationArns: readonly string[];
}

export interface Scope {
  readonly template: Template;
  readonly pseudo: PseudoParameters;
  readonly parameters: ReadonlyMap<string, ResolvedParameter>;
  /** A resource by logical id; undefined if it does not exist (yet), or its condition is false. */
  readonly resource: (logicalId: string) => ResourceValue | undefined;
  /** Exports of the account and region, for Fn::ImportValue. */
  readonly exports: ReadonlyMap<string, string>;
  /** Availability zones by region, for Fn::GetAZs. */
  readonly availabilityZones: (region: string) => readonly string[];
}

/** CloudFormation's own placeholder in change sets for what is only known after a resource has been made. */
export const knownAfterApply = '{{changeSet:KNOWN_AFTER_APPLY}}';

/**
 * Evaluates expressions of one template. Conditions are evaluated when first needed and kept.
 *
 * The error texts are CloudFormation's: recorded by LocalStack (test_change_set_fn_select, _split, _join, test_mappings,
 * test_conditions), or as Eucalyptus's compatible FunctionEvaluation has them.
 */
export class Evaluator {
  readonly #scope: Scope;
  readonly #conditions = new Map<string, boolean>();
  readonly #evaluating: string[] = [];

  constructor(scope: Scope) {
    this.#scope = scope;
  }

  /** Whether the named condition holds. @throws {TemplateError} when it is unknown or depends on itself. */
  condition(name: string): boolean {
    const known = this.#conditions.get(name);
    if (known !== undefined) return known;
    const expression = this.#scope.template.conditions.get(name);
    if (expression === undefined) {
      throw new TemplateError(`Template error: unresolved condition dependency ${name} in Fn::If`);
    }
    if (this.#evaluating.includes(name)) {
      const cycle = this.#evaluating.slice(this.#evaluating.indexOf(name));
      throw new TemplateError(`Template error: Found circular condition dependency: [${cycle.join(', ')}]`);
    }
    this.#evaluating.push(name);
    const holds = this.#boolean(expression);
    this.#evaluating.pop();
    this.#conditions.set(name, holds);
    return holds;
  }

  /** All conditions of the template, evaluated: a template with a broken one is refused even if nothing uses it. */
  allConditions(): ReadonlyMap<string, boolean> {
    return new Map([...this.#scope.template.conditions.keys()].map((name) => [name, this.condition(name)]));
  }

  /** The value of an expression; undefined for AWS::NoValue, which takes its member or item away. */
  value(expression: Json): Json | undefined {
    if (isList(expression)) return this.#list(expression);
    if (!isObject(expression)) return expression;
    const call = functionOf(expression);
    if (call !== undefined) return this.#call(call.name, call.argument);
    return this.object(expression);
  }

  /** The members of an object, evaluated. */
  object(expression: JsonObject): JsonObject {
    const result: MutableObject = {};
    for (const [key, item] of Object.entries(expression)) {
      const value = this.value(item);
      if (value !== undefined) setMember(result, key, value);
    }
    return result;
  }

  /** Evaluates to text, or fails with the given text. */
  text(expression: Json, orElse: string): string {
    const value = this.value(expression);
    if (!isScalar(value)) throw new TemplateError(orElse);
    return String(value);
  }

  #list(items: readonly Json[]): readonly Json[] {
    const result: Json[] = [];
    for (const item of items) {
      const value = this.value(item);
      if (value !== undefined) result.push(value);
    }
    return result;
  }

  #call(name: string, argument: Json): Json | undefined {
    switch (name) {
      case 'Ref':
        return this.#ref(argument);
      case 'Condition':
        // `Condition` is also an ordinary member (of an IAM statement, for one): only conditions read it as a function.
        return this.object({ Condition: argument });
      case 'Fn::GetAtt':
        return this.#getAtt(argument);
      case 'Fn::Sub':
        return this.#sub(argument);
      case 'Fn::Join':
        return this.#join(argument);
      case 'Fn::If':
        return this.#if(argument);
      case 'Fn::Select':
        return this.#select(argument);
      case 'Fn::Split':
        return this.#split(argument);
      case 'Fn::FindInMap':
        return this.#findInMap(argument);
      case 'Fn::Base64':
        return Buffer.from(
          this.text(argument, 'Template error: every Fn::Base64 object must have a String-typed value.'),
        ).toString('base64');
      case 'Fn::Cidr':
        return this.#cidr(argument);
      case 'Fn::GetAZs':
        return this.#zones(argument);
      case 'Fn::ImportValue':
        return this.#importValue(argument);
      case 'Fn::Length':
        return this.#length(argument);
      case 'Fn::ToJsonString':
        return this.#toJson(argument);
      case 'Fn::Equals':
      case 'Fn::And':
      case 'Fn::Or':
      case 'Fn::Not':
        // Allowed outside of Conditions only as a condition function's operand; AWS answers so elsewhere.
        throw new TemplateError(`Template error: ${name} can only be used in the Conditions block or in a rule`);
      default:
        throw new TemplateError(`Template error: ${name} is not a supported function here`);
    }
  }

  #ref(argument: Json): Json | undefined {
    const name =
      typeof argument === 'string'
        ? argument
        : this.text(argument, 'Template error: All References must be of type string');
    const { pseudo, parameters } = this.#scope;
    switch (name) {
      case 'AWS::AccountId':
        return pseudo.accountId;
      case 'AWS::Region':
        return pseudo.region;
      case 'AWS::Partition':
        return pseudo.partition;
      case 'AWS::URLSuffix':
        return pseudo.urlSuffix;
      case 'AWS::StackId':
        return pseudo.stackId;
      case 'AWS::StackName':
        return pseudo.stackName;
      case 'AWS::NotificationARNs':
        return pseudo.notificationArns;
      case 'AWS::NoValue':
        return undefined;
    }
    const parameter = parameters.get(name);
    if (parameter) return parameter.value;
    const resource = this.#scope.resource(name);
    if (resource) return resource.ref;
    throw new TemplateError(
      `Template format error: Unresolved resource dependencies [${name}] in the Resources block of the template`,
    );
  }

  #getAtt(argument: Json): Json {
    const target = attributeTarget(isList(argument) ? this.#list(argument) : argument);
    if (!target || target.resource === '' || target.attribute === '') {
      throw new TemplateError(
        'Template error: every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute',
      );
    }
    return this.#attribute(target.resource, target.attribute);
  }

  #attribute(resource: string, attribute: string): Json {
    const found = this.#scope.resource(resource);
    if (!found)
      throw new TemplateError(`Template error: instance of Fn::GetAtt references undefined resource ${resource}`);
    const value = attributeIn(found.attributes, attribute);
    if (value !== undefined) return value;
    if (found.ref === knownAfterApply) return knownAfterApply;
    throw new TemplateError(
      `Template error: resource ${resource} does not support attribute type ${attribute} in Fn::GetAtt`,
    );
  }

  #sub(argument: Json): Json {
    const malformed =
      "Template error: One or more Fn::Sub intrinsic functions don't specify expected arguments. Specify a string as first " +
      'argument, and an optional second argument to specify a mapping of values to replace in the string';
    const [text, own] = isList(argument) ? argument : [argument, {}];
    if (typeof text !== 'string' || !isObject(own) || (isList(argument) && argument.length !== 2)) {
      throw new TemplateError(malformed);
    }
    return text.replace(/\$\{([^{}]*)\}/g, (_all, written: string) => {
      if (written.startsWith('!')) return `\${${written.slice(1)}}`;
      const name = written.trim();
      if (!/^[A-Za-z0-9_.:]+$/.test(name)) {
        throw new TemplateError(
          'Template error: variable names in Fn::Sub syntax must contain only alphanumeric characters, underscores, periods, and colons',
        );
      }
      return this.#subVariable(name, own);
    });
  }

  #subVariable(name: string, own: JsonObject): string {
    const given = member(own, name);
    const dot = name.indexOf('.');
    const value =
      given !== undefined
        ? this.value(given)
        : dot === -1
          ? this.#ref(name)
          : this.#attribute(name.slice(0, dot), name.slice(dot + 1));
    if (isScalar(value)) return String(value);
    if (given !== undefined) {
      throw new TemplateError(
        'Template error: every value of the context object of every Fn::Sub object must be a string or a function that returns a string',
      );
    }
    throw new TemplateError('Template error: every variable in an Fn::Sub object must reference a string');
  }

  #join(argument: Json): Json {
    const malformed =
      'Template error: every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings to be ' +
      'joined or a function that returns a list of strings (such as Fn::GetAZs) to be joined.';
    if (!isList(argument) || argument.length !== 2) throw new TemplateError(malformed);
    const delimiter = this.text(argument[0] as Json, malformed);
    const items = this.value(argument[1] as Json);
    if (items === knownAfterApply) return knownAfterApply;
    if (!isList(items)) throw new TemplateError(malformed);
    return items
      .flatMap((item) => (isList(item) ? item : [item]))
      .map((item) => {
        if (!isScalar(item)) throw new TemplateError(malformed);
        return String(item);
      })
      .join(delimiter);
  }

  #if(argument: Json): Json | undefined {
    if (!isList(argument) || argument.length !== 3) {
      throw new TemplateError('Template error: Fn::If requires a list argument with three elements');
    }
    const [name, whenTrue, whenFalse] = argument;
    if (typeof name !== 'string') {
      throw new TemplateError(
        'Template error: Fn::If requires a list argument with the first element being a condition',
      );
    }
    return this.value((this.condition(name) ? whenTrue : whenFalse) as Json);
  }

  #select(argument: Json): Json {
    const malformed =
      'Template error: Fn::Select requires a list argument with two elements: an integer index and a list';
    if (!isList(argument) || argument.length !== 2) throw new TemplateError(malformed);
    const index = this.text(argument[0] as Json, malformed);
    const items = this.value(argument[1] as Json);
    if (items === knownAfterApply) return knownAfterApply;
    if (!/^\s*[+-]?\d+\s*$/.test(index) || !isList(items)) throw new TemplateError(malformed);
    const chosen = items[Number(index)];
    if (chosen === undefined) {
      throw new TemplateError(`Template error: Fn::Select cannot select nonexistent value at index ${Number(index)}`);
    }
    return chosen;
  }

  #split(argument: Json): Json {
    const malformed =
      'Template error: every Fn::Split object requires two parameters, (1) a string delimiter and (2) a string to be split or ' +
      'a function that returns a string to be split.';
    if (!isList(argument) || argument.length !== 2) throw new TemplateError(malformed);
    const delimiter = this.text(argument[0] as Json, malformed);
    const text = this.text(argument[1] as Json, malformed);
    if (delimiter === '') throw new TemplateError(malformed);
    return text === knownAfterApply ? knownAfterApply : text.split(delimiter);
  }

  #findInMap(argument: Json): Json | undefined {
    const malformed =
      'Template error: every Fn::FindInMap object requires three parameters, the map name, map key and the attribute for return value';
    const extended = this.#scope.template.transforms.includes('AWS::LanguageExtensions');
    if (!isList(argument) || argument.length < 3 || argument.length > (extended ? 4 : 3))
      throw new TemplateError(malformed);
    const fallback = argument[3];
    const defaultValue = isObject(fallback) ? member(fallback, 'DefaultValue') : undefined;
    if (fallback !== undefined && defaultValue === undefined) throw new TemplateError(malformed);
    const [name, key, attribute] = argument.slice(0, 3).map((part) => this.text(part, malformed)) as [
      string,
      string,
      string,
    ];
    const map = this.#scope.template.mappings.get(name);
    const keyed = map && member(map, key);
    const found = isObject(keyed) ? member(keyed, attribute) : undefined;
    if (found !== undefined) return found;
    if (defaultValue !== undefined) return this.value(defaultValue);
    if (!map) {
      throw new TemplateError(
        `Template error: Mapping named '${name}' is not present in the 'Mappings' section of template.`,
      );
    }
    throw new TemplateError(`Template error: Unable to get mapping for ${name}::${key}::${attribute}`);
  }

  #cidr(argument: Json): Json {
    const malformed =
      'Template error: every Fn::Cidr object requires two parameters, (1) a CIDR block and (2) the number of blocks, and ' +
      'optionally (3) the number of subnet bits';
    if (!isList(argument) || argument.length < 2 || argument.length > 3) throw new TemplateError(malformed);
    const [block, count, bits] = argument.map((part) => this.text(part, malformed));
    if (block === knownAfterApply) return knownAfterApply;
    const blocks = cidrBlocks(block as string, Number(count), bits === undefined ? 8 : Number(bits));
    if (blocks === undefined)
      throw new TemplateError(`Template error: Fn::Cidr cannot make ${count} blocks out of ${block}`);
    return blocks;
  }

  #zones(argument: Json): Json {
    const region = this.text(argument, 'Template error: every Fn::GetAZs object must have a String-typed value.');
    return this.#scope.availabilityZones(region === '' ? this.#scope.pseudo.region : region);
  }

  #importValue(argument: Json): Json {
    const name = this.text(
      argument,
      'Template error: the attribute in Fn::ImportValue must be a string or a function that returns a string',
    );
    const value = this.#scope.exports.get(name);
    // Text: recorded by LocalStack (test_change_set_values) and in moto (cloudformation/exceptions.py).
    if (value === undefined) throw new TemplateError(`No export named ${name} found.`);
    return value;
  }

  #length(argument: Json): Json {
    this.#requireExtensions('Fn::Length');
    const value = this.value(argument);
    if (value === knownAfterApply) return knownAfterApply;
    if (isList(value)) return value.length;
    throw new TemplateError('Template error: Fn::Length must reference an array');
  }

  #toJson(argument: Json): Json {
    this.#requireExtensions('Fn::ToJsonString');
    const value = this.value(argument);
    if (isList(value) || isObject(value)) return JSON.stringify(value);
    throw new TemplateError('Template error: Fn::ToJsonString must reference a JSON object or array');
  }

  #requireExtensions(name: string): void {
    if (this.#scope.template.transforms.includes('AWS::LanguageExtensions')) return;
    throw new TemplateError(`Template error: ${name} needs the transform AWS::LanguageExtensions`);
  }

  #boolean(expression: Json): boolean {
    if (typeof expression === 'boolean') return expression;
    const call = isObject(expression) ? functionOf(expression) : undefined;
    const operands = call && isList(call.argument) ? call.argument : undefined;
    switch (call?.name) {
      case 'Condition':
        if (typeof call.argument !== 'string')
          throw new TemplateError('Template error: All Conditions must be of type string');
        return this.condition(call.argument);
      case 'Fn::Equals': {
        const malformed = 'Template error: every Fn::Equals object requires a list of 2 string parameters.';
        if (operands?.length !== 2) throw new TemplateError(malformed);
        const [left, right] = operands.map((operand) => this.value(operand));
        // Compared as text: a parameter of type Number is text, a number in the template is not.
        if (isList(left) || isList(right) || isObject(left) || isObject(right))
          return JSON.stringify(left) === JSON.stringify(right);
        return String(left ?? '') === String(right ?? '');
      }
      case 'Fn::And':
      case 'Fn::Or':
        if (operands === undefined || operands.length < 2 || operands.length > 10) {
          throw new TemplateError(
            `Template error: every ${call.name} object requires a list of at least 2 and at most 10 boolean parameters.`,
          );
        }
        return call.name === 'Fn::And'
          ? operands.every((operand) => this.#boolean(operand))
          : operands.some((operand) => this.#boolean(operand));
      case 'Fn::Not':
        if (operands?.length !== 1)
          throw new TemplateError('Template error: Fn::Not requires a list argument with one element');
        return !this.#boolean(operands[0] as Json);
      default: {
        const value = call ? this.value(expression) : expression;
        if (typeof value === 'boolean' || value === 'true' || value === 'false') return String(value) === 'true';
        throw new TemplateError(`Template error: Invalid boolean value ${JSON.stringify(value ?? null)}`);
      }
    }
  }
}

/** An attribute by its whole name, else by its path through nested objects (`Endpoint.Address`). */
function attributeIn(attributes: JsonObject, name: string): Json | undefined {
  const whole = member(attributes, name);
  if (whole !== undefined) return whole;
  let at: Json | undefined = attributes;
  for (const part of name.split('.')) at = isObject(at) ? member(at, part) : undefined;
  return at;
}
