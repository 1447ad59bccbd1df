/** What a queue URL names; what it leaves out is the caller's. */
export interface QueueAddress {
  readonly account: string | undefined;
  readonly region: string | undefined;
  readonly name: string;
}

const hostRegion = /^(?:sqs\.([a-z0-9-]+)|([a-z0-9-]+)\.queue)\.amazonaws\.com(?:\.cn)?$/;

/**
 * Reads every form that clients use, whatever the host: `http://host/<account>/<name>`,
 * `http://host/queue/<region>/<account>/<name>`, `https://sqs.<region>.amazonaws.com/<account>/<name>`,
 * `https://<region>.queue.amazonaws.com/<account>/<name>`, and the bare name (which AWS takes, too).
 * Undefined for anything else.
 */
export function parseQueueUrl(url: string): QueueAddress | undefined {
  const known = addresses.get(url);
  if (known !== undefined) return known;
  const address = readQueueUrl(url);
  if (address !== undefined && addresses.size < mostAddresses) addresses.set(url, address);
  return address;
}

/** A program uses few URLs, and each of them with every call. */
const addresses = new Map<string, QueueAddress>();
const mostAddresses = 1000;

function readQueueUrl(url: string): QueueAddress | undefined {
  const scheme = url.indexOf('://');
  if (scheme < 0)
    return url.includes('/') || url === '' ? undefined : { account: undefined, region: undefined, name: url };
  const path = url.indexOf('/', scheme + 3);
  if (path < 0) return undefined;
  const end = url.endsWith('/') ? url.length - 1 : url.length;
  const steps = url.slice(path + 1, end).split('/');
  if (steps.length === 2) {
    const [account, name] = steps as [string, string];
    if (account === '' || name === '') return undefined;
    const host = url.slice(scheme + 3, path);
    // Most hosts are the cloud's own, which say nothing of a region: no need to try the pattern on them.
    const named = host.endsWith('.amazonaws.com') || host.endsWith('.cn') ? hostRegion.exec(host) : null;
    return { account, region: named === null ? undefined : (named[1] ?? named[2]), name };
  }
  const [queue, region, account, name] = steps;
  if (steps.length !== 4 || queue !== 'queue' || region === '' || account === '' || name === '') return undefined;
  return { account, region, name: name! };
}
