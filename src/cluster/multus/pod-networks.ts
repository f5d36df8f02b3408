/**
 * The networks that the pod of a VMI asks for, as KubeVirt writes them on the pod
 * (`pkg/network/multus/annotation.go`, `pkg/network/pod/annotations/generator.go`). Pure.
 */
import type { Vmi, VmiSpec } from "../../api/types.ts";
import { secondaryPodInterface } from "../../base/names.ts";
import {
  DEFAULT_NETWORK_ANNOTATION,
  NETWORKS_ANNOTATION,
  type NetworkSelection,
  parseSelections,
  renderSelections,
} from "./network-selection.ts";

/** Annotations of the pod; none where it asks for nothing but the pod network. */
export function networkAnnotations(vmi: Vmi): Readonly<Record<string, string>> {
  const selections = selectionsOf(vmi);
  const primary = vmi.spec.networks?.find(({ multus }) => multus?.default === true)?.multus;
  return {
    ...(selections.length > 0 && { [NETWORKS_ANNOTATION]: renderSelections(selections) }),
    ...(primary !== undefined && { [DEFAULT_NETWORK_ANNOTATION]: primary.networkName }),
  };
}

/**
 * Secondary networks in interface order, which is the order they are attached in; interfaces that are absent need
 * none. What the VMI's own annotation asks of the same NAD (addresses, cni-args, bandwidth) is added: KubeVirt
 * overwrites it. An annotation alone, without multus networks, is left as it is and means links of the pod only.
 */
function selectionsOf({ metadata, spec }: Vmi): readonly NetworkSelection[] {
  const { namespace = "default", annotations = {} } = metadata;
  const rendered = secondaries(spec, namespace);
  const own = annotations[NETWORKS_ANNOTATION];
  if (own === undefined || rendered.length === 0) return rendered;
  const wishes = [...parseSelections(own, namespace)];
  return rendered.map((selection) => {
    const at = wishes.findIndex(
      (wish) =>
        wish.name === selection.name &&
        wish.namespace === selection.namespace &&
        (wish.interface ?? selection.interface) === selection.interface,
    );
    return at < 0 ? selection : { ...wishes.splice(at, 1)[0], ...selection };
  });
}

function secondaries(spec: VmiSpec, namespace: string): readonly NetworkSelection[] {
  return (spec.domain.devices.interfaces ?? []).flatMap((nic): readonly NetworkSelection[] => {
    const network = spec.networks?.find(({ name }) => name === nic.name);
    if (nic.state === "absent" || network?.multus === undefined || network.multus.default === true) return [];
    const { networkName } = network.multus;
    const slash = networkName.indexOf("/");
    return [
      {
        name: networkName.slice(slash + 1),
        namespace: slash < 0 ? namespace : networkName.slice(0, slash),
        ...(nic.macAddress !== undefined && { mac: nic.macAddress }),
        interface: secondaryPodInterface(network.name),
      },
    ];
  });
}
