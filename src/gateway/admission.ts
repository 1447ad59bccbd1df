/**
 * Who may talk to a cloud on loopback at all. A page in a browser reaches 127.0.0.1 as easily as a terminal does, by a
 * plain fetch (it carries the page's Origin) or by a name of its own that resolves to 127.0.0.1 (it carries that Host).
 */
export interface DoorPolicy {
  /** Names under which the cloud is reached beside localhost: what --host says, and UNKAI_ALLOWED_HOSTS. */
  readonly allowedHosts: ReadonlySet<string>;
}

/** The host of a Host header or an authority, lower case, without port and brackets. */
export function hostName(authority: string): string {
  const lower = authority.toLowerCase();
  if (lower.startsWith('[')) return lower.slice(1, lower.indexOf(']') === -1 ? undefined : lower.indexOf(']'));
  const colon = lower.lastIndexOf(':');
  return colon === -1 ? lower : lower.slice(0, colon);
}

/** A literal address cannot be rebound by a foreign name server, so any is fine; of names only our own are. */
export function hostAllowed(host: string, policy: DoorPolicy): boolean {
  return isLocalName(host) || isAddress(host) || policy.allowedHosts.has(host);
}

/** Whether a page of this origin is one of the machine's own (a development server, the console). */
export function originIsLocal(origin: string, policy: DoorPolicy): boolean {
  const match = /^https?:\/\/([^/]+)$/i.exec(origin);
  if (match === null) return false;
  const host = hostName(match[1]!);
  return isLocalName(host) || isLoopbackAddress(host) || policy.allowedHosts.has(host);
}

function isLocalName(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost');
}

function isLoopbackAddress(host: string): boolean {
  return host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

function isAddress(host: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(host) || host.includes(':');
}
