/**
 * What stands between the pod and a guest that has no tap: a program beside QEMU, run as the launcher has it run; or
 * QEMU's own network, by a QEMU without a machine:
 *
 *   guest eth0 ──[ Unix socket, as QEMU's `stream` has it ]── QEMU: stream ── hub ── user ──( sockets in the pod )
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, chownSync, constants, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { Ip } from "../../../src/base/ip.ts";
import type { DomainInterface } from "../../../src/domain/interface.ts";
import type { XmlElement } from "../../../src/domain/xml-element.ts";
import { userNetworkElements } from "../../../src/domain/xml-user-network.ts";
import type { Binding } from "../../../src/plan/binding.ts";
import { type HostFeatures, TYPICAL_FEATURES } from "../../../src/plan/host-features.ts";
import type { NicPlan } from "../../../src/plan/plan.ts";
import type { TestPod } from "../netns.ts";
import { startUserNetwork } from "../user-network.ts";

const UID = 107;
const QEMU = process.arch === "arm64" ? "qemu-system-aarch64" : "qemu-system-x86_64";

export interface Medium {
  /** Where the guest listens. */
  readonly socket: string;
  /** When it does: frames flow when this is done. */
  join(): Promise<void>;
  /** Killed, and another one started, as a launcher does; the guest stays. */
  replace(): Promise<void>;
}

type Scope = { after(fn: () => unknown): void };

/** undefined for a guest on a tap. */
export function mediumOf(
  t: Scope,
  pod: Pick<TestPod, "name" | "path">,
  nic: NicPlan,
  nameservers: readonly Ip[],
): Medium | undefined {
  if (nic.userNetwork !== undefined) {
    const { socket, up, replace } = startUserNetwork(t, pod.path, nic);
    return { socket, join: async () => void (await up()), replace };
  }
  const { domain } = nic;
  if (domain.type !== "user" || domain.netdev.type !== "builtin") return undefined;
  return builtinMedium(t, pod, domain, nameservers);
}

/** With the ways only that a namespace guest can be joined by. */
export function joinable(features: HostFeatures): HostFeatures {
  const userNetworks = features.userNetworks.map((one) => ({
    ...one,
    ways: one.ways.filter((way) => way === "stream"),
  }));
  return { ...features, userNetworks };
}

/** Its network is a part of QEMU: nothing to look at where that is not installed, as in the outer guest. */
export function isOutOfReach(binding: Binding): boolean {
  return !hasQemu() && binding.lacking({ ...TYPICAL_FEATURES, builtinUserNetwork: false }) !== undefined;
}

function builtinMedium(
  t: Scope,
  pod: Pick<TestPod, "name">,
  domain: DomainInterface,
  nameservers: readonly Ip[],
): Medium {
  const folder = mkdtempSync("/run/pt-qn-");
  chownSync(folder, UID, UID);
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const socket = join(folder, "guest.sock");
  const network = builtinNetdev(domain);
  const stream = { type: "stream", id: "guest", server: false, addr: { type: "unix", path: socket } };
  const ports = [network.id, stream.id].map((netdev, i) => ({
    type: "hubport",
    id: `port${i}`,
    hubid: 0,
    netdev,
  }));
  const netdevs = [network, stream, ...ports].flatMap((one) => ["-netdev", JSON.stringify(one)]);
  const qemu = [
    QEMU,
    "-M",
    "none",
    "-nodefaults",
    "-no-user-config",
    "-display",
    "none",
    "-qmp",
    "stdio",
    ...netdevs,
  ];
  const rights = [
    `--reuid=${UID}`,
    `--regid=${UID}`,
    "--clear-groups",
    "--bounding-set=-all",
    "--no-new-privs",
  ];
  // Its resolver is the pod's, as in a sandbox: `ip netns exec` binds what is in this folder over /etc.
  const etc = `/etc/netns/${pod.name}`;
  mkdirSync(etc, { recursive: true });
  writeFileSync(join(etc, "resolv.conf"), nameservers.map((ip) => `nameserver ${ip}\n`).join(""));
  t.after(() => rmSync(etc, { recursive: true, force: true }));
  let running: ChildProcess | undefined;
  const end = async (): Promise<void> => {
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    running.kill("SIGKILL");
    await once(running, "exit");
  };
  t.after(end);
  const start = async (): Promise<void> => {
    await end();
    const child = spawn("ip", ["netns", "exec", pod.name, "setpriv", ...rights, "--", ...qemu], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    running = child;
    // Its greeting (QMP) comes when its networks are joined.
    await Promise.race([once(child.stdout, "data"), once(child, "exit")]);
  };
  // A QEMU that lost its guest does not look for the next one.
  return { socket, join: start, replace: () => Promise.resolve() };
}

/** As the launcher writes it into the domain. */
function builtinNetdev(domain: DomainInterface): { readonly id: string } {
  const values = (one: XmlElement): readonly string[] => [
    ...one.attributes.map(([, value]) => value),
    ...one.children.flatMap((child) => (typeof child === "string" ? [] : values(child))),
  ];
  const json = userNetworkElements([domain], "")
    .flatMap(values)
    .find((value) => value.startsWith("{"));
  return JSON.parse(json ?? "") as { readonly id: string };
}

function hasQemu(): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, QEMU), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
