/** Kubernetes' name rules with its texts (`k8s.io/apimachinery/pkg/util/validation`). */

const LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`;
export const LABEL_MAX = 63;
export const SUBDOMAIN_MAX = 253;

const LABEL_TEXT =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and " +
  "end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is " +
  "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_TEXT =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must " +
  "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is " +
  "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/** What is wrong with a DNS-1123 label; empty when nothing. */
export function dnsLabelErrors(text: string): readonly string[] {
  return errors(text, LABEL_MAX, LABEL, LABEL_TEXT);
}

export function dnsSubdomainErrors(text: string): readonly string[] {
  return errors(text, SUBDOMAIN_MAX, SUBDOMAIN, SUBDOMAIN_TEXT);
}

/** A Service's name: DNS-1035, a label that begins with a letter. */
export function isDns1035Label(text: string): boolean {
  return text.length <= LABEL_MAX && /^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(text);
}

/** IANA_SVC_NAME (RFC 6335): 15 characters of `[a-z0-9-]`, a letter, no dash at an end, no double dash. */
export function isPortName(text: string): boolean {
  return (
    text.length <= 15 &&
    /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(text) &&
    /[a-z]/.test(text) &&
    !text.includes("--")
  );
}

function errors(text: string, max: number, pattern: string, explanation: string): readonly string[] {
  return [
    // Length first also keeps the pattern away from long hostile text.
    ...(text.length > max ? [`must be no more than ${max} characters`] : []),
    ...(text.length <= max && !new RegExp(`^${pattern}$`).test(text) ? [explanation] : []),
  ];
}
