import { TemplateError } from './errors.ts';
import { isList, isObject, isScalar, type Json, type JsonObject, member } from './json.ts';
import type { TemplateSource } from './source.ts';

/** A CloudFormation template whose shape has been checked; expressions in it are still to be evaluated. */
export interface Template {
  readonly description: string | undefined;
  readonly metadata: JsonObject;
  readonly transforms: readonly string[];
  readonly parameters: ReadonlyMap<string, ParameterDeclaration>;
  readonly mappings: ReadonlyMap<string, JsonObject>;
  readonly conditions: ReadonlyMap<string, Json>;
  readonly rules: JsonObject;
  readonly resources: ReadonlyMap<string, ResourceDeclaration>;
  readonly outputs: ReadonlyMap<string, OutputDeclaration>;
}

export interface ParameterDeclaration {
  readonly type: string;
  readonly default: string | undefined;
  readonly description: string | undefined;
  readonly allowedValues: readonly string[] | undefined;
  readonly allowedPattern: string | undefined;
  readonly constraintDescription: string | undefined;
  readonly minLength: number | undefined;
  readonly maxLength: number | undefined;
  readonly minValue: number | undefined;
  readonly maxValue: number | undefined;
  readonly noEcho: boolean;
}

/** `Delete` is the default; `RetainExceptOnCreate` deletes only what a failed creation made. */
export type DeletionPolicy = 'Delete' | 'Retain' | 'RetainExceptOnCreate' | 'Snapshot';

export interface ResourceDeclaration {
  readonly type: string;
  readonly properties: JsonObject;
  readonly dependsOn: readonly string[];
  readonly condition: string | undefined;
  /** Undefined where the template says nothing: some types have a default of their own. */
  readonly deletionPolicy: DeletionPolicy | undefined;
  readonly updateReplacePolicy: DeletionPolicy | undefined;
  readonly metadata: Json | undefined;
  readonly creationPolicy: Json | undefined;
  readonly updatePolicy: Json | undefined;
}

export interface OutputDeclaration {
  readonly value: Json;
  readonly description: string | undefined;
  readonly exportName: Json | undefined;
  readonly condition: string | undefined;
}

/** AWS's quotas on one template: CloudFormation User Guide, "Understand CloudFormation quotas". None is adjustable. */
export const templateLimits = { resources: 500, parameters: 200, outputs: 200, mappings: 200, mappingAttributes: 200 };

/**
 * Checks the shape of a template: sections, names, counts, and each declaration's own form. What it refers to is checked
 * by `checkReferences`.
 *
 * @param source the text's value, after the transforms have been applied, or before.
 * @throws {TemplateError} with AWS's texts.
 */
export function readTemplate(source: TemplateSource): Template {
  return new Reader(source).read();
}

/**
 * @throws {TemplateError} for a null anywhere: "[/Outputs/MyOutput/Value] 'null' values are not allowed in templates"
 *   (recorded by LocalStack, test_validations).
 */
export function refuseNulls(source: TemplateSource): void {
  const visit = (value: Json, path: readonly (string | number)[]): void => {
    if (value === null) {
      throw new TemplateError(
        `[/${path.join('/')}] 'null' values are not allowed in templates`,
        source.positionAt(path),
      );
    }
    if (!isList(value) && !isObject(value)) return;
    for (const [key, item] of Object.entries(value)) visit(item, [...path, key]);
  };
  visit(source.root, []);
}

const sections: ReadonlySet<string> = new Set(
  'AWSTemplateFormatVersion Description Metadata Parameters Mappings Conditions Rules Transform Resources Outputs Hooks'.split(
    ' ',
  ),
);

const parameterMembers: ReadonlySet<string> = new Set(
  'Type Default Description AllowedValues AllowedPattern ConstraintDescription MinLength MaxLength MinValue MaxValue NoEcho'.split(
    ' ',
  ),
);

const resourceMembers: ReadonlySet<string> = new Set(
  'Type Properties DependsOn Condition DeletionPolicy UpdateReplacePolicy Metadata CreationPolicy UpdatePolicy Description'.split(
    ' ',
  ),
);

