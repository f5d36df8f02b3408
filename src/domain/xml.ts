/** The domain XML of a `DomainModel`, as KubeVirt's users and hook sidecars know it (`converter.go`). */
import type { CpuTopology } from "./cpu.ts";
import type { DomainModel } from "./domain.ts";
import { controllerElements, diskElement } from "./xml-disk.ts";
import { element, renderXml, type XmlElement } from "./xml-element.ts";
import { interfaceElement } from "./xml-interface.ts";
import { QEMU_NAMESPACE, userNetworkElements } from "./xml-user-network.ts";

const EMULATOR = "/usr/bin/qemu-system-x86_64";
export const METADATA_NAMESPACE = "https://podtap.io/domain/1";

export function toXml(domain: DomainModel): string {
  const userNetworks = userNetworkElements(domain.nics, domain.nicSocketFolder);
  const qemu = userNetworks.length === 0 ? {} : { "xmlns:qemu": QEMU_NAMESPACE };
  return renderXml(
    element(
      "domain",
      { type: domain.hypervisor, ...qemu },
      element("name", {}, domain.name),
      element("uuid", {}, domain.uuid),
      element(
        "metadata",
        {},
        element("podtap:vmi", { "xmlns:podtap": METADATA_NAMESPACE, uid: domain.vmiUid }),
      ),
      element("memory", { unit: "b" }, String(domain.memoryBytes)),
      domain.sharedMemory ? sharedMemoryElement() : undefined,
      element("vcpu", { placement: "static" }, String(domain.vcpus)),
      element("sysinfo", { type: "smbios" }, systemEntries(domain)),
      osElement(domain),
      element("features", {}, element("acpi")),
      cpuElement(domain),
      element("clock", { offset: "utc" }),
      // A guest that reboots stays the same QEMU; one that powers off or crashes is over.
      element("on_poweroff", {}, "destroy"),
      element("on_reboot", {}, "restart"),
      element("on_crash", {}, "destroy"),
      devicesElement(domain),
      ...userNetworks,
    ),
  );
}

function sharedMemoryElement(): XmlElement {
  const source = element("source", { type: "memfd" });
  return element("memoryBacking", {}, source, element("access", { mode: "shared" }));
}

/** What guests read as their vendor (`/sys/class/dmi`): KubeVirt's defaults, which some images test for. */
function systemEntries(domain: DomainModel): XmlElement {
  const entry = (name: string, value: string) => element("entry", { name }, value);
  return element(
    "system",
    {},
    entry("manufacturer", "KubeVirt"),
    entry("product", "None"),
    domain.serialNumber === undefined ? undefined : entry("serial", domain.serialNumber),
    entry("uuid", domain.uuid),
    entry("family", "KubeVirt"),
  );
}

function osElement({ machine, kernel }: DomainModel): XmlElement {
  const text = (name: string, value: string | undefined) =>
    value === undefined || value === "" ? undefined : element(name, {}, value);
  return element(
    "os",
    {},
    element("type", { arch: "x86_64", machine }, "hvm"),
    text("kernel", kernel?.kernelPath),
    text("initrd", kernel?.initrdPath),
    text("cmdline", kernel?.args),
    element("smbios", { mode: "sysinfo" }),
  );
}

/** `check="none"`: what the accelerator cannot do is left out, as QEMU does, instead of refusing to start. */
function cpuElement({ cpu, topology }: DomainModel): XmlElement {
  const shape = topologyElement(topology);
  if (cpu.mode !== "custom") return element("cpu", { mode: cpu.mode, check: "none" }, shape);
  const model = element("model", { fallback: "allow" }, cpu.model);
  return element("cpu", { mode: "custom", match: "exact", check: "none" }, model, shape);
}

function topologyElement({ sockets, cores, threads }: CpuTopology): XmlElement {
  return element("topology", { sockets, cores, threads });
}

function devicesElement(domain: DomainModel): XmlElement {
  return element(
    "devices",
    {},
    element("emulator", {}, EMULATOR),
    ...controllerElements(domain.disks),
    ...domain.nics.map(interfaceElement),
    ...domain.disks.map(diskElement),
    element(
      "serial",
      { type: "unix" },
      element("source", { mode: "bind", path: domain.consoleSocket }),
      element("target", { type: "isa-serial", port: 0 }),
      element("alias", { name: "ua-serial0" }),
    ),
    element(
      "channel",
      { type: "unix" },
      element("source", { mode: "bind", path: domain.agentSocket }),
      element("target", { type: "virtio", name: "org.qemu.guest_agent.0" }),
    ),
    domain.rng
      ? element(
          "rng",
          { model: "virtio-non-transitional" },
          element("backend", { model: "random" }, "/dev/urandom"),
        )
      : undefined,
    element("memballoon", { model: "none" }),
  );
}
