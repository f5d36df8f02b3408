/**
 * Admission of `ports[]` and `portRanges[]`: rules 33-46 of KubeVirt's network admitter (netiface.go), with its
 * texts. Ports of NICs off the pod network are not looked at, as in KubeVirt.
 */
import { spellingOf } from "../binding-admission.ts";
import { isPortName } from "../dns-names.ts";
import { errorAt, type Finding, warningAt } from "../finding.ts";
import type { Path } from "../path.ts";
import { gateIsOn } from "../settings.ts";
import type { PortRangeSpec, PortSpec } from "../types.ts";
import { methodsOf } from "./binding-methods.ts";
import { nicsOf, type SpecContext, type SpecRule } from "./spec-context.ts";

const PROTOCOLS = ["TCP", "UDP"];
const MAX_RANGES = 10;

function podNics(vmi: SpecContext) {
  return nicsOf(vmi).filter(({ network }) => network?.pod !== undefined);
}

function eachPort(
  vmi: SpecContext,
  check: (port: PortSpec, at: Path) => readonly Finding[],
): readonly Finding[] {
  return podNics(vmi).flatMap(({ iface, at }) =>
    (iface.ports ?? []).flatMap((port, j) => check(port, [...at, "ports", j])),
  );
}

function isPort(port: number): boolean {
  return port > 0 && port < 65536;
}

/** Rules 33 and 34. */
export function portNames(vmi: SpecContext): readonly Finding[] {
  return podNics(vmi).flatMap(({ iface, at }) => {
    const seen = new Set<string>();
    return (iface.ports ?? []).flatMap(({ name = "" }, j) => {
      if (name === "") return [];
      const place = [...at, "ports", j, "name"];
      const findings: Finding[] = [];
      if (seen.has(name)) {
        const message = `Duplicate name of the port: ${name}`;
        const hint = "Give every port of the interface a name of its own.";
        const reason = "FieldValueDuplicate";
        findings.push(errorAt({ code: "PT-NET-33", at: place, reason, message, hint }));
      }
      if (!isPortName(name)) {
        const message = `Invalid name of the port: ${name}`;
        const hint = "Use at most 15 of a-z, 0-9 and single dashes inside, with a letter: web-1.";
        findings.push(errorAt({ code: "PT-NET-34", at: place, message, hint }));
      }
      seen.add(name);
      return findings;
    });
  });
}

/** Rules 35 and 36. */
export function portNumbers(vmi: SpecContext): readonly Finding[] {
  return eachPort(vmi, (port, at) => {
    const number = port.port ?? 0;
    const place = [...at, "port"];
    if (number === 0) {
      const hint = "Write the port the guest listens on, as port: 80.";
      const message = "Port field is mandatory.";
      return [errorAt({ code: "PT-NET-35", at: place, reason: "FieldValueRequired", message, hint })];
    }
    if (isPort(number)) return [];
    const message = "Port field must be in range 0 < x < 65536.";
    return [errorAt({ code: "PT-NET-36", at: place, message, hint: "Ports go from 1 to 65535." })];
  });
}

/** Rule 37. */
export function portProtocols(vmi: SpecContext): readonly Finding[] {
  return eachPort(vmi, (port, at) => {
    const protocol: string = port.protocol ?? "";
    if (protocol === "" || PROTOCOLS.includes(protocol)) return [];
    const message = "Unknown protocol, only TCP or UDP allowed";
    const hint = "Write TCP or UDP in capitals, or leave protocol out for TCP.";
    return [errorAt({ code: "PT-NET-37", at: [...at, "protocol"], message, hint })];
  });
}

/** Rule 38, of any network. podtap has the gate on by default. */
export function portRangesGate(vmi: SpecContext): readonly Finding[] {
  if (gateIsOn(vmi.settings, "PortRangesSpec")) return [];
  return nicsOf(vmi).flatMap(({ iface, at }) => {
    if ((iface.portRanges ?? []).length === 0) return [];
    const message = "portRanges is specified on interface but the PortRangesSpec feature gate is not enabled";
    const hint = "List the ports one by one, or switch the gate PortRangesSpec on.";
    return [errorAt({ code: "PT-NET-38", at: [...at, "name"], message, hint })];
  });
}

