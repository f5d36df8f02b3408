/** Admission of probes: R1 and R13 (`vmi-create-admitter.go`), with KubeVirt's texts. */
import { errorAt, type Finding } from "../finding.ts";
import { formatPath, type Path } from "../path.ts";
import { networksOf, type ProbeSpec, type SpecContext, type SpecRule } from "./spec-context.ts";

function probesOf(vmi: SpecContext): readonly { readonly probe: ProbeSpec; readonly at: Path }[] {
  return (["readinessProbe", "livenessProbe"] as const).flatMap((key) => {
    const probe = vmi.spec[key];
    return probe === undefined ? [] : [{ probe, at: [...vmi.path, key] }];
  });
}

/** R1. */
export function probesNeedPodNetwork(vmi: SpecContext): readonly Finding[] {
  if (networksOf(vmi).some((network) => network.pod !== undefined)) return [];
  return probesOf(vmi).flatMap(({ probe, at }) =>
    (["httpGet", "tcpSocket"] as const)
      .filter((handler) => probe[handler] !== undefined)
      .map((handler) =>
        errorAt({
          code: "PT-REL-1",
          at: [...at, handler],
          message: `${formatPath([...at, handler])} is only allowed if the Pod Network is attached`,
          hint: "Use `exec` or `guestAgentPing`, or give the VM a NIC on `pod: {}`.",
        }),
      ),
  );
}

/** R13. */
export function oneProbeHandler(vmi: SpecContext): readonly Finding[] {
  return probesOf(vmi).flatMap(({ probe, at }) => {
    const handlers = [probe.httpGet, probe.tcpSocket, probe.exec, probe.guestAgentPing];
    const count = handlers.filter((handler) => handler !== undefined).length;
    const field = formatPath(at);
    if (count > 1) {
      const message = `${field} must have exactly one probe type set`;
      const hint = "Keep one of httpGet, tcpSocket, exec and guestAgentPing.";
      return [errorAt({ code: "PT-REL-13", at, message, hint })];
    }
    if (count === 1) return [];
    const message = `either ${field}.tcpSocket, ${field}.exec or ${field}.httpGet must be set if a ${field} is specified`;
    const hint = "Say what to try, as tcpSocket: {port: 22}.";
    return [errorAt({ code: "PT-REL-13", at, reason: "FieldValueRequired", message, hint })];
  });
}

export const PROBE_RULES: readonly SpecRule[] = [probesNeedPodNetwork, oneProbeHandler];
