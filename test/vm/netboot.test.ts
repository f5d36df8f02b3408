/**
 * Guests without a disk, whose firmware (SeaBIOS, with iPXE in the NIC's option ROM) boots from the network by what
 * podtap's DHCP tells it. The servers stand in a namespace of their own, on the far side of the host and on a NAD's
 * bridge. What the guests load prints on their serial console: nothing else could.
 */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { InterfaceSpec, Pod, Vmi } from "../../src/api/types.ts";
import { identityOf } from "../../src/cluster/local/pods/pod-runner.ts";
import { bootProgram } from "../support/boot-program.ts";
import { daemonPid, launcherSocket, manifest, onDaemonHost, podtap } from "../support/daemon-host.ts";
import { eventually, requires, type TestPod, testPod } from "../support/netns.ts";

onDaemonHost(import.meta.filename);

/** Behind the host's NAT (TEST-NET-1 of RFC 5737), and on the LAN of the NAD. */
const FAR = { server: "192.0.2.69", host: "192.0.2.1" };
const LAN = { server: "10.69.0.69", subnet: "10.69.0.0/24", bridge: "pt-pxe" };
const FILES = "/run/netboot";

const NAD = {
  apiVersion: "k8s.cni.cncf.io/v1",
  kind: "NetworkAttachmentDefinition",
  metadata: { name: "pxe" },
  spec: {
    config: JSON.stringify({
      cniVersion: "0.4.0",
      type: "bridge",
      bridge: LAN.bridge,
      // Dual stack: iPXE waits a while for an IPv6 router before it goes on.
      ipam: {
        type: "host-local",
        ranges: [[{ subnet: LAN.subnet, rangeStart: "10.69.0.100" }], [{ subnet: "fd69::/64" }]],
      },
    }),
  },
};

function diskless(name: string, network: object, nic: Partial<InterfaceSpec>): object {
  return {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name },
    spec: {
      terminationGracePeriodSeconds: 0,
      domain: {
        memory: { guest: "32Mi" },
        devices: { interfaces: [{ name: "boot", bootOrder: 1, ...nic }] },
      },
      networks: [{ name: "boot", ...network }],
    },
  };
}

describe("network boot", requires("root", "nft", "cni", "qemu", "libvirt", "dnsmasq"), () => {
  const children: ChildProcess[] = [];
  const cleanup: (() => void)[] = [];
  let said = "";

  before(async () => {
    const server = testPod({ after: (undo) => cleanup.push(undo as () => void) }, "server");
    cable(server, "pt-far", [`${FAR.server}/24`]);
    execFileSync("ip", ["address", "add", `${FAR.host}/24`, "dev", "pt-far"]);
    server.run("ip", "route", "add", "default", "via", FAR.host);
    execFileSync("ip", ["link", "add", LAN.bridge, "up", "type", "bridge"]);
    cable(server, "pt-lan", [`${LAN.server}/24`]);
    execFileSync("ip", ["link", "set", "pt-lan", "master", LAN.bridge]);

    mkdirSync(FILES, { recursive: true });
    writeFileSync(join(FILES, "hello"), bootProgram("netbooted\r\n"));
    writeFileSync(join(FILES, "chain"), `#!ipxe\nchain http://${FAR.server}/hello\n`);
    const serve = (...command: readonly string[]): void => {
      const child = spawn("ip", ["netns", "exec", server.name, ...command]);
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (said += text));
      children.push(child);
    };
    serve("busybox", "httpd", "-f", "-vv", "-p", `${FAR.server}:80`, "-h", FILES);
    // Its answers come from the port that was asked: another one would not get through NAT.
    serve("dnsmasq", ...tftp(FAR.server), "--tftp-single-port");
    serve("dnsmasq", ...tftp(LAN.server));
    await podtap(
      "up",
      manifest(
        ...[
          NAD,
          diskless(
            "lan",
            { multus: { networkName: "pxe" } },
            { bridge: {}, dhcpOptions: { tftpServerName: LAN.server, bootFileName: "hello" } },
          ),
          diskless(
            "url",
            { pod: {} },
            { masquerade: {}, dhcpOptions: { bootFileName: `http://${FAR.server}/hello` } },
          ),
          diskless(
            "nat",
            { pod: {} },
            {
              masquerade: {},
              ports: [{ port: 22 }],
              dhcpOptions: { tftpServerName: FAR.server, bootFileName: "chain" },
            },
          ),
        ].map((one) => JSON.stringify(one)),
      ),
    );
  });
  after(async () => {
    for (const child of children) child.kill();
    await podtap("down", "--all");
    await eventually("the daemon's end", () => daemonPid() === undefined || undefined);
    execFileSync("ip", ["link", "delete", LAN.bridge]);
    for (const undo of cleanup) undo();
  });

  test("bridge: a guest boots from the TFTP server of its LAN, as DHCP named it", async () => {
    await netbooted("lan");
    const vmi = JSON.parse(await podtap("get", "vmi", "lan", "-o", "json")) as Vmi;
    const ip = vmi.status?.interfaces?.[0]?.ipAddress ?? assert.fail("no address");
    await logged(`sent ${FILES}/hello to ${ip}`);
  });

  test("masquerade: a guest boots through NAT, by TFTP from one port and then by HTTP", async () => {
    await netbooted("nat");
    await logged(`sent ${FILES}/chain to ${FAR.host}`);
    await logged(`${FAR.host}:\\d+: url:/hello`);
  });

  test("masquerade: a guest boots from an address by HTTP", async () => {
    await netbooted("url");
  });

  async function logged(pattern: string): Promise<void> {
    const line = new RegExp(`${pattern}$`, "m");
    await eventually(`a server's line ${line}, of\n${said}`, () => line.test(said) || undefined);
  }

  async function netbooted(name: string): Promise<void> {
    const { items } = JSON.parse(await podtap("get", "pods", "-o", "json")) as { items: readonly Pod[] };
    const pod = items.find(({ metadata }) => metadata.labels?.["vm.kubevirt.io/name"] === name);
    assert.ok(pod);
    const serial = join(dirname(launcherSocket(identityOf(pod).id)), "serial.log");
    await eventually(
      `${name} boots from the network`,
      () => {
        try {
          return readFileSync(serial, "latin1").includes("netbooted\r\n") || undefined;
        } catch {
          // Nothing printed so far.
          throw new Error(`the servers said:\n${said}`);
        }
      },
      60_000,
    );
  }
});

/** Joins a namespace to this one; the near end has this name. */
function cable(pod: TestPod, name: string, addresses: readonly string[]): void {
  const peer = ["peer", "name", `${name}-e`, "netns", pod.name];
  execFileSync("ip", ["link", "add", name, "up", "type", "veth", ...peer]);
  for (const address of addresses) pod.run("ip", "address", "add", address, "dev", `${name}-e`);
  pod.run("ip", "link", "set", `${name}-e`, "up");
}

function tftp(address: string): readonly string[] {
  const files = ["--conf-file=/dev/null", "--pid-file=", "--log-facility=-", "--user=root"];
  const served = ["--enable-tftp", `--tftp-root=${FILES}`, `--listen-address=${address}`];
  return ["--keep-in-foreground", "--port=0", "--bind-dynamic", ...files, ...served];
}
