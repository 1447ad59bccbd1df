/** The order in which Java's HashSet gives strings back: AWS prints such a set. */
export function inHashOrder(names: readonly string[]): readonly string[] {
  let buckets = 16;
  while (names.length > buckets * 0.75) buckets *= 2;
  const bucketOf = (name: string): number => {
    let hash = 0;
    for (let index = 0; index < name.length; index++) hash = (Math.imul(31, hash) + name.charCodeAt(index)) | 0;
    return (hash ^ (hash >>> 16)) & (buckets - 1);
  };
  return [...names].sort((a, b) => bucketOf(a) - bucketOf(b));
}