const outputMembers: ReadonlySet<string> = new Set(['Value', 'Description', 'Export', 'Condition']);

class Reader {
  readonly #source: TemplateSource;
  readonly #root: JsonObject;

  constructor(source: TemplateSource) {
    this.#source = source;
    this.#root = source.root;
  }

  read(): Template {
    refuseNulls(this.#source);
    const unknown = Object.keys(this.#root).filter((key) => !sections.has(key));
    // Text: https://github.com/Versent/cfn-check/issues/3
    if (unknown.length > 0)
      this.#fail(`Invalid template property or properties [${unknown.join(', ')}]`, [unknown[0] as string]);
    const version = member(this.#root, 'AWSTemplateFormatVersion');
    if (version !== undefined && version !== '2010-09-09') {
      this.#fail('Template format error: unsupported value for AWSTemplateFormatVersion.', [
        'AWSTemplateFormatVersion',
      ]);
    }
    const hooks = member(this.#root, 'Hooks');
    if (hooks !== undefined)
      this.#fail('Template format error: Hooks (CodeDeploy blue/green) are not supported here.', ['Hooks']);
    const parameters = this.#entries('Parameters', templateLimits.parameters, (name, value) =>
      this.#parameter(name, value),
    );
    const template: Template = {
      description: this.#description(),
      metadata: this.#section('Metadata'),
      transforms: this.#transforms(),
      parameters,
      mappings: this.#entries('Mappings', templateLimits.mappings, (name, value) => this.#mapping(name, value)),
      conditions: new Map(Object.entries(this.#section('Conditions'))),
      rules: this.#section('Rules'),
      resources: this.#entries('Resources', templateLimits.resources, (name, value) => this.#resource(name, value)),
      outputs: this.#entries('Outputs', templateLimits.outputs, (name, value) => this.#output(name, value)),
    };
    if (template.resources.size === 0) {
      this.#fail('Template format error: At least one Resources member must be defined.', ['Resources']);
    }
    const twice = [...parameters.keys()].filter((name) => template.resources.has(name));
    if (twice.length > 0) {
      this.#fail(
        `Template error: all resources and parameters must have unique names. Common name(s):[${twice.join(', ')}]`,
        ['Resources', twice[0] as string],
      );
    }
    return template;
  }

  #section(name: string): JsonObject {
    const value = member(this.#root, name) ?? {};
    if (!isObject(value)) return this.#fail(`Template format error: ${name} must be an object.`, [name]);
    return value;
  }

  #entries<T>(section: string, limit: number, read: (name: string, value: Json) => T): ReadonlyMap<string, T> {
    const entries = Object.entries(this.#section(section));
    if (entries.length > limit) {
      // Text: https://github.com/dougmoscrop/serverless-plugin-split-stacks/issues/159
      this.#fail(
        `Template format error: Number of ${section.toLowerCase()}, ${entries.length}, is greater than maximum allowed, ${limit}`,
        [section],
      );
    }
    return new Map(
      entries.map(([name, value]) => {
        if (!/^[A-Za-z0-9]{1,255}$/.test(name)) {
          // Text for resources and parameters: recorded by LocalStack, test_change_set_ref.
          this.#fail(`Template format error: ${section.slice(0, -1)} name ${name} is non alphanumeric.`, [
            section,
            name,
          ]);
        }
        return [name, read(name, value)];
      }),
    );
  }

  #description(): string | undefined {
    const value = member(this.#root, 'Description');
    if (value === undefined) return undefined;
    if (typeof value !== 'string')
      return this.#fail('Template format error: Description must be a string.', ['Description']);
    if (Buffer.byteLength(value) > 1024) {
      return this.#fail("Template format error: 'Description' length is greater than 1024.", ['Description']);
    }
    return value;
  }

  #transforms(): readonly string[] {
    const value = member(this.#root, 'Transform');
    if (value === undefined) return [];
    return (isList(value) ? value : [value]).map((item) => {
      const name = isObject(item) ? member(item, 'Name') : item;
      // Text: recorded by LocalStack, test_change_set_fn_transform.
      if (typeof name !== 'string')
        return this.#fail('Key Name of transform definition must be a string.', ['Transform']);
      return name;
    });
  }

  #parameter(name: string, value: Json): ParameterDeclaration {
    const path = ['Parameters', name];
    const object = this.#object(value, path, 'Parameters');
    this.#members(object, parameterMembers, 'parameter', path);
    const type = member(object, 'Type');
    if (typeof type !== 'string')
      return this.#fail('Template format error: Every Parameters object must contain a Type member.', path);
    const allowed = member(object, 'AllowedValues');
    if (allowed !== undefined && !isList(allowed)) {
      // Text: https://github.com/aws-cloudformation/cfn-lint/issues/1295
      return this.#fail('Template format error: Every AllowedValues member must be a list.', [
        ...path,
        'AllowedValues',
      ]);
    }
    const number = (key: string): number | undefined => {
      const text = this.#text(object, key, path);
      if (text === undefined) return undefined;
      if (text.trim() === '' || !Number.isFinite(Number(text))) {
        return this.#fail(`Template format error: Parameter '${name}' ${key} must be a number.`, [...path, key]);
      }
      return Number(text);
    };
    const noEcho = this.#text(object, 'NoEcho', path)?.toLowerCase();
    if (noEcho !== undefined && noEcho !== 'true' && noEcho !== 'false') {
      return this.#fail(`Template format error: Parameter '${name}' NoEcho must be true or false.`, [
        ...path,
        'NoEcho',
      ]);
    }
    return {
      type,
      default: this.#text(object, 'Default', path),
      description: this.#text(object, 'Description', path),
      allowedValues: allowed?.map((item, index) => this.#scalar(item, [...path, 'AllowedValues', index])),
      allowedPattern: this.#text(object, 'AllowedPattern', path),
      constraintDescription: this.#text(object, 'ConstraintDescription', path),
      minLength: number('MinLength'),
      maxLength: number('MaxLength'),
      minValue: number('MinValue'),
      maxValue: number('MaxValue'),
      noEcho: noEcho === 'true',
    };
  }

  #mapping(name: string, value: Json): JsonObject {
    const path = ['Mappings', name];
    // The texts of both checks: recorded by LocalStack, test_mappings and test_change_set_mappings.
    if (!isObject(value)) return this.#fail(`Template format error: Every Mappings member ${name} must be a map`, path);
    for (const [key, attributes] of Object.entries(value)) {
      if (key.startsWith('Fn::')) continue;
      if (!isObject(attributes)) {
        return this.#fail(`Template format error: Every Mappings member ${key} must be a map`, [...path, key]);
      }
      for (const [attribute, item] of Object.entries(attributes)) {
        if (!isScalar(item) && !isList(item)) {
          this.#fail('Template format error: Every Mappings attribute must be a String or a List.', [
            ...path,
            key,
            attribute,
          ]);
        }
      }
    }
    if (Object.keys(value).length > templateLimits.mappingAttributes) {
      this.#fail(
        `Template format error: Number of attributes for mapping ${name}, ${Object.keys(value).length}, is greater than ` +
          `maximum allowed, ${templateLimits.mappingAttributes}`,
        path,
      );
    }
    return value;
  }

  #resource(name: string, value: Json): ResourceDeclaration {
    const path = ['Resources', name];
    // Texts here: recorded by LocalStack, test_validations.
    if (!isObject(value)) return this.#fail('Template format error: Any Resources member must be an object.', path);
    const type = member(value, 'Type');
    if (typeof type !== 'string' || type === '') {
      return this.#fail(
        `Template format error: [/Resources/${name}] Every Resources object must contain a Type member.`,
        path,
      );
    }
    this.#members(value, resourceMembers, 'resource', path);
    const properties = member(value, 'Properties') ?? {};
    if (!isObject(properties)) {
      return this.#fail(`Template format error: [/Resources/${name}/Properties] Properties must be an object.`, [
        ...path,
        'Properties',
      ]);
    }
    const condition = member(value, 'Condition');
    if (condition !== undefined && typeof condition !== 'string') {
      return this.#fail(`Template format error: [/Resources/${name}/Condition] Condition must be a string.`, [
        ...path,
        'Condition',
      ]);
    }
    return {
      type,
      properties,
      dependsOn: this.#dependsOn(member(value, 'DependsOn'), path),
      condition,
      deletionPolicy: this.#policy(value, 'DeletionPolicy', name, path),
      updateReplacePolicy: this.#policy(value, 'UpdateReplacePolicy', name, path),
      metadata: member(value, 'Metadata'),
      creationPolicy: member(value, 'CreationPolicy'),
      updatePolicy: member(value, 'UpdatePolicy'),
    };
  }

  #dependsOn(value: Json | undefined, path: readonly string[]): readonly string[] {
    if (value === undefined) return [];
    if (typeof value === 'string') return [value];
    if (!isList(value))
      return this.#fail('Template format error: DependsOn must be a string or list of strings.', [
        ...path,
        'DependsOn',
      ]);
    return value.map((item) =>
      typeof item === 'string'
        ? item
        : this.#fail('Template format error: Every DependsOn value must be a string.', [...path, 'DependsOn']),
    );
  }

  #policy(object: JsonObject, key: string, name: string, path: readonly string[]): DeletionPolicy | undefined {
    const value = member(object, key);
    if (value === undefined) return undefined;
    const allowed: readonly Json[] =
      key === 'DeletionPolicy'
        ? ['Delete', 'Retain', 'RetainExceptOnCreate', 'Snapshot']
        : ['Delete', 'Retain', 'Snapshot'];
    if (allowed.includes(value)) return value as DeletionPolicy;
    return this.#fail(
      `Template format error: Unrecognized ${key} ${typeof value === 'string' ? value : JSON.stringify(value)} for resource ${name}`,
      [...path, key],
    );
  }

  #output(name: string, value: Json): OutputDeclaration {
    const path = ['Outputs', name];
    const object = this.#object(value, path, 'Outputs');
    this.#members(object, outputMembers, 'output', path);
    const result = member(object, 'Value');
    if (result === undefined)
      return this.#fail('Template format error: Every Outputs member must contain a Value object', path);
    const exported = member(object, 'Export');
    const exportName = isObject(exported) ? member(exported, 'Name') : undefined;
    if (exported !== undefined && exportName === undefined) {
      return this.#fail('Template format error: Output Export must be an object with a Name member.', [
        ...path,
        'Export',
      ]);
    }
    return {
      value: result,
      description: this.#text(object, 'Description', path),
      exportName,
      condition: this.#text(object, 'Condition', path),
    };
  }

  #object(value: Json, path: readonly string[], section: string): JsonObject {
    if (!isObject(value)) return this.#fail(`Template format error: Any ${section} member must be an object.`, path);
    return value;
  }

  /** Texts: "Invalid template resource property 'X'" (recorded by LocalStack, test_validations); the others alike. */
  #members(object: JsonObject, known: ReadonlySet<string>, what: string, path: readonly string[]): void {
    const unknown = Object.keys(object).find((key) => !known.has(key));
    if (unknown !== undefined) this.#fail(`Invalid template ${what} property '${unknown}'`, [...path, unknown]);
  }

  #text(object: JsonObject, key: string, path: readonly string[]): string | undefined {
    const value = member(object, key);
    return value === undefined ? undefined : this.#scalar(value, [...path, key]);
  }

  #scalar(value: Json, path: readonly (string | number)[]): string {
    if (!isScalar(value)) return this.#fail(`Template format error: [/${path.join('/')}] must be a string.`, path);
    return String(value);
  }

  #fail(message: string, path: readonly (string | number)[]): never {
    throw new TemplateError(message, this.#source.positionAt(path));
  }
}
