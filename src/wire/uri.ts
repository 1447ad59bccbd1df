/** A REST operation's path pattern, such as `/2015-03-31/functions/{FunctionName}/invocations` or `/{Key+}?uploads`. */
export interface UriPattern {
  readonly segments: readonly Segment[];
  /** Query parameters that the pattern asks for; `value` undefined where any value will do. */
  readonly query: readonly { readonly name: string; readonly value: string | undefined }[];
}

interface Segment {
  /** The literal text, or undefined for a label. */
  readonly literal: string | undefined;
  readonly label: string;
  readonly greedy: boolean;
}

/** The pattern in pieces. A trailing slash says nothing: SDKs differ in sending it. */
export function parseUri(uri: string): UriPattern {
  const [path = '', query = ''] = splitOnce(uri, '?');
  const segments = segmentsOf(path).map((text) => {
    const label = /^\{([^}+]+)(\+?)\}$/.exec(text);
    return label === null
      ? { literal: text, label: '', greedy: false }
      : { literal: undefined, label: label[1]!, greedy: label[2] === '+' };
  });
  const parameters = query.split('&').filter((part) => part !== '');
  return {
    segments,
    query: parameters.map((part) => {
      const [name = '', value] = splitOnce(part, '=');
      return { name, value };
    }),
  };
}

/** A raw path in its raw segments, without empty ones at the end. */
export function segmentsOf(path: string): string[] {
  const segments = path.split('/').slice(1);
  while (segments.at(-1) === '') segments.pop();
  return segments;
}

/** The labels' raw texts where the segments match the pattern, undefined where they do not. */
export function matchSegments(pattern: UriPattern, segments: readonly string[]): Record<string, string> | undefined {
  const labels: Record<string, string> = {};
  const wanted = pattern.segments;
  for (let i = 0; i < wanted.length; i++) {
    const segment = wanted[i]!;
    const given = segments[i];
    if (segment.greedy) {
      const after = wanted.length - i - 1;
      const rest = segments.slice(i, segments.length - after);
      if (rest.length === 0 || rest.length + i + after !== segments.length) return undefined;
      labels[segment.label] = rest.join('/');
      const tail = { segments: wanted.slice(i + 1), query: [] };
      const tailLabels = matchSegments(tail, segments.slice(segments.length - after));
      return tailLabels === undefined ? undefined : Object.assign(labels, tailLabels);
    }
    if (given === undefined || given === '') return undefined;
    if (segment.literal === undefined) labels[segment.label] = given;
    else if (segment.literal !== given) return undefined;
  }
  return segments.length === wanted.length ? labels : undefined;
}

/** Parameters of a query string or a form body, in their order; a plus is a space. Malformed escapes stay as they are. */
export function parseParameters(text: string): [name: string, value: string][] {
  const parameters: [string, string][] = [];
  if (text === '') return parameters;
  for (const part of text.split('&')) {
    if (part === '') continue;
    const [name = '', value = ''] = splitOnce(part, '=');
    parameters.push([decodeForm(name), decodeForm(value)]);
  }
  return parameters;
}

/** Percent-decoding that leaves malformed escapes as they are. */
export function decodePercent(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function decodeForm(text: string): string {
  return decodePercent(text.includes('+') ? text.replaceAll('+', ' ') : text);
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
