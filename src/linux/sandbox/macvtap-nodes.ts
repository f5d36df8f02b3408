/**
 * The character devices of a pod's macvtaps, shown in its sandbox: what QEMU opens instead of a tap.
 *
 * Theory of operation. A macvtap's queue is /dev/tap<ifindex> (drivers/net/macvtap.c), and libvirt looks for it under
 * that name (virNetDevMacVLanTapOpen). The host's own node of that name is of no use: indexes repeat between network
 * namespaces while devtmpfs is one, so the node may be another pod's or missing. The device's number is in the sysfs of
 * the namespace, which the sandbox has mounted. Its /dev is read-only and stays so but for the moment in which a node
 * is made; nobody inside could write there anyway, for it is root's.
 */
import { chmodSync, chownSync, lstatSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { PodtapError } from "../../base/errors.ts";
import { isLinkName } from "../../base/names.ts";
import { inKernelWords } from "../errno.ts";
import { MS_BIND, mount } from "../libc.ts";
import { MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REMOUNT, makeDevice } from "./mount-calls.ts";
import { adoptSandbox, sandboxGone } from "./sandbox.ts";
import type { SandboxRecord } from "./types.ts";
import { inNamespacesOf } from "./window.ts";

interface Node {
  readonly path: string;
  readonly device: number;
}

/**
 * After phase 1, before the guest starts. Those of `links` get a node that `owner` may open; nodes of macvtaps that
 * are gone are removed. Repeated, it changes nothing.
 */
export function showMacvtaps(sandbox: SandboxRecord, links: readonly string[], owner: number): void {
  if (!links.every(isLinkName)) throw new RangeError(`not link names: ${JSON.stringify(links)}`);
  if (adoptSandbox(sandbox) === undefined) sandboxGone(sandbox.podId);
  inNamespacesOf(sandbox.pid1, () => {
    const wanted = links.map(nodeOf);
    const old = readdirSync("/dev")
      .filter((name) => /^tap[0-9]+$/.test(name))
      .map((name) => `/dev/${name}`)
      .filter((path) => !wanted.some((node) => node.path === path && isMade(node, owner)));
    const missing = wanted.filter((node) => !isMade(node, owner));
    if (old.length + missing.length === 0) return;
    remountDev(0);
    try {
      for (const path of old) rmSync(path, { force: true });
      for (const node of missing) make(node, owner);
    } finally {
      remountDev(MS_RDONLY);
    }
  });
}

function nodeOf(link: string): Node {
  const folder = `/sys/class/net/${link}/macvtap`;
  const [name] = inKernelWords("find the device of the macvtap", link, () => readdirSync(folder));
  const [, major, minor] = /^([0-9]+):([0-9]+)\n$/.exec(readFileSync(`${folder}/${name}/dev`, "utf8")) ?? [];
  if (name === undefined || major === undefined || minor === undefined) {
    throw new PodtapError({
      code: "PT-SANDBOX-10",
      message: `the macvtap ${link} has no character device`,
      hint: "was it deleted meanwhile? The pod has to be made anew",
      retry: "on-change",
    });
  }
  return { path: `/dev/${name}`, device: deviceNumber(Number(major), Number(minor)) };
}

/** As makedev(3) has it: the macvtaps of a host share one major number and count on, so minors grow beyond 255. */
export function deviceNumber(major: number, minor: number): number {
  return ((major << 8) | (minor & 0xff) | ((minor & 0xfff00) << 12)) >>> 0;
}

function isMade({ path, device }: Node, owner: number): boolean {
  const there = lstatSync(path, { throwIfNoEntry: false });
  return there?.isCharacterDevice() === true && there.rdev === device && there.uid === owner;
}

function make({ path, device }: Node, owner: number): void {
  makeDevice(path, 0o600, device);
  chmodSync(path, 0o600);
  // Last: whose it is tells that it is whole.
  chownSync(path, owner, owner);
}

function remountDev(more: number): void {
  mount(null, "/dev", null, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NOEXEC | more);
}
