/** What packages ask for that they do not hold, and that AWS's runtimes bring: found by looking at their sources. */
import { buffer } from 'node:stream/consumers';
import { openPackage, type PackageEntry } from '../code/package.ts';

/** Larger files are data or somebody's whole program. */
const longestSourceBytes = 32 * 1024 * 1024;

interface Kind {
  readonly source: RegExp;
  /** A file of the libraries themselves. */
  readonly own: RegExp;
  /** Its first group is the name of a library that the package holds. */
  readonly held: RegExp;
  /** Its first group is the name of a library that is asked for. */
  readonly wanted: RegExp;
}

const node: Kind = {
  source: /\.[cm]?js$/,
  own: /(^|\/)node_modules\/(@aws-sdk|@smithy|aws-sdk)\//,
  held: /(?:^|\/)node_modules\/(@(?:aws-sdk|smithy)\/[^/]+)\/package\.json$/,
  // In the forms that compilers and bundlers leave: `from"…"`, `import"…"`, `import("…")`, `require("…")`.
  wanted: /(?:from|import|require)\s*\(?\s*["'`](@(?:aws-sdk|smithy)\/[a-z0-9-]+)/g,
};

const python: Kind = {
  source: /\.py$/,
  own: /(^|\/)(boto3|botocore|s3transfer|jmespath)\//,
  held: /(?:^|\/)(boto3|botocore|s3transfer|jmespath)\/__init__\.py$/,
  wanted: /^[ \t]*(?:import|from)[ \t]+(boto3|botocore|s3transfer|jmespath)\b/gm,
};

/** Names of packages as npm knows them. The zips are a function's code and its layers. */
export function wantedNodeLibraries(zips: readonly Uint8Array[]): Promise<string[]> {
  return wanted(zips, node);
}

/** Names of modules. */
export function wantedPythonLibraries(zips: readonly Uint8Array[]): Promise<string[]> {
  return wanted(zips, python);
}

async function wanted(zips: readonly Uint8Array[], kind: Kind): Promise<string[]> {
  const held = new Set<string>();
  const asked = new Set<string>();
  for (const zip of zips) {
    const archive = await openPackage(zip);
    try {
      for (const file of archive.entries) {
        const name = kind.held.exec(file.path)?.[1];
        if (name !== undefined) held.add(name);
        if (!isSource(file, kind)) continue;
        const text = (await buffer(await archive.read(file.entry))).toString('latin1');
        for (const match of text.matchAll(kind.wanted)) asked.add(match[1]!);
      }
    } finally {
      archive.close();
    }
  }
  return [...asked].filter((name) => !held.has(name)).sort();
}

function isSource(file: PackageEntry, kind: Kind): file is PackageEntry & { readonly kind: 'file' } {
  return (
    file.kind === 'file' &&
    kind.source.test(file.path) &&
    !kind.own.test(file.path) &&
    file.entry.uncompressedSize <= longestSourceBytes
  );
}
