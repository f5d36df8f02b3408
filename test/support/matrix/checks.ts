/** The guarantees, each a check with packets. They throw Unmet, which is a cell that says no. */
import { readFileSync } from "node:fs";
import type { Ip } from "../../../src/base/ip.ts";
import { inNetns } from "../../../src/linux/netns.ts";
import type { Client } from "../client.ts";
import { eventually } from "../netns.ts";
import type { Told } from "./clients.ts";
import { resolveName } from "./dns.ts";
import { type Bench, type Guest, type Machine, NAMES, outsideIp, PORTS } from "./machine.ts";
import { type Family, HOST_NETNS, KNOWN_NAME, NEIGHBOUR_PORT } from "./segments.ts";
import { ask, listen, transfer } from "./sockets.ts";
import { Findings, Unmet } from "./verdict.ts";

const OPEN_MS = 6000;
/** How long nothing may come, where nothing is to come. */
const CLOSED_MS = 700;
const RENEWAL_MS = 20_000;
const REMINDER_MS = 3000;
const TRANSFER_MS = 20_000;
const TRANSFER_BYTES = 4 << 20;
/** IPv4 or IPv6 and ICMP echo; IP and TCP. */
const HEADERS = { v4: { echo: 28, tcp: 40 }, v6: { echo: 48, tcp: 60 } } as const;
/** TCP's timestamps (RFC 7323) are taken off the segment. */
const TCP_OPTIONS = 12;
const protocols = ["tcp", "udp"] as const;

/** Servers in the guest: what is declared, and what is not. */
export function serveInGuest(guest: Guest): void {
  for (const protocol of protocols) {
    for (const port of [PORTS[protocol], PORTS.undeclared[protocol]]) {
      guest.scope.after(listen(guest.path, "guest", protocol, port));
    }
  }
}

/** TCP, UDP, ICMP and DNS, seen outside under the address by which others know the guest. */
export async function checkOut(machine: Machine, guest: Guest, told: Told): Promise<void> {
  const { families, neighbourIp } = machine.segment;
  const findings = new Findings();
  await each(families, async (family) => {
    const label = NAMES[family];
    const mine = outsideIp(machine, guest, family);
    for (const protocol of protocols) {
      const answer = await ask(guest.path, neighbourIp[family], protocol, NEIGHBOUR_PORT, OPEN_MS);
      findings.expect(
        answer === `neighbour ${mine}`,
        `${label} ${protocol.toUpperCase()} out: ${kindOf(answer)}`,
      );
    }
    findings.expect(await pings(guest, neighbourIp[family]), `${label} ICMP does not get out`);
    const server = told.nameservers[family];
    const found = server && (await resolveName(guest.path, server, KNOWN_NAME.name, OPEN_MS));
    findings.expect(found?.includes(KNOWN_NAME.ip) === true, `no DNS over ${label}`);
  });
  findings.conclude();
}

/** What is declared is open to neighbours and to the host; the rest is closed where `ports` is a list of what is allowed. */
export async function checkReached(machine: Machine, guest: Guest): Promise<void> {
  const { segment, binding } = machine;
  const findings = new Findings();
  const restricts = binding.traits.ports === "allow-list";
  await each(segment.families, async (family) => {
    const ip = outsideIp(machine, guest, family);
    const label = NAMES[family];
    const near = { netns: segment.neighbour.path, ip: segment.neighbourIp[family], whom: "neighbours" };
    const host = { netns: HOST_NETNS, ip: segment.router[family], whom: "the host" };
    await each(protocols, async (protocol) => {
      for (const { netns, ip: asker, whom } of [near, host]) {
        const answer = await ask(netns, ip, protocol, PORTS[protocol], OPEN_MS);
        const what = `${label} ${protocol.toUpperCase()} from ${whom}`;
        findings.expect(answer === `guest ${asker}`, `${what}: ${kindOf(answer)}`);
      }
      const other = await ask(
        near.netns,
        ip,
        protocol,
        PORTS.undeclared[protocol],
        restricts ? CLOSED_MS : OPEN_MS,
      );
      const reached = other.startsWith("guest ");
      const what = `${label} ${protocol.toUpperCase()}`;
      if (restricts) findings.expect(!reached, `an undeclared port is reached by ${what}`);
      else findings.expect(reached, `not every port is reached by ${what}: ${kindOf(other)}`);
    });
  });
  findings.conclude();
}

