// From a compact model to TypeScript: an interface per structure, a union per enum, an interface of operations, a union of error codes.

/** The text of src/wire/types/<service>.ts. */
export function typesText(service, model, header) {
  const { shapes } = model;
  const body = [];
  for (const [name, shape] of Object.entries(shapes)) {
    if (shape.type === 'structure') body.push(structure(name, shape, shapes));
    else if (shape.type === 'string' && shape.enum) body.push(`export type ${typeName(name)} = ${union(shape.enum)};`);
  }
  const operations = Object.entries(model.operations).map(([name, operation]) => {
    const input = operation.input ? typeName(operation.input) : '{ readonly [key: string]: never }';
    const output = operation.output ? typeName(operation.output) : 'void';
    return `  readonly ${name}: { readonly input: ${input}; readonly output: ${output} };`;
  });
  const errors = Object.keys(shapes).filter((name) => shapes[name].error);
  const text = [
    `export interface ${service.type}Operations {\n${operations.join('\n')}\n}`,
    `export type ${service.type}ErrorCode = ${errors.length > 0 ? union(errors) : 'never'};`,
    ...body,
  ].join('\n\n');
  const rawJson = /\bRawJson\b/.test(text) ? `import type { RawJson } from '../raw-json.ts';\n\n` : '';
  return `// ${header}\n// Timestamps are epoch milliseconds, blobs bytes. An output may leave out what is optional or give undefined.\n\n${rawJson}${text}\n`;
}

/** The text of src/wire/types/index.ts: every service's operations by its name. */
export function servicesText(services, header) {
  const imports = services.map(({ name, type }) => `import type { ${type}Operations } from './${name}.ts';`);
  const entries = services.map(({ name, type }) => `  readonly ${name}: ${type}Operations;`);
  return `// ${header}\n\n${imports.join('\n')}\n\nexport interface Services {\n${entries.join('\n')}\n}\n\nexport type ServiceName = keyof Services;\n`;
}

function structure(name, shape, shapes) {
  const required = new Set(shape.required ?? []);
  const lines = Object.entries(shape.members).map(([member, ref]) => {
    const type = memberType(ref, shapes);
    const key = /^[A-Za-z_$][\w$]*$/.test(member) ? member : JSON.stringify(member);
    return required.has(member) ? `  readonly ${key}: ${type};` : `  readonly ${key}?: ${type} | undefined;`;
  });
  if (lines.length === 0) return `export type ${typeName(name)} = { readonly [key: string]: never };`;
  return `export interface ${typeName(name)} {\n${lines.join('\n')}\n}`;
}

function memberType(ref, shapes) {
  const type =
    typeof ref === 'object' && ref.enum ? union(ref.enum) : typeOf(typeof ref === 'string' ? ref : ref.shape, shapes);
  if (shapes[typeof ref === 'string' ? ref : ref.shape].eventstream) return `AsyncIterable<${type}>`;
  return typeof ref === 'object' && ref.rawJson ? `${type} | RawJson` : type;
}

function typeOf(name, shapes) {
  const shape = shapes[name];
  switch (shape.type) {
    case 'structure':
      return typeName(name);
    case 'list': {
      const item = memberType(shape.member, shapes);
      return item.includes('|') ? `readonly (${item})[]` : `readonly ${/^readonly /.test(item) ? `(${item})` : item}[]`;
    }
    case 'map': {
      const value = memberType(shape.value, shapes);
      return `{ readonly [key: string]: ${value} }`;
    }
    case 'string':
      return shape.enum ? typeName(name) : 'string';
    case 'boolean':
      return 'boolean';
    case 'blob':
      return 'Uint8Array';
    default:
      return 'number';
  }
}

/** Shape names that a TypeScript file cannot use, or that would hide a global it needs, get `Shape` at their end. */
function typeName(name) {
  const upper = name.replace(/^_+/, '').replace(/^[a-z]/, (letter) => letter.toUpperCase());
  return ['RawJson', 'Uint8Array'].includes(upper) ? `${upper}Shape` : upper;
}

function union(values) {
  return values.map((value) => `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`).join(' | ');
}
