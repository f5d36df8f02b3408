/**
 * Who may ask for slirp, and where: C1 of KubeVirt, which dropped it in v1.3 and left it to a plugin of that
 * name. Up to v1.2 KubeVirt refused it off the pod network; podtap still does, in those words.
 */
import type { BindingAdmission, Nic } from "../../api/binding-admission.ts";
import { type Finding, warningAt } from "../../api/finding.ts";

export const slirpAdmission: BindingAdmission = {
  method: "slirp",
  spelledBy: "name",
  old: {
    key: "slirp",
    code: "PT-C-1",
    message: "Slirp interface support has been discontinued since v1.3",
  },
  title: "Slirp",
  networks: "pod",
  states: ["up", "down"],
  ports: "allow-list",
  portRanges: "no",
  dhcpOptions: false,
  resourceClaims: false,
  privateNetwork: {},
  rules: [forOldManifests],
};

/** PT-EARLY-52. The old spelling has its own warning, which names this one. */
function forOldManifests({ iface, at }: Nic): readonly Finding[] {
  if (iface.binding === undefined) return [];
  const message = "slirp is kept for old manifests: every packet goes through QEMU's own TCP/IP";
  const hint = "Use `passtBinding: {}`, which needs no privileges either, or `masquerade: {}`.";
  return [warningAt({ code: "PT-EARLY-52", at: [...at, "binding"], message, hint })];
}
