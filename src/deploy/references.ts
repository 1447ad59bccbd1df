import { TemplateError } from './errors.ts';
import { isList, isObject, type Json, type JsonObject } from './json.ts';
import type { TemplateSource } from './source.ts';
import type { Template } from './template.ts';

/** What an expression refers to, in order of appearance. */
export interface References {
  /** Names under Ref, and variables without a dot in Fn::Sub: parameters, pseudo parameters and resources. */
  readonly names: readonly Reference[];
  /** Targets of Fn::GetAtt, and variables with a dot in Fn::Sub. */
  readonly attributes: readonly (Reference & { readonly attribute: string; readonly inSub: boolean })[];
  /** Names of conditions under Fn::If. */
  readonly conditions: readonly Reference[];
  /** Names of maps under Fn::FindInMap. */
  readonly maps: readonly Reference[];
}

export interface Reference {
  readonly name: string;
  readonly path: readonly (string | number)[];
}

/** Walks an expression and lists what it refers to; names that are themselves expressions are not statically known. */
export function referencesIn(value: Json, at: readonly (string | number)[] = []): References {
  const found = {
    names: [] as Reference[],
    attributes: [] as (Reference & { attribute: string; inSub: boolean })[],
    conditions: [] as Reference[],
    maps: [] as Reference[],
  };
  visit(value, at);
  return found;

  function visit(node: Json, path: readonly (string | number)[]): void {
    if (isList(node)) {
      for (const [index, item] of node.entries()) visit(item, [...path, index]);
      return;
    }
    if (!isObject(node)) return;
    const call = functionOf(node);
    if (call !== undefined) collect(call.name, call.argument, [...path, call.name]);
    if (call?.name === 'Fn::GetAtt' || call?.name === 'Ref') {
      // A name may be an expression where the language extensions are on; a plain list has nothing further in it.
      if (!isList(call.argument)) visit(call.argument, [...path, call.name]);
      return;
    }
    for (const [key, item] of Object.entries(node)) visit(item, [...path, key]);
  }

  function collect(name: string, argument: Json, path: readonly (string | number)[]): void {
    const first = isList(argument) ? argument[0] : undefined;
    if (name === 'Ref' && typeof argument === 'string') found.names.push({ name: argument, path });
    if (name === 'Fn::GetAtt') {
      const target = attributeTarget(argument);
      if (target) found.attributes.push({ name: target.resource, attribute: target.attribute, inSub: false, path });
    }
    if (name === 'Fn::If' && typeof first === 'string') found.conditions.push({ name: first, path });
    if (name === 'Fn::FindInMap' && typeof first === 'string') found.maps.push({ name: first, path });
    if (name === 'Fn::Sub') {
      const text = typeof argument === 'string' ? argument : first;
      const own = isList(argument) && isObject(argument[1]) ? argument[1] : {};
      if (typeof text !== 'string') return;
      for (const variable of subVariables(text)) {
        if (Object.hasOwn(own, variable)) continue;
        const dot = variable.indexOf('.');
        if (dot === -1) found.names.push({ name: variable, path });
        else
          found.attributes.push({
            name: variable.slice(0, dot),
            attribute: variable.slice(dot + 1),
            inSub: true,
            path,
          });
      }
    }
  }
}

/** An intrinsic function call: an object whose one member is Ref, Condition or Fn::…. */
export function functionOf(node: JsonObject): { readonly name: string; readonly argument: Json } | undefined {
  const keys = Object.keys(node);
  const name = keys[0];
  if (keys.length !== 1 || name === undefined) return undefined;
  if (name !== 'Ref' && name !== 'Condition' && !name.startsWith('Fn::')) return undefined;
  return { name, argument: node[name] as Json };
}

/** `["A", "B"]` or `"A.B"`; undefined when the resource or the attribute is not plain text. */
export function attributeTarget(argument: Json): { readonly resource: string; readonly attribute: string } | undefined {
  if (typeof argument === 'string') {
    const dot = argument.indexOf('.');
    return dot <= 0 ? undefined : { resource: argument.slice(0, dot), attribute: argument.slice(dot + 1) };
  }
  if (!isList(argument) || argument.length < 2) return undefined;
  const [resource, ...rest] = argument;
  if (typeof resource !== 'string' || rest.some((part) => typeof part !== 'string')) return undefined;
  return { resource, attribute: rest.join('.') };
}

/** The variables of a Fn::Sub text: `${Name}` and `${Name.Attribute}`, not the literal `${!Name}`. */
export function subVariables(text: string): readonly string[] {
  return [...text.matchAll(/\$\{([^!{}][^{}]*)\}/g)].map((match) => (match[1] as string).trim());
}

export const pseudoParameterNames: ReadonlySet<string> = new Set(
  'AccountId NotificationARNs NoValue Partition Region StackId StackName URLSuffix'
    .split(' ')
    .map((name) => `AWS::${name}`),
);

