/**
 * A NIC that QEMU opens by its tap, as KubeVirt's converter writes it
 * (`pkg/virt-launcher/virtwrap/converter/network/configurator.go`).
 */
import type { Mac } from "../../base/mac.ts";
import type { DomainNic, TapInterface } from "../../domain/interface.ts";
import type { NicContext } from "../binding.ts";

export function tapDomainInterface(nic: NicContext, mac: Mac, mtu: number): TapInterface {
  const queues = queuesOf(nic);
  return {
    type: "ethernet",
    target: { dev: nic.names.tap, managed: false },
    ...domainNic(nic, mac, mtu),
    ...(queues > 0 && {
      driver: { name: nic.vm.features.vhostNet ? ("vhost" as const) : ("qemu" as const), queues },
    }),
  };
}

/** What the manifest says of the NIC, whatever it is joined to. */
export function domainNic(nic: NicContext, mac: Mac, mtu: number): DomainNic {
  const spec = nic.interface;
  const virtio = isVirtio(spec.model);
  return {
    alias: `ua-${spec.name}`,
    mac,
    model: virtio ? virtioModel(nic.vm.useVirtioTransitional) : (spec.model ?? ""),
    mtu,
    ...(spec.bootOrder !== undefined && { bootOrder: spec.bootOrder }),
    romEnabled: spec.bootOrder !== undefined,
    ...(spec.state === "down" && { linkState: "down" as const }),
    ...(spec.pciAddress !== undefined && { pciAddress: spec.pciAddress }),
    ...(spec.acpiIndex !== undefined && { acpiIndex: spec.acpiIndex }),
  };
}

/** Queues of this NIC: 0 (single) for models other than virtio. The tap's multi-queue flag must agree. */
export function queuesOf(nic: NicContext): number {
  return isVirtio(nic.interface.model) ? nic.vm.queues : 0;
}

function isVirtio(model: string | undefined): boolean {
  return model === undefined || model === "" || model === "virtio";
}

function virtioModel(transitional: boolean): string {
  return transitional ? "virtio-transitional" : "virtio-non-transitional";
}
