/** Ordinary DHCP clients in the guest's place; whether it has its addresses is read from its kernel. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Ip } from "../../../src/base/ip.ts";
import { hookScript, startClient } from "../client.ts";
import { udhcpc } from "../namespace-guest.ts";
import { eventually, type TestPod } from "../netns.ts";
import { addressesOf, type Guest, globalAddresses, isOf, type Machine, NAMES, routesIn } from "./machine.ts";
import type { Family } from "./segments.ts";
import { Unmet } from "./verdict.ts";

/** What a guest was told beside its addresses. */
export interface Told {
  readonly nameservers: Readonly<Partial<Record<Family, Ip>>>;
  /** By DHCPv4. */
  readonly mtu?: number;
}

const PATIENCE_MS = 20_000;
const UDHCPC_SCRIPT = join(import.meta.dirname, "../udhcpc-script.sh");

/** udhcpc for IPv4, router advertisements and dhclient for IPv6. */
export async function askUdhcpcAndDhclient(machine: Machine, guest: Guest): Promise<Told> {
  const { families } = machine.segment;
  const [v4, v6] = await Promise.all([
    families.includes("v4") ? udhcpc(guest) : undefined,
    families.includes("v6") ? askDhclient6(machine, guest) : undefined,
  ]);
  if (families.includes("v4") && v4 === undefined) throw new Unmet("udhcpc gets no lease");
  await hasAddresses(machine, guest);
  const dns4 = v4?.["dns"]?.split(" ")[0];
  const dns6 = v6?.split(" ")[0];
  return {
    nameservers: { ...(dns4 && { v4: dns4 as Ip }), ...(dns6 && { v6: dns6 as Ip }) },
    ...(v4?.["mtu"] !== undefined && { mtu: Number(v4["mtu"]) }),
  };
}

/** dhcpcd, both families at once; it stays. */
export async function askDhcpcd(machine: Machine, guest: Guest): Promise<void> {
  const hook = hookScript(guest.scope);
  // Without addresses of its own making where there is no IPv4.
  const options = ["--nobackground", "--noipv4ll", "-f", "/dev/null", "-c", hook];
  startClient(guest.scope, asPod(guest), "dhcpcd", ...options, guest.nic);
  await hasAddresses(machine, guest);
}

/** Clients that have leases. */
export interface Lessees {
  /** @throws Unmet where the servers do not say yes */
  renew(): Promise<void>;
}

/** udhcpc, which stays; and dhclient, which comes back to the lease in its file. */
export async function askLastingClients(machine: Machine, guest: Guest): Promise<Lessees> {
  const { families } = machine.segment;
  const lessees = [
    ...(families.includes("v4") ? [lastingUdhcpc(guest)] : []),
    ...(families.includes("v6") && !isStateless(machine) ? [await lastingDhclient6(machine, guest)] : []),
  ];
  await hasAddresses(machine, guest);
  return {
    renew: async () => {
      await Promise.all(lessees.map((one) => one.renew()));
      await hasAddresses(machine, guest);
    },
  };
}

function lastingUdhcpc(guest: Guest): Lessees {
  const command = ["udhcpc", "-f", "-i", guest.nic, "-s", UDHCPC_SCRIPT];
  const client = startClient(guest.scope, asPod(guest), ...command);
  const leases = (): number => client.output().split("lease:applied=").length - 1;
  return {
    renew: async () => {
      const before = leases();
      // At once, by unicast, as it would after half of the lease.
      client.process.kill("SIGUSR1");
      await orUnmet("the IPv4 lease is not renewed", () => leases() > before || undefined);
    },
  };
}

async function lastingDhclient6(machine: Machine, guest: Guest): Promise<Lessees> {
  const folder = join(machine.stateDir, "..", `${guest.netns}-dhclient`);
  mkdirSync(folder);
  const files = [
    "-6",
    "-lf",
    join(folder, "leases"),
    "-pf",
    join(folder, "pid"),
    "-sf",
    hookScript(guest.scope),
  ];
  const run = async (): Promise<string> => {
    const { code, stderr } = await guest.exec("dhclient", [...files, "-1", "-v", guest.nic]);
    if (code !== 0) throw new Unmet("dhclient gets no IPv6 lease", stderr);
    return stderr;
  };
  await routed(guest, "v6");
  await run();
  return {
    renew: async () => {
      await guest.exec("dhclient", [...files, "-x", guest.nic]);
      const said = await run();
      // Without an answer it would go on with the lease that it has (RFC 8415, 18.2.3).
      if (!/Confirm on .*RCV: Reply/s.test(said)) throw new Unmet("the IPv6 lease is not confirmed", said);
    },
  };
}

/** The nameservers, by DHCPv6 or by router advertisement. */
async function askDhclient6(machine: Machine, guest: Guest): Promise<string> {
  await routed(guest, "v6");
  if (isStateless(machine)) {
    const { stdout } = await guest.exec("rdisc6", ["-1", guest.nic]);
    return /Recursive DNS server *: (\S+)/.exec(stdout)?.[1] ?? "";
  }
  const hook = hookScript(guest.scope);
  const client = startClient(guest.scope, asPod(guest), "dhclient", "-6", "-1", "-sf", hook, guest.nic);
  const bound = await orUnmet("dhclient gets no IPv6 lease", () => client.event("BOUND6"));
  return bound.get("new_dhcp6_name_servers") ?? "";
}

/** The guest makes itself an IPv6 address of the router's prefix; there is no DHCPv6. */
export function isStateless({ nic, segment }: Machine): boolean {
  return segment.addressing === "ipam" && !nic.addresses.guest.some((ip) => isOf(ip, "v6"));
}

/** The addresses that it is to have, and a way out. */
async function hasAddresses({ nic, segment }: Machine, guest: Guest): Promise<void> {
  for (const family of segment.families) {
    const expected = nic.addresses.guest.filter((ip) => isOf(ip, family));
    await orUnmet(`no ${NAMES[family]} address`, () =>
      expected.length > 0
        ? expected.every((ip) => addressesOf(guest.path).includes(ip))
        : globalAddresses(guest).some((ip) => isOf(ip, family)),
    );
    await routed(guest, family);
  }
}

async function routed(guest: Guest, family: Family): Promise<void> {
  const everywhere = family === "v6" ? "::/0" : "0.0.0.0/0";
  await orUnmet(`no ${NAMES[family]} default route`, () =>
    routesIn(guest.path).some(({ destination, link }) => destination === everywhere && link === guest.nic),
  );
}

async function orUnmet<T>(unmet: string, probe: () => T | undefined): Promise<T> {
  return await eventually(unmet, probe, PATIENCE_MS).catch(() => {
    throw new Unmet(unmet);
  });
}

function asPod(guest: Guest): TestPod {
  const run = (): never => {
    throw new Error("use the guest");
  };
  return { name: guest.netns, path: guest.path, run };
}
