'use strict';
/** Stack traces in the positions of the original sources, for modules that name their source map. */
const fs = require('node:fs');
const { SourceMap } = require('node:module');
const { fileURLToPath, pathToFileURL } = require('node:url');

/** By file: its map and the address that the map's sources are relative to. */
const maps = new Map();

/** In V8's own form; where there is no map, in its own words. */
function formatStack(error, sites) {
  const lines = sites.map((site) => `\n    at ${describeSite(site)}`);
  return `${headline(error)}${lines.join('')}`;
}

function headline(error) {
  try {
    return Error.prototype.toString.call(error);
  } catch {
    return 'Error';
  }
}

function describeSite(site) {
  const text = String(site);
  const file = site.getFileName();
  const line = site.getLineNumber();
  const column = site.getColumnNumber();
  if (typeof file !== 'string' || line === null || column === null) return text;
  const map = mapOf(file);
  const entry = map?.source.findEntry(line - 1, column - 1);
  if (entry?.originalSource === undefined) return text;
  const place = `${displayName(entry.originalSource, map.base)}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
  return text.replace(`${file}:${line}:${column}`, () => place);
}

function displayName(source, base) {
  try {
    const address = new URL(source, base);
    return address.protocol === 'file:' ? fileURLToPath(address) : address.href;
  } catch {
    return source;
  }
}

function mapOf(file) {
  const isAddress = file.startsWith('file:');
  if (!isAddress && !file.startsWith('/')) return undefined;
  let map = maps.get(file);
  if (map === undefined && !maps.has(file)) {
    map = readMap(isAddress ? new URL(file) : pathToFileURL(file));
    maps.set(file, map);
  }
  return map;
}

/** A map that is absent or broken is none. */
function readMap(address) {
  try {
    const text = fs.readFileSync(address, 'utf8');
    const comment = [...text.matchAll(/^\/\/[#@] sourceMappingURL=(\S+)[^\S\n]*$/gm)].at(-1)?.[1];
    if (comment === undefined) return undefined;
    const inline = /^data:application\/json[^,]*?(;base64)?,(.*)$/s.exec(comment);
    const mapAddress = inline === null ? new URL(comment, address) : address;
    const payload = JSON.parse(
      inline === null
        ? fs.readFileSync(mapAddress, 'utf8')
        : inline[1] === undefined
          ? decodeURIComponent(inline[2])
          : Buffer.from(inline[2], 'base64').toString(),
    );
    return { source: new SourceMap(payload), base: rootOf(payload.sourceRoot, mapAddress) };
  } catch {
    return undefined;
  }
}

function rootOf(sourceRoot, mapAddress) {
  return sourceRoot ? new URL(sourceRoot.endsWith('/') ? sourceRoot : `${sourceRoot}/`, mapAddress) : mapAddress;
}

module.exports = { formatStack };