/** Rules 39 and 40. */
export function portRangesPlace(vmi: SpecContext): readonly Finding[] {
  const { known, compat } = vmi.settings;
  const inKubeVirt = known.filter(({ portRanges }) => portRanges === "strict");
  const here = compat === "strict" ? inKubeVirt : known.filter(({ portRanges }) => portRanges !== "no");
  return podNics(vmi).flatMap((nic) => {
    const { iface, at } = nic;
    if ((iface.portRanges ?? []).length === 0) return [];
    const place = [...at, "name"];
    const findings: Finding[] = [];
    if ((iface.ports ?? []).length > 0) {
      const message = "Cannot define both ports and portRanges on interface";
      const hint = "Write the single ports as ranges of one: {protocol: TCP, start: 80, end: 80}.";
      findings.push(errorAt({ code: "PT-NET-39", at: place, message, hint }));
    }
    if (!methodsOf(nic, vmi.settings).some(({ binding }) => binding && here.includes(binding))) {
      const message = `portRanges are only supported on ${inKubeVirt.map(({ method }) => method).join(" and ")} interfaces`;
      const hint = `Use ${here.map((binding) => `\`${spellingOf(binding)}\``).join(" or ")}, or list single ports.`;
      findings.push(errorAt({ code: "PT-NET-40", at: place, message, hint }));
    }
    return findings;
  });
}

/** Rules 41 to 46. More ranges than allowed end the checks, as in KubeVirt. */
export function portRanges(vmi: SpecContext): readonly Finding[] {
  return podNics(vmi).flatMap(({ iface, at }) => {
    const ranges = iface.portRanges ?? [];
    const place = [...at, "portRanges"];
    if (ranges.length > MAX_RANGES) {
      const message = "No more than 10 portRanges are allowed";
      const hint = "Join neighbouring ranges into one.";
      return [errorAt({ code: "PT-NET-41", at: place, message, hint })];
    }
    const broken = ranges.map((range, j) => brokenRange(range, [...place, j]));
    const valid = ranges.filter((_, j) => broken[j]?.length === 0);
    return [...broken.flat(), ...PROTOCOLS.flatMap((protocol) => overlaps(valid, protocol, place))];
  });
}

/** Rules 42 to 45: only the first that fails. */
function brokenRange(range: PortRangeSpec, at: Path): readonly Finding[] {
  const protocol: string = range.protocol ?? "";
  const { start = 0, end = 0 } = range;
  if (!PROTOCOLS.includes(protocol)) {
    const message = "Unknown protocol, only TCP or UDP allowed";
    const hint = "Write TCP or UDP in capitals; a range has no default protocol.";
    return [errorAt({ code: "PT-NET-42", at: [...at, "protocol"], message, hint })];
  }
  if (!isPort(start)) {
    const message = "Start must be a valid port number, 0 < x < 65536";
    return [errorAt({ code: "PT-NET-43", at: [...at, "start"], message, hint: "Ports go from 1 to 65535." })];
  }
  if (!isPort(end)) {
    const message = "End must be a valid port number, 0 < x < 65536";
    return [errorAt({ code: "PT-NET-44", at: [...at, "end"], message, hint: "Ports go from 1 to 65535." })];
  }
  if (start > end) {
    const message = "Start must be less than or equal to end";
    return [errorAt({ code: "PT-NET-45", at: [...at, "start"], message, hint: "Swap start and end." })];
  }
  return [];
}

/** Rule 46. */
function overlaps(ranges: readonly PortRangeSpec[], protocol: string, at: Path): readonly Finding[] {
  const sorted = ranges
    .filter((range) => range.protocol === protocol)
    .sort((a, b) => a.start - b.start || a.end - b.end);
  const findings: Finding[] = [];
  let widest = sorted[0];
  for (const range of sorted.slice(1)) {
    if (widest !== undefined && range.start <= widest.end) {
      const message = `${protocol} portRanges [${widest.start}-${widest.end}] and [${range.start}-${range.end}] overlap`;
      const hint = "Join the two into one range.";
      findings.push(errorAt({ code: "PT-NET-46", at, message, hint }));
    }
    if (widest === undefined || range.end > widest.end) widest = range;
  }
  return findings;
}

/** PT-EARLY-33. Harmless, but never meant. */
export function portsDeclaredOnce(vmi: SpecContext): readonly Finding[] {
  return podNics(vmi).flatMap(({ iface, at }) => {
    const seen = new Set<string>();
    return (iface.ports ?? []).flatMap((port, j) => {
      const key = `${port.protocol ?? "TCP"}/${port.port}`;
      const repeated = seen.has(key);
      seen.add(key);
      if (!repeated) return [];
      const message = `port ${key} is declared twice`;
      const hint = "Remove one; if the other protocol was meant, write protocol: UDP.";
      return [warningAt({ code: "PT-EARLY-33", at: [...at, "ports", j, "port"], message, hint })];
    });
  });
}

export const PORT_RULES: readonly SpecRule[] = [
  portNames,
  portNumbers,
  portProtocols,
  portRangesGate,
  portRangesPlace,
  portRanges,
  portsDeclaredOnce,
];
