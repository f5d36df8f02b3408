/**
 * Domain XML against golden text, and against libvirt's own schema. `make golden` rewrites the files; the diff is
 * reviewed with the change that caused it.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { DomainSpec, Vmi } from "../../src/api/types.ts";
import type { Cidr, Ip } from "../../src/base/ip.ts";
import type { Mac } from "../../src/base/mac.ts";
import type { DomainDisk } from "../../src/domain/devices.ts";
import { type DomainInput, planDomain } from "../../src/domain/domain.ts";
import type { BackendInterface, TapInterface, UserInterface } from "../../src/domain/interface.ts";
import { toXml } from "../../src/domain/xml.ts";
import { vmi } from "../support/builders.ts";

function nic(more: Partial<TapInterface> = {}): TapInterface {
  return {
    type: "ethernet",
    alias: "ua-default",
    target: { dev: "tap0", managed: false },
    mac: "0a:58:0a:f4:01:07" as Mac,
    model: "virtio-non-transitional",
    mtu: 1450,
    romEnabled: false,
    ...more,
  };
}

/** Everything that a NIC may say beside what it is joined to. */
const OPTIONS = { bootOrder: 1, romEnabled: true, linkState: "down", acpiIndex: 101 } as const;

function passt(attach: BackendInterface["attach"], more: Partial<BackendInterface> = {}): BackendInterface {
  const { type: _, target: __, ...rest } = nic();
  return {
    ...rest,
    type: "user-backend",
    backend: "passt",
    attach,
    source: "eth0",
    addresses: ["10.244.1.7/24" as Cidr, "fd00:10:244:1::7/64" as Cidr],
    forwards: [
      {
        protocol: "tcp",
        ranges: [
          { start: 80, end: 80 },
          { start: 8000, end: 8010 },
          { start: 8005, end: 8005, exclude: true },
        ],
      },
      { protocol: "udp", ranges: [] },
    ],
    ...more,
  };
}

function user(netdev: UserInterface["netdev"], more: Partial<UserInterface> = {}): UserInterface {
  const { type: _, target: __, ...rest } = nic();
  return { ...rest, type: "user", netdev, ...more };
}

const SLIRP: UserInterface["netdev"] = {
  type: "builtin",
  ipv4: {
    network: "10.0.2.0/24" as Cidr,
    host: "10.0.2.2" as Ip,
    guest: "10.0.2.15" as Ip,
    dns: "10.0.2.3" as Ip,
  },
  ipv6: { network: "fd10:0:2::/64" as Cidr, host: "fd10:0:2::2" as Ip, dns: "fd10:0:2::3" as Ip },
  hostname: "web",
  searchDomains: ["cluster.local", "a,b"],
  forwards: [
    { protocol: "tcp", port: 80 },
    { protocol: "udp", port: 53 },
  ],
};

function disk(name: string, more: Partial<DomainDisk> = {}): DomainDisk {
  return {
    name,
    device: "disk",
    bus: "virtio",
    format: "qcow2",
    path: `/d/${name}.qcow2`,
    readonly: false,
    ...more,
  };
}

function manifest(domain: Partial<DomainSpec>): Vmi {
  const base = vmi();
  return { ...base, spec: { ...base.spec, domain: { ...base.spec.domain, ...domain } } };
}

const cases: Readonly<Record<string, Partial<DomainInput>>> = {
  masquerade: { nics: [nic()] },
  "kernel-boot": {
    nics: [nic()],
    kernel: { kernelPath: "/k/vmlinuz", initrdPath: "/k/initramfs", args: 'console=ttyS0 init="/a b" x<y&z' },
  },
  kvm: { accelerator: { type: "kvm", reason: "it works" } },
  "kvm-named-cpu": {
    vmi: manifest({ cpu: { cores: 2, sockets: 2, threads: 2, model: "Haswell-noTSX" } }),
    accelerator: { type: "kvm", reason: "it works" },
  },
  disks: {
    disks: [
      disk("root", {
        bootOrder: 1,
        backing: { path: "/i/base.img", format: "raw" },
        serial: "SN-1",
        cache: "none",
      }),
      disk("data", { format: "raw", path: "/d/data.img", pciAddress: "0000:00:10.0" }),
      disk("seed", { device: "cdrom", bus: "sata", format: "raw", path: "/d/seed.iso", readonly: true }),
      disk("shared", { bus: "scsi", readonly: true }),
      disk("stick", { bus: "usb" }),
      disk("lun", { bus: "scsi", device: "lun", format: "raw", path: "/dev/block-lun" }),
    ],
  },
  "every-nic-option": {
    nics: [
      nic({
        bootOrder: 2,
        romEnabled: true,
        linkState: "down",
        driver: { name: "qemu", queues: 4 },
        pciAddress: "0000:81:01.0",
        acpiIndex: 101,
      }),
      nic({ alias: "ua-lan", target: { dev: "tap094a367b026", managed: false }, model: "e1000" }),
    ],
  },
  "user-networks": {
    nics: [
      user({ type: "stream", socket: "passt-eth0.sock" }, OPTIONS),
      user(SLIRP, { alias: "ua-lan", model: "e1000", pciAddress: "0000:00:10.0" }),
    ],
  },
  "passt-backend": { nics: [passt("stream", OPTIONS)] },
  "passt-vhost-user": { nics: [passt("vhost-user", OPTIONS)] },
  "firmware-and-rng": {
    vmi: manifest({
      devices: { rng: {} },
      machine: { type: "pc-q35-7.2" },
      firmware: { uuid: "5d307ca9-b3ef-428c-8861-06e72d69f223", serial: 'e4686d2c-6e8d <&>"' },
      memory: { guest: "1G" },
    }),
  },
};

function xmlOf(more: Partial<DomainInput>): string {
  return toXml(
    planDomain({
      vmi: vmi(),
      nics: [],
      disks: [],
      accelerator: { type: "tcg", reason: "no /dev/kvm" },
      consoleSocket: "/run/podtap/p/a/serial.sock",
      agentSocket: "/run/podtap/p/a/agent.sock",
      nicSocketFolder: "/run/podtap/p/a",
      ...more,
    }),
  );
}

/** Of libvirt's schema from 11.1 on. */
const NEWER = new Set(["passt-vhost-user"]);
const SCHEMA = spawnSync("virsh", ["--version"], { encoding: "utf8" })
  .stdout?.split(".")
  .map((part) => part.trim().padStart(2, "0"))
  .join(".");
const VALIDATOR = spawnSync("virt-xml-validate", ["--version"]).error === undefined;

for (const [name, input] of Object.entries(cases)) {
  const path = new URL(`domain/${name}.xml`, import.meta.url);
  test(`domain/${name}`, () => {
    const before = structuredClone(input);
    const xml = xmlOf(input);
    assert.deepEqual(input, before, "the input is left alone");
    if (process.env["PODTAP_UPDATE_GOLDEN"]) {
      mkdirSync(new URL(".", path), { recursive: true });
      writeFileSync(path, xml);
    }
    assert.equal(xml, readFileSync(path, "utf8"));
  });

  test(`domain/${name} is valid by libvirt's schema`, {
    skip: !VALIDATOR && "needs virt-xml-validate",
  }, () => {
    const { status, stderr } = spawnSync("virt-xml-validate", [path.pathname, "domain"], {
      encoding: "utf8",
    });
    // Which is why podtap asks libvirt before it writes such a domain.
    if (NEWER.has(name) && SCHEMA < "11.01") assert.notEqual(status, 0, "an old schema does not know it");
    else assert.equal(status, 0, stderr);
  });
}
