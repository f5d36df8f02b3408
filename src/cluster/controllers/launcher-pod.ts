/**
 * The pod of a VMI, as KubeVirt renders it as far as other things look at it: names, labels, annotations, the
 * compute container's declared ports (KubeVirt `pkg/virt-controller/services/template.go`).
 */
import { hostnameOf } from "../../api/defaults.ts";
import { launcherLabels } from "../../api/launcher-labels.ts";
import type { Pod, Vmi } from "../../api/types.ts";
import { networkAnnotations } from "../multus/pod-networks.ts";

const NOT_COPIED = [
  "kubectl.kubernetes.io",
  "kubevirt.io/storage-observed-api-version",
  "kubevirt.io/latest-observed-api-version",
];

/** @param memoryMiB limit of the pod: the guest's memory and what runs beside it */
export function launcherPod(vmi: Vmi, memoryMiB: number): Pod {
  const { name, namespace = "default", uid = "" } = vmi.metadata;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: "",
      generateName: `virt-launcher-${name}-`,
      namespace,
      labels: podLabels(vmi),
      annotations: podAnnotations(vmi),
      ownerReferences: [{ apiVersion: vmi.apiVersion, kind: vmi.kind, name, uid, controller: true }],
      finalizers: ["podtap.io/sandbox"],
    },
    spec: {
      restartPolicy: "Never",
      enableServiceLinks: false,
      hostname: hostnameOf(vmi),
      ...(vmi.spec.subdomain !== undefined && { subdomain: vmi.spec.subdomain }),
      ...(vmi.spec.dnsPolicy !== undefined && { dnsPolicy: vmi.spec.dnsPolicy }),
      ...(vmi.spec.dnsConfig !== undefined && { dnsConfig: vmi.spec.dnsConfig }),
      terminationGracePeriodSeconds: (vmi.spec.terminationGracePeriodSeconds ?? 30) + 30,
      containers: [
        {
          name: "compute",
          image: "podtap/launcher",
          ports: containerPorts(vmi),
          resources: { limits: { memory: `${memoryMiB}Mi` } },
        },
      ],
    },
  };
}

function podLabels(vmi: Vmi): Record<string, string> {
  const inject = vmi.metadata.annotations?.["sidecar.istio.io/inject"];
  return {
    // Users select on it as on a label; KubeVirt has it as an annotation only.
    "kubevirt.io/domain": vmi.metadata.name,
    ...launcherLabels(vmi),
    ...(inject !== undefined && { "sidecar.istio.io/inject": inject }),
  };
}

function podAnnotations(vmi: Vmi): Record<string, string> {
  const own = Object.entries(vmi.metadata.annotations ?? {}).filter(
    ([key]) => !NOT_COPIED.some((prefix) => key.startsWith(prefix)),
  );
  return {
    ...Object.fromEntries(own),
    "kubevirt.io/domain": vmi.metadata.name,
    "kubectl.kubernetes.io/default-container": "compute",
    "kubevirt.io/migrationTransportUnix": "true",
    ...readableNetworks(vmi),
  };
}

/** An annotation that cannot be read stays as it is: the node says why when it is to attach the pod. */
function readableNetworks(vmi: Vmi): Readonly<Record<string, string>> {
  try {
    return networkAnnotations(vmi);
  } catch {
    return {};
  }
}

function containerPorts(vmi: Vmi): readonly object[] {
  return (vmi.spec.domain.devices.interfaces ?? []).flatMap((nic) =>
    (nic.ports ?? []).map(({ name, protocol, port }) => ({
      ...(name !== undefined && { name }),
      protocol: protocol ?? "TCP",
      containerPort: port,
    })),
  );
}