/**
 * Checks that everything the template refers to is in it.
 *
 * @throws {TemplateError} with AWS's texts, as recorded by LocalStack (test_validations, test_change_set_ref,
 *   test_change_set_conditions), by moto (cloudformation/parsing.py), and in Eucalyptus's TemplateParser.
 */
export function checkReferences(template: Template, source: TemplateSource): void {
  const fail = (message: string, path: readonly (string | number)[]): never => {
    throw new TemplateError(message, source.positionAt(path));
  };
  for (const [name, expression] of template.conditions) {
    const path = ['Conditions', name];
    const used = referencesIn(expression, path);
    const resources = [
      ...used.attributes,
      ...used.names.filter(
        (reference) => !template.parameters.has(reference.name) && !pseudoParameterNames.has(reference.name),
      ),
    ];
    if (resources.length > 0) {
      fail(
        `Template format error: Unresolved dependencies [${unique(resources)}]. Cannot reference resources in the Conditions ` +
          'block of the template',
        resources[0]?.path ?? path,
      );
    }
    const unknown = conditionNamesIn(expression).filter((condition) => !template.conditions.has(condition));
    if (unknown.length > 0) {
      fail(
        `Template format error: Unresolved condition dependencies [${unknown.join(', ')}] in the Conditions block of the template`,
        path,
      );
    }
    checkMaps(used);
  }

  for (const [name, resource] of template.resources) {
    const path = ['Resources', name];
    const used = referencesIn(resource.properties, [...path, 'Properties']);
    checkBlock(used, 'Resources', path);
    const unknown = resource.dependsOn.filter((dependency) => !template.resources.has(dependency));
    if (unknown.length > 0) {
      fail(
        `Template format error: Unresolved resource dependencies [${unknown.join(', ')}] in the Resources block of the template`,
        [...path, 'DependsOn'],
      );
    }
    if (resource.condition !== undefined && !template.conditions.has(resource.condition)) {
      fail(
        `Template format error: Unresolved condition dependency ${resource.condition} in the Resources block of the template`,
        [...path, 'Condition'],
      );
    }
  }

  for (const [name, output] of template.outputs) {
    const path = ['Outputs', name];
    checkBlock(referencesIn(output.value, [...path, 'Value']), 'Outputs', path);
    if (output.exportName !== undefined)
      checkBlock(referencesIn(output.exportName, [...path, 'Export', 'Name']), 'Outputs', path);
    if (output.condition !== undefined && !template.conditions.has(output.condition)) {
      fail(
        `Template format error: Unresolved condition dependency ${output.condition} in the Outputs block of the template`,
        path,
      );
    }
  }

  function checkBlock(used: References, block: 'Resources' | 'Outputs', path: readonly (string | number)[]): void {
    const known = (name: string): boolean =>
      template.parameters.has(name) || template.resources.has(name) || pseudoParameterNames.has(name);
    const unknown = used.names.filter((reference) => !known(reference.name));
    if (unknown.length > 0) {
      // The prefix is missing in the Outputs block: so AWS answers, by both recordings.
      const prefix = block === 'Resources' ? 'Template format error: ' : '';
      fail(
        `${prefix}Unresolved resource dependencies [${unique(unknown)}] in the ${block} block of the template`,
        unknown[0]?.path ?? path,
      );
    }
    for (const reference of used.attributes) {
      if (template.resources.has(reference.name)) continue;
      fail(
        reference.inSub
          ? `Template error: instance of Fn::Sub references invalid resource attribute ${reference.name}.${reference.attribute}`
          : `Template error: instance of Fn::GetAtt references undefined resource ${reference.name}`,
        reference.path,
      );
    }
    for (const reference of used.conditions) {
      if (!template.conditions.has(reference.name)) {
        fail(`Template error: unresolved condition dependency ${reference.name} in Fn::If`, reference.path);
      }
    }
    checkMaps(used);
  }

  function checkMaps(used: References): void {
    for (const reference of used.maps) {
      // A transform may still bring the map; and AWS::LanguageExtensions lets FindInMap have a default.
      if (template.mappings.has(reference.name) || template.transforms.length > 0) continue;
      fail(
        `Template validation error: Template error: Mapping named '${reference.name}' is not present in the 'Mappings' section of template.`,
        reference.path,
      );
    }
  }
}

/** Names under `{"Condition": name}` inside a condition's expression. */
export function conditionNamesIn(expression: Json): readonly string[] {
  if (isList(expression)) return expression.flatMap(conditionNamesIn);
  if (!isObject(expression)) return [];
  return Object.entries(expression).flatMap(([key, value]) =>
    key === 'Condition' && typeof value === 'string' ? [value] : conditionNamesIn(value),
  );
}

function unique(references: readonly Reference[]): string {
  return [...new Set(references.map((reference) => reference.name))].join(', ');
}
