/**
 * Fn::Cidr: the first `count` subnets of `subnetBits` host bits inside an IPv4 or IPv6 block
 * (User Guide, "Fn::Cidr": count 1 to 256).
 *
 * @returns undefined when the arguments are out of range or the block is too small.
 */
export function cidrBlocks(block: string, count: number, subnetBits: number): readonly string[] | undefined {
  const [address, prefixText, extra] = block.split('/');
  const v6 = address?.includes(':') ?? false;
  const width = v6 ? 128 : 32;
  const prefix = Number(prefixText);
  const start = address === undefined ? undefined : v6 ? parseV6(address) : parseV4(address);
  if (start === undefined || extra !== undefined || !/^\d+$/.test(prefixText ?? '') || prefix > width) return undefined;
  if (!Number.isInteger(count) || count < 1 || count > 256) return undefined;
  if (!Number.isInteger(subnetBits) || subnetBits < 1 || subnetBits > width - prefix) return undefined;
  if (BigInt(count) > 1n << BigInt(width - prefix - subnetBits)) return undefined;
  const network = (start >> BigInt(width - prefix)) << BigInt(width - prefix);
  return Array.from({ length: count }, (_unused, index) => {
    const subnet = network + (BigInt(index) << BigInt(subnetBits));
    return `${v6 ? formatV6(subnet) : formatV4(subnet)}/${width - subnetBits}`;
  });
}

function parseV4(text: string): bigint | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || parts.some((part) => !/^\d{1,3}$/.test(part) || Number(part) > 255)) return undefined;
  return parts.reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);
}

function formatV4(value: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join('.');
}

function parseV6(text: string): bigint | undefined {
  const [head, tail, extra] = text.split('::');
  if (extra !== undefined) return undefined;
  const groups = (part: string | undefined): string[] => (part ? part.split(':') : []);
  const before = groups(head);
  const after = groups(tail);
  const missing = 8 - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const all = [...before, ...new Array<string>(missing).fill('0'), ...after];
  if (all.some((group) => !/^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  return all.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}

/** The canonical text of RFC 5952: the longest run of zero groups, if two or more, becomes `::`. */
function formatV6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_unused, index) =>
    ((value >> BigInt(112 - 16 * index)) & 0xffffn).toString(16),
  );
  let longest = { at: 0, length: 0 };
  for (let at = 0; at < 8; at++) {
    let length = 0;
    while (groups[at + length] === '0') length++;
    if (length > longest.length) longest = { at, length };
  }
  if (longest.length < 2) return groups.join(':');
  return `${groups.slice(0, longest.at).join(':')}::${groups.slice(longest.at + longest.length).join(':')}`;
}
