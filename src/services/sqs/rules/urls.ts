/** What a queue URL names; what it leaves out is the caller's. */
export interface QueueAddress {
  readonly account: string | undefined;
  readonly region: string | undefined;
  readonly name: string;
}

/**
 * AWS's hosts: present, FIPS, of VPC endpoints and dual stack, and the older ones.
 * https://docs.aws.amazon.com/general/latest/gr/sqs-service.html
 */
const hostRegion =
  /^(?:(?:[a-z0-9-]+\.)?sqs(?:-fips)?\.([a-z0-9-]+)(?:\.vpce)?\.(?:amazonaws\.com(?:\.cn)?|api\.aws)|([a-z0-9-]+)\.queue\.amazonaws\.com(?:\.cn)?)$/;

/**
 * Reads every form that clients use, whatever the host: `http://host/<account>/<name>`,
 * `http://host/queue/<region>/<account>/<name>`, `https://sqs.<region>.amazonaws.com/<account>/<name>`,
 * `https://<region>.queue.amazonaws.com/<account>/<name>`, `https://queue.amazonaws.com/<account>/<name>`, `/<account>/<name>`,
 * and the bare name (which AWS takes, too).
 * Undefined for anything else.
 */
export function parseQueueUrl(url: string): QueueAddress | undefined {
  const known = addresses.get(url);
  if (known !== undefined) return known;
  const address = readQueueUrl(url);
  if (address !== undefined && addresses.size < mostAddresses) addresses.set(url, address);
  return address;
}

const amazonHost = /\.(?:amazonaws\.com|cn|aws)$/;

function regionOf(host: string): string | undefined {
  // The first region's had no region in their names.
  if (host === 'queue.amazonaws.com' || host === 'sqs.amazonaws.com') return 'us-east-1';
  const named = hostRegion.exec(host);
  return named?.[1] ?? named?.[2];
}

/** Without a host: the bare name, or `/<account>/<name>`. */
function readPath(text: string): QueueAddress | undefined {
  const steps = (text.startsWith('/') ? text.slice(1) : text).split('/');
  if (steps.some((step) => step === '')) return undefined;
  if (steps.length === 1 && !text.startsWith('/')) return { account: undefined, region: undefined, name: text };
  return steps.length === 2 ? { account: steps[0]!, region: undefined, name: steps[1]! } : undefined;
}

/** A program uses few URLs, and each of them with every call. */
const addresses = new Map<string, QueueAddress>();
const mostAddresses = 1000;

function readQueueUrl(url: string): QueueAddress | undefined {
  const scheme = url.indexOf('://');
  if (scheme < 0) return readPath(url);
  const path = url.indexOf('/', scheme + 3);
  if (path < 0) return undefined;
  const end = url.endsWith('/') ? url.length - 1 : url.length;
  const steps = url.slice(path + 1, end).split('/');
  if (steps.length === 2) {
    const [account, name] = steps as [string, string];
    if (account === '' || name === '') return undefined;
    const host = url.slice(scheme + 3, path);
    // Most hosts are the cloud's own, which say nothing of a region: no need to try the pattern on them.
    return { account, region: amazonHost.test(host) ? regionOf(host) : undefined, name };
  }
  const [queue, region, account, name] = steps;
  if (steps.length !== 4 || queue !== 'queue' || region === '' || account === '' || name === '') return undefined;
  return { account, region, name: name! };
}
