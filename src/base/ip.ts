/** IP addresses and subnets as canonical text, with the arithmetic that planning needs. */
import ipaddr from "ipaddr.js";

/** Canonical text: dotted quad, or RFC 5952. `parseIp` is the only way in. */
export type Ip = string & { readonly __brand: "Ip" };
/** An address with its prefix length, host bits kept: `10.0.2.1/24`. `parseCidr` is the only way in. */
export type Cidr = string & { readonly __brand: "Cidr" };
export type Family = 4 | 6;

/** Strict: four decimal parts without leading zeros, or RFC 4291 text without a zone; undefined otherwise. */
export function parseIp(text: string): Ip | undefined {
  // Not asked about the wrong family: ipaddr.js says no with an exception inside, which costs more than all else.
  if (!text.includes(":")) {
    return ipaddr.IPv4.isValidFourPartDecimal(text) && !/(^|\.)0\d/.test(text) ? (text as Ip) : undefined;
  }
  if (text.includes("%") || !ipaddr.IPv6.isValid(text)) return undefined;
  return ipaddr.IPv6.parse(text).toRFC5952String() as Ip;
}

export function familyOf(address: Ip | Cidr): Family {
  return address.includes(":") ? 6 : 4;
}

export function ipToBytes(ip: Ip): Uint8Array {
  return Uint8Array.from(
    familyOf(ip) === 4 ? ip.split(".").map(Number) : ipaddr.IPv6.parse(ip).toByteArray(),
  );
}

/** @param bytes 4 or 16 */
export function ipFromBytes(bytes: Uint8Array): Ip {
  if (bytes.length === 4) return bytes.join(".") as Ip;
  return (ipaddr.fromByteArray(Array.from(bytes)) as ipaddr.IPv6).toRFC5952String() as Ip;
}

export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf("/");
  if (slash < 0) return undefined;
  const ip = parseIp(text.slice(0, slash));
  const length = text.slice(slash + 1);
  if (ip === undefined || !/^(0|[1-9]\d{0,2})$/.test(length)) return undefined;
  const prefix = Number(length);
  return prefix <= (familyOf(ip) === 4 ? 32 : 128) ? toCidr(ip, prefix) : undefined;
}

export function toCidr(ip: Ip, prefix: number): Cidr {
  return `${ip}/${prefix}` as Cidr;
}

export function cidrIp(cidr: Cidr): Ip {
  return cidr.slice(0, cidr.indexOf("/")) as Ip;
}

export function cidrPrefix(cidr: Cidr): number {
  return Number(cidr.slice(cidr.indexOf("/") + 1));
}

/** The first address of the subnet: host bits cleared. */
export function cidrNetwork(cidr: Cidr): Ip {
  const bytes = ipToBytes(cidrIp(cidr));
  const prefix = cidrPrefix(cidr);
  return ipFromBytes(bytes.map((byte, i) => byte & maskByte(prefix, i)));
}

export function cidrContains(cidr: Cidr, ip: Ip): boolean {
  if (familyOf(cidr) !== familyOf(ip)) return false;
  const network = ipToBytes(cidrIp(cidr));
  const prefix = cidrPrefix(cidr);
  return ipToBytes(ip).every((byte, i) => ((byte ^ (network[i] ?? 0)) & maskByte(prefix, i)) === 0);
}

export function cidrsOverlap(a: Cidr, b: Cidr): boolean {
  return cidrPrefix(a) <= cidrPrefix(b) ? cidrContains(a, cidrIp(b)) : cidrContains(b, cidrIp(a));
}

/** `ip + offset`, carrying over byte borders; wraps at the end of the address space. */
export function ipPlus(ip: Ip, offset: number): Ip {
  const bytes = ipToBytes(ip);
  let carry = offset;
  for (let i = bytes.length - 1; i >= 0 && carry !== 0; i--) {
    const sum = (bytes[i] ?? 0) + carry;
    bytes[i] = sum & 0xff;
    carry = sum >> 8;
  }
  return ipFromBytes(bytes);
}

/** `255.255.255.0` for 24. */
export function netmaskOf(prefix: number): Ip {
  return ipFromBytes(Uint8Array.from({ length: 4 }, (_, i) => maskByte(prefix, i)));
}

/**
 * Go's `IP.IsGlobalUnicast`, which KubeVirt uses to pick a pod's address: private, CGNAT and unique local
 * addresses count; loopback, link-local, multicast, unspecified and limited broadcast do not.
 */
export function isGlobalUnicast(ip: Ip): boolean {
  const range = ipaddr.parse(ip).range();
  return (
    !["loopback", "linkLocal", "multicast", "unspecified", "broadcast"].includes(range) ||
    ip.startsWith("::ffff:")
  );
}

export function isLoopback(ip: Ip): boolean {
  return ipaddr.parse(ip).range() === "loopback";
}

/** The link-local address that a NIC with this MAC gives itself (RFC 4291, appendix A). */
export function eui64(prefix64: Ip, mac: Uint8Array): Ip {
  const bytes = ipToBytes(prefix64);
  const id = [(mac[0] ?? 0) ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]];
  id.forEach((byte, i) => {
    bytes[8 + i] = byte ?? 0;
  });
  return ipFromBytes(bytes);
}

function maskByte(prefix: number, index: number): number {
  const bits = Math.min(8, Math.max(0, prefix - index * 8));
  return (0xff << (8 - bits)) & 0xff;
}
