/** Admission of a VMI's metadata, its own or a template's: R5 and R10, labels, podtap's annotations, those of clusters. */
import { checkAnnotations } from "../annotations.ts";
import { errorAt, type Finding, warningAt } from "../finding.ts";
import { formatPath } from "../path.ts";
import { gateIsOn } from "../settings.ts";
import type { SpecContext, SpecRule } from "./spec-context.ts";

const HOOK_SIDECARS = "hooks.kubevirt.io/hookSidecars";
const RESERVED = [
  "created-by",
  "migrationJobUID",
  "nodeName",
  "migrationTargetNodeName",
  "schedulable",
  "install-strategy",
].map((name) => `kubevirt.io/${name}`);

/** R5. */
export function hookSidecarsGate(vmi: SpecContext): readonly Finding[] {
  const value = Object.hasOwn(vmi.annotations, HOOK_SIDECARS) ? vmi.annotations[HOOK_SIDECARS] : "";
  if (value === "" || gateIsOn(vmi.settings, "Sidecar")) return [];
  const field = formatPath([...vmi.metadataPath, "annotations"]);
  const message = `sidecar feature gate is not enabled in kubevirt-config, invalid entry ${field}.${HOOK_SIDECARS}`;
  const hint = "Remove the annotation, or switch the gate Sidecar on.";
  const at = [...vmi.metadataPath, "annotations", HOOK_SIDECARS];
  return [errorAt({ code: "PT-REL-5", at, field, message, hint })];
}

/** R10. */
export function reservedLabels(vmi: SpecContext): readonly Finding[] {
  const used = RESERVED.filter((label) => Object.hasOwn(vmi.labels, label));
  const first = used[0];
  if (first === undefined) return [];
  const labels = [...vmi.metadataPath, "labels"];
  return [
    errorAt({
      code: "PT-REL-10",
      at: [...labels, first],
      field: formatPath(labels),
      reason: "FieldValueNotSupported",
      message: "creation of the following reserved kubevirt.io/ labels on a VMI object is prohibited",
      hint: `Remove ${used.join(", ")}.`,
    }),
  ];
}

export function podtapAnnotations(vmi: SpecContext): readonly Finding[] {
  return checkAnnotations(vmi.annotations, vmi.metadataPath);
}

/** Of networks and meshes that only a cluster has: Kube-OVN, OVN-Kubernetes, Calico, Cilium, Spiderpool, Istio. */
const CLUSTERS =
  /^(?:[^/]+\.)?(?:ovn\.kubernetes\.io|k8s\.ovn\.org|cni\.projectcalico\.org|ipam\.cilium\.io|ipam\.spidernet\.io|sidecar\.istio\.io|traffic\.sidecar\.istio\.io)\//;

/** PT-EARLY-62. They often ask for an address, and nothing says that it is another one. */
export function clusterNetworkWishes(vmi: SpecContext): readonly Finding[] {
  const places = (["annotations", "labels"] as const).flatMap((part) =>
    Object.keys(vmi[part])
      .filter((key) => CLUSTERS.test(key))
      .map((key) => ({ key, at: [...vmi.metadataPath, part, key] })),
  );
  const [first] = places;
  if (first === undefined) return [];
  const names = places.map(({ key }) => key).join(", ");
  const message = `for a network or mesh of a cluster, which is not here: ${names}`;
  const hint = "For an address of your choice use a NetworkAttachmentDefinition: docs/guides/networks.md.";
  const reason = "FieldValueNotSupported";
  return [warningAt({ code: "PT-EARLY-62", at: first.at, reason, message, hint })];
}

export const METADATA_RULES: readonly SpecRule[] = [
  hookSidecarsGate,
  reservedLabels,
  podtapAnnotations,
  clusterNetworkWishes,
];
