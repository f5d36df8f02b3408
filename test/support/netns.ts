/**
 * Harness of tests that need real network namespaces. Each test makes its own, under /run/netns so that `ip netns
 * exec` finds them, and leaves nothing behind. Works on the host and in a private network and mount namespace.
 */
import { execFileSync } from "node:child_process";
import type { TestContext } from "node:test";
import { createNetns, deleteNetns } from "../../src/linux/netns.ts";

export { type Need, requires } from "./requires.ts";

export interface TestPod {
  /** As `ip netns` knows it. */
  readonly name: string;
  readonly path: string;
  /** Runs a program inside; its standard output. */
  run(...command: readonly [string, ...string[]]): string;
}

let made = 0;

/** A fresh namespace with lo up, deleted when the test is over. */
export function testPod(t: Pick<TestContext, "after">, label = "pod"): TestPod {
  made += 1;
  const name = `pt-${process.pid}-${made}-${label}`;
  const path = `/run/netns/${name}`;
  createNetns(path);
  t.after(() => deleteNetns(path));
  return { name, path, run: (...command) => inPod(name, command) };
}

/** Runs a program in a namespace; throws with its words when it fails. */
export function inPod(name: string, [program, ...args]: readonly [string, ...string[]]): string {
  return run("ip", "netns", "exec", name, program, ...args);
}

/**
 * Two namespaces joined by a veth pair: `link` in `pod`, `peerLink` in `peer`; addresses as `ip address add` takes
 * them. What CNI does, in short.
 */
export interface Cable {
  readonly pod: TestPod;
  readonly link: string;
  readonly addresses?: readonly string[];
  readonly peer: TestPod;
  readonly peerLink: string;
  readonly peerAddresses?: readonly string[];
  readonly mtu?: number;
}

export function connect(cable: Cable): void {
  const { pod, link, peer, peerLink, mtu = 1500 } = cable;
  const size = ["mtu", String(mtu)];
  run(
    "ip",
    "-n",
    pod.name,
    "link",
    "add",
    link,
    ...size,
    "type",
    "veth",
    "peer",
    "name",
    peerLink,
    ...size,
    "netns",
    peer.name,
  );
  for (const [end, name, addresses] of [
    [pod, link, cable.addresses],
    [peer, peerLink, cable.peerAddresses],
  ] as const) {
    for (const address of addresses ?? []) {
      const quiet = address.includes(":") ? ["nodad"] : [];
      run("ip", "-n", end.name, "address", "add", address, "dev", name, ...quiet);
    }
    run("ip", "-n", end.name, "link", "set", name, "up");
  }
}

/** How much longer to wait than on a real machine; the outer guest is an emulated one. */
const PATIENCE = Number(process.env["PODTAP_TEST_PATIENCE"] ?? 1);

/** Polls for a condition; the last reason it was not met is in the error. */
export async function eventually<T>(
  what: string,
  probe: () => T | undefined | Promise<T | undefined>,
  milliseconds = 5000,
): Promise<T> {
  const deadline = performance.now() + milliseconds * PATIENCE;
  let reason = "";
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
    } catch (thrown) {
      reason = `: ${String(thrown)}`;
    }
    if (performance.now() > deadline)
      throw new Error(`${what}: not within ${milliseconds * PATIENCE} ms${reason}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function run(program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}
