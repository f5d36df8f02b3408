/**
 * KubeVirt reads addresses leniently and stores them strictly (`kubevirt.io/api/core/v1/schema.go`, with Go's
 * `ParseIPSloppy`): leading zeros of a decimal part are dropped, what cannot be read is kept as it is. Done for
 * `vmNetworkCIDR`, `ntpServers` and `nameservers`, not for `vmIPv6NetworkCIDR`.
 */
import { parseIp } from "../base/ip.ts";

export function sanitiseIp(text: string): string {
  const plain = /^\d{1,32}(\.\d{1,32}){3}$/.test(text) ? text.replace(/(^|\.)0+(?=\d)/g, "$1") : text;
  // `::ffff:10.0.0.1` is the same address as 10.0.0.1 to Go.
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain)?.[1];
  return parseIp(mapped ?? plain) ?? text;
}

export function sanitiseCidr(text: string): string {
  const slash = text.indexOf("/");
  if (slash < 0) return text;
  const ip = sanitiseIp(text.slice(0, slash));
  const length = text.slice(slash + 1);
  return parseIp(ip) !== undefined && /^\d{1,3}$/.test(length) ? `${ip}/${Number(length)}` : text;
}
