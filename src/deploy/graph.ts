import { TemplateError } from './errors.ts';
import type { Json } from './json.ts';
import { referencesIn } from './references.ts';
import type { Template } from './template.ts';

/** Which resource needs which others: logical id → the ids that must exist before it. */
export type DependencyGraph = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * The dependencies among the resources that exist: those whose condition holds. Ref, Fn::GetAtt, Fn::Sub and DependsOn
 * count; a reference in the branch of an Fn::If that is not taken does not. A DependsOn on a resource whose condition is
 * false is ignored, as CloudFormation does.
 *
 * @param holds whether a condition holds.
 * @throws {TemplateError} "Circular dependency between resources: [A, B]".
 */
export function dependencyGraph(template: Template, holds: (condition: string) => boolean): DependencyGraph {
  const live = new Map([...template.resources].filter(([, r]) => r.condition === undefined || holds(r.condition)));
  const graph = new Map<string, Set<string>>();
  for (const [name, resource] of live) {
    const used = referencesIn(takeBranches(resource.properties, holds));
    const needed = [...used.names, ...used.attributes].map((reference) => reference.name).concat(resource.dependsOn);
    graph.set(name, new Set(needed.filter((other) => live.has(other))));
  }
  const cycle = membersOfCycles(graph);
  if (cycle.length > 0) throw new TemplateError(`Circular dependency between resources: [${cycle.join(', ')}]`);
  return graph;
}

/** The graph turned round: logical id → the ids that must be gone before it may be deleted. */
export function reverseGraph(graph: DependencyGraph): DependencyGraph {
  const reversed = new Map([...graph.keys()].map((name) => [name, new Set<string>()]));
  for (const [name, needed] of graph) for (const other of needed) reversed.get(other)?.add(name);
  return reversed;
}

/** Groups that can be worked on at once: each needs only members of the groups before it. Order within: the template's. */
export function waves(graph: DependencyGraph): readonly (readonly string[])[] {
  const result: string[][] = [];
  const done = new Set<string>();
  while (done.size < graph.size) {
    const ready = [...graph].filter(
      ([name, needed]) => !done.has(name) && [...needed].every((n) => done.has(n) || !graph.has(n)),
    );
    if (ready.length === 0)
      throw new TemplateError(`Circular dependency between resources: [${membersOfCycles(graph).join(', ')}]`);
    result.push(ready.map(([name]) => name));
    for (const [name] of ready) done.add(name);
  }
  return result;
}

function takeBranches(value: Json, holds: (condition: string) => boolean): Json {
  if (Array.isArray(value)) return value.map((item) => takeBranches(item, holds));
  if (typeof value !== 'object' || value === null) return value;
  const choice = (value as { 'Fn::If'?: unknown })['Fn::If'];
  if (Array.isArray(choice) && choice.length === 3 && typeof choice[0] === 'string') {
    return takeBranches(choice[holds(choice[0]) ? 1 : 2], holds);
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, takeBranches(item, holds)]));
}

/** Every resource that lies on a cycle (strongly connected components of more than one, and self-references): Tarjan. */
function membersOfCycles(graph: DependencyGraph): readonly string[] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const cyclic: string[] = [];
  const visit = (name: string): void => {
    index.set(name, index.size);
    low.set(name, index.get(name) as number);
    stack.push(name);
    for (const other of graph.get(name) ?? []) {
      if (!graph.has(other)) continue;
      if (!index.has(other)) visit(other);
      if (stack.includes(other)) low.set(name, Math.min(low.get(name) as number, low.get(other) as number));
    }
    if (low.get(name) !== index.get(name)) return;
    const component = stack.splice(stack.indexOf(name));
    if (component.length > 1 || graph.get(name)?.has(name)) cyclic.push(...component);
  };
  for (const name of graph.keys()) if (!index.has(name)) visit(name);
  return cyclic;
}
