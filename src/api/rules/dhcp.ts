/** Admission of `dhcpOptions`: rules 47-49 of KubeVirt's network admitter, with its texts and odd paths. */
import { parseIp } from "../../base/ip.ts";
import { errorAt, type Finding } from "../finding.ts";
import { formatPath } from "../path.ts";
import { sanitiseIp } from "../sanitise.ts";
import { nicsOf, type SpecContext, type SpecRule } from "./spec-context.ts";

const FIRST = 224;
const LAST = 254;

/** Rules 47 and 48. KubeVirt reports both at the spec itself. */
export function privateOptions(vmi: SpecContext): readonly Finding[] {
  const field = formatPath(vmi.path);
  return nicsOf(vmi).flatMap(({ iface, at }) => {
    const seen = new Set<number>();
    let reported = false;
    return (iface.dhcpOptions?.privateOptions ?? []).flatMap((entry, k) => {
      const option = entry.option ?? 0;
      const place = [...at, "dhcpOptions", "privateOptions", k, "option"];
      const findings: Finding[] = [];
      if (seen.has(option) && !reported) {
        reported = true;
        const message = "Found Duplicates: you have provided duplicate DHCPPrivateOptions";
        const hint = `Option ${option} is given twice; keep one.`;
        findings.push(errorAt({ code: "PT-NET-47", at: place, field, message, hint }));
      }
      if (option < FIRST || option > LAST) {
        const message = "provided DHCPPrivateOptions are out of range, must be in range 224 to 254";
        const hint =
          "Only the site-specific options can be set; NTP, TFTP and boot file have fields of their own.";
        findings.push(errorAt({ code: "PT-NET-48", at: place, field, message, hint }));
      }
      seen.add(option);
      return findings;
    });
  });
}

/** Rule 49. Read as KubeVirt stores it: leading zeros are dropped first. */
export function ntpServers(vmi: SpecContext): readonly Finding[] {
  return nicsOf(vmi).flatMap(({ iface, at }) =>
    (iface.dhcpOptions?.ntpServers ?? []).flatMap((server, k) => {
      const address = parseIp(sanitiseIp(server));
      if (address !== undefined && !address.includes(":")) return [];
      const message = "NTP servers must be a list of valid IPv4 addresses.";
      const hint = "Give addresses, not names, as 10.0.0.1: DHCPv4 carries nothing else.";
      return [errorAt({ code: "PT-NET-49", at: [...at, "dhcpOptions", "ntpServers", k], message, hint })];
    }),
  );
}

/** PT-EARLY-40. DHCP (RFC 2132) gives an option's length one byte, and an empty text no meaning. */
export function dhcpOptionLengths(vmi: SpecContext): readonly Finding[] {
  return nicsOf(vmi).flatMap(({ iface, at }) => {
    const { bootFileName, tftpServerName, privateOptions: entries = [] } = iface.dhcpOptions ?? {};
    const values = [
      { value: bootFileName, at: [...at, "dhcpOptions", "bootFileName"] },
      { value: tftpServerName, at: [...at, "dhcpOptions", "tftpServerName"] },
      ...entries.map(({ value }, k) => ({ value, at: [...at, "dhcpOptions", "privateOptions", k, "value"] })),
    ];
    return values.flatMap(({ value = "", at: place }) => {
      const bytes = new TextEncoder().encode(value).length;
      if (bytes <= 255) return [];
      const message = `the value is ${bytes} bytes long; a DHCP option carries at most 255`;
      return [errorAt({ code: "PT-EARLY-40", at: place, message, hint: "Shorten the value." })];
    });
  });
}

export const DHCP_RULES: readonly SpecRule[] = [privateOptions, ntpServers, dhcpOptionLengths];