/** Reached again, and no more than that. */
export async function checkStillReached(machine: Machine, guest: Guest): Promise<void> {
  const findings = new Findings();
  const { families, neighbour, neighbourIp } = machine.segment;
  await each(families, async (family) => {
    const answer = await ask(neighbour.path, outsideIp(machine, guest, family), "tcp", PORTS.tcp, OPEN_MS);
    findings.expect(
      answer === `guest ${neighbourIp[family]}`,
      `${NAMES[family]} afterwards: ${kindOf(answer)}`,
    );
  });
  findings.conclude();
}

/**
 * Told to the guest by virtio, DHCP and router advertisements; a packet of this size passes unfragmented, and TCP
 * fills its segments without losing any, both ways.
 */
export async function checkMtu(machine: Machine, guest: Guest, told: Told): Promise<void> {
  const { nic, segment } = machine;
  const { mtu, families, neighbourIp } = segment;
  const findings = new Findings();
  const expect = (holds: boolean, otherwise: string): void =>
    findings.expect(holds, `MTU ${mtu}: ${otherwise}`);
  expect(nic.domain.mtu === mtu, "virtio tells another");
  if (families.includes("v4")) expect(told.mtu === mtu, "DHCP tells another, or none");
  if (families.includes("v6")) expect(ipv6Mtu(guest) === mtu, "IPv6 has another");
  for (const family of families) {
    const label = NAMES[family];
    const { echo, tcp } = HEADERS[family];
    expect(await pings(guest, neighbourIp[family], mtu - echo), `no ${label} ping of full size`);
    for (const way of ["out", "in"] as const) {
      const wish = { ip: neighbourIp[family], port: NEIGHBOUR_PORT, bytes: TRANSFER_BYTES, way };
      const done = await transfer(guest.path, wish, TRANSFER_MS).catch(() => undefined);
      expect(done?.bytes === TRANSFER_BYTES, `a large ${label} transfer ${way} does not end`);
      const full = mtu - tcp;
      const fits = done !== undefined && done.segment <= full && done.segment >= full - TCP_OPTIONS;
      expect(done === undefined || fits, `${label} segments of ${done?.segment} bytes`);
    }
  }
  findings.conclude();
}

/** Phase 1 again finds nothing to do. */
export async function checkNothingToDo(bench: Bench, { pod, stateDir, input }: Machine): Promise<void> {
  const outcome = await bench.engine().call("preview", { netns: pod.path, stateDir, input });
  const steps = "steps" in outcome ? outcome.steps : outcome.problems.map(({ message }) => message);
  if (steps.length > 0) throw new Unmet("something would be done again", steps.join(", "));
}

/** A client that has its leases asks for more of them, and gets it. */
export async function checkRenewal({ segment }: Machine, client: Client): Promise<void> {
  const events = { v4: ["RENEW", "REBIND"], v6: ["RENEW6", "REBIND6", "REBOOT6"] } as const;
  // What dhcpcd does by itself when its lease grows old. Busy with something else, it may not notice the signal.
  const rebind = setInterval(() => client.process.kill("SIGHUP"), REMINDER_MS);
  client.process.kill("SIGHUP");
  try {
    for (const family of segment.families) {
      const answered = () => events[family].some((event) => client.event(event)) || undefined;
      await eventually("renewed", answered, RENEWAL_MS).catch(() => {
        throw new Unmet(`${NAMES[family]} is not renewed`);
      });
    }
  } finally {
    clearInterval(rebind);
  }
}

async function pings(guest: Guest, ip: Ip, size = 56): Promise<boolean> {
  // The second attempt is for a neighbour that was not known yet.
  const { code } = await guest.exec("ping", ["-c1", "-w4", "-W2", "-Mdo", "-s", String(size), ip]);
  return code === 0;
}

/** What the kernel takes it for, which a router advertisement may lower. */
function ipv6Mtu({ path, nic }: Guest): number {
  return Number(inNetns(path, () => readFileSync(`/proc/sys/net/ipv6/conf/${nic}/mtu`, "utf8")));
}

/** The same words in every run: addresses differ. */
function kindOf(answer: string): string {
  const [who = "", ip] = answer.split(" ");
  return ip === undefined ? who : `${who} sees another address`;
}

async function each<T extends Family | (typeof protocols)[number]>(
  all: readonly T[],
  run: (one: T) => Promise<void>,
): Promise<void> {
  await Promise.all(all.map(run));
}
