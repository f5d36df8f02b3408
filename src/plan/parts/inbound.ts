/**
 * What of a guest is open to the outside: the one decision that every binding with an allow-list takes alike
 * (architecture.md part 6: undeclared is closed, unless `podtap.io/inbound: all` or KubeVirt's way says otherwise).
 */
import { inboundOf } from "../../api/annotations.ts";
import type { NicContext } from "../binding.ts";
import { declaredIntervals, type PortInterval } from "./port-intervals.ts";

/** Envoy's own ports in an Istio sidecar (KubeVirt `pkg/network/istio/ports.go`). */
const ISTIO_PORTS: readonly number[] = [15000, 15001, 15004, 15006, 15008, 15009, 15020, 15021, 15053, 15090];

export interface OpenPorts {
  readonly ports: "all" | readonly PortInterval[];
  /** A mesh owns the pod's inbound traffic. */
  readonly meshed: boolean;
  /** TCP ports of the mesh, which are not the guest's even where all are. */
  readonly meshPorts: readonly number[];
}

export function openPorts(nic: NicContext): OpenPorts {
  const declared = declaredIntervals(nic.interface);
  const meshed = nic.vm.annotations["sidecar.istio.io/inject"]?.toLowerCase() === "true";
  const wanted = inboundOf(nic.vm.annotations, nic.vm.inbound);
  const ports = declared.length === 0 && (wanted === "all" || meshed) ? "all" : declared;
  return { ports, meshed, meshPorts: meshed ? ISTIO_PORTS : [] };
}
