/** What `bench dhcp` measures on: a pod's bridge, a veth pair to a guest, and the server process behind the bridge. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import type { Cidr, Ip } from "../src/base/ip.ts";
import { BRIDGE_MAC } from "../src/base/mac.ts";
import type { GuestService } from "../src/guest/config.ts";
import { createNetns, deleteNetns } from "../src/linux/netns.ts";
import { openPacketSocket } from "../src/linux/packet-socket.ts";
import type { ServerOrder, ServerWord } from "./dhcp-server.ts";

export const GUEST_LINK = "eth0";
const BRIDGE = "k6t-eth0";

export const SERVICE: GuestService = {
  type: "dhcp4",
  link: BRIDGE,
  config: {
    serverMac: BRIDGE_MAC,
    serverIp: "10.0.2.1" as Ip,
    lease: "10.0.2.2/24" as Cidr,
    leaseSeconds: 86_313_600,
    router: "10.0.2.1" as Ip,
    nameservers: ["10.0.2.3" as Ip],
    searchDomains: ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"],
    hostname: "bench",
    mtu: 1500,
    routes: [],
    ntpServers: [],
    privateOptions: [],
  },
};

export interface BenchDoor {
  readonly guestNetns: string;
  /** Figures of the server since the last call. */
  report(): Promise<Extract<ServerWord, { report: unknown }>["report"]>;
  close(): Promise<void>;
}

export async function openBenchDoor(): Promise<BenchDoor> {
  const pod = `/run/netns/ptb-${process.pid}-door`;
  const guest = `/run/netns/ptb-${process.pid}-guest`;
  const undo: (() => void)[] = [];
  try {
    for (const path of [pod, guest]) {
      createNetns(path);
      undo.push(() => deleteNetns(path));
    }
    connect(basename(pod), basename(guest));
    const fd = openPacketSocket(pod);
    undo.push(() => closeSync(fd));
    const server = startServer(fd);
    undo.push(() => server.disconnect());
    await order(server, { serve: [SERVICE] });
    return {
      guestNetns: guest,
      async report() {
        const word = await order(server, { report: true });
        if (!("report" in word)) throw new Error("the server answered something else");
        return word.report;
      },
      async close() {
        const ended = once(server, "exit");
        for (const step of undo.toReversed()) step();
        await ended;
      },
    };
  } catch (thrown) {
    for (const step of undo.toReversed()) step();
    throw thrown;
  }
}

function connect(pod: string, guest: string): void {
  const ip = (...args: readonly string[]) =>
    execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });
  ip("-n", pod, "link", "add", "tap0", "type", "veth", "peer", "name", GUEST_LINK, "netns", guest);
  ip("-n", pod, "link", "add", BRIDGE, "address", BRIDGE_MAC, "type", "bridge", "mcast_snooping", "0");
  ip("-n", pod, "link", "set", "tap0", "master", BRIDGE);
  ip("-n", pod, "address", "add", "10.0.2.1/24", "dev", BRIDGE);
  for (const link of ["tap0", BRIDGE]) ip("-n", pod, "link", "set", link, "up");
  ip("-n", guest, "link", "set", GUEST_LINK, "up");
}

/** As the launcher runs: nobody's rights. */
function startServer(fd: number): ChildProcess {
  const bundled = !import.meta.url.endsWith(".ts");
  const entry = fileURLToPath(
    new URL(bundled ? "./dhcp-bench-server.js" : "./dhcp-server.ts", import.meta.url),
  );
  const rights = ["--reuid=107", "--regid=107", "--clear-groups", "--bounding-set=-all", "--no-new-privs"];
  return spawn("setpriv", [...rights, process.execPath, "--disable-warning=ExperimentalWarning", entry], {
    stdio: ["ignore", "inherit", "inherit", fd, "ipc"],
  });
}

async function order(server: ChildProcess, words: ServerOrder): Promise<ServerWord> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null) => reject(new Error(`the DHCP server process ended with ${code}`));
    const onWord = (word: ServerWord) => {
      if ("lease" in word) return;
      server.off("exit", onExit);
      server.off("message", onWord);
      resolve(word);
    };
    server.once("exit", onExit);
    server.on("message", onWord);
    server.send(words);
  });
}
