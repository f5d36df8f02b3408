/** The guarantees, each a check with packets. They throw Unmet, which is a cell that says no. */
import { readFileSync } from "node:fs";
import type { Ip } from "../../../src/base/ip.ts";
import { inNetns } from "../../../src/linux/netns.ts";
import { eventually } from "../netns.ts";
import type { Told } from "./clients.ts";
import { resolveName } from "./dns.ts";
import { type Bench, type Guest, type Machine, NAMES, outsideIp, PORTS } from "./machine.ts";
import { type Family, HOST_NETNS, KNOWN_NAME, NEIGHBOUR_PORT } from "./segments.ts";
import { ask, listen, type Protocol, transfer } from "./sockets.ts";
import { Findings, Unmet } from "./verdict.ts";

const OPEN_MS = 6000;
/** Of several. */
const ATTEMPT_MS = 2000;
const PATIENCE_MS = 10_000;
/** How long nothing may come, where nothing is to come. */
const CLOSED_MS = 700;
const TRANSFER_MS = 20_000;
const TRANSFER_BYTES = 2 << 20;
/** IPv4 or IPv6 and ICMP echo; IP and TCP. */
const HEADERS = { v4: { echo: 28, tcp: 40 }, v6: { echo: 48, tcp: 60 } } as const;
/** TCP's options are taken off the segment, and passt rounds it down to pages. */
const NEARLY_FULL = 0.9;
const PAGE = 4096;
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
        answer,
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
  const findings = new Findings();
  await each(machine.segment.families, async (family) => {
    const ip = outsideIp(machine, guest, family);
    await checkDeclared(machine, family, ip, findings);
    await each(protocols, (protocol) => checkUndeclared(machine, { family, ip, protocol }, findings));
  });
  findings.conclude();
}

async function checkDeclared(
  { segment }: Machine,
  family: Family,
  ip: Ip,
  findings: Findings,
): Promise<void> {
  const askers = [
    { netns: segment.neighbour.path, asker: segment.neighbourIp[family], whom: "neighbours" },
    { netns: HOST_NETNS, asker: segment.router[family], whom: "the host" },
  ];
  const attempts = askers.flatMap((one) => protocols.map((protocol) => ({ ...one, protocol })));
  const answers = await Promise.all(
    attempts.map(async ({ netns, asker, whom, protocol }) => {
      const answer = await ask(netns, ip, protocol, PORTS[protocol], OPEN_MS);
      return { answer, right: answer === `guest ${asker}`, what: `${protocol.toUpperCase()} from ${whom}` };
    }),
  );
  const label = NAMES[family];
  const silent = answers.every(({ answer }) => !answer.startsWith("guest"));
  if (silent) findings.expect(false, `${label} does not come in`);
  else
    for (const { answer, right, what } of answers)
      findings.expect(right, `${label} ${what}: ${kindOf(answer)}`, answer);
}

async function checkUndeclared(
  { segment, binding }: Machine,
  { family, ip, protocol }: { readonly family: Family; readonly ip: Ip; readonly protocol: Protocol },
  findings: Findings,
): Promise<void> {
  const restricts = binding.traits.ports === "allow-list";
  const patience = restricts ? CLOSED_MS : OPEN_MS;
  const answer = await ask(segment.neighbour.path, ip, protocol, PORTS.undeclared[protocol], patience);
  const reached = answer.startsWith("guest ");
  const what = `${NAMES[family]} ${protocol.toUpperCase()}`;
  if (restricts) findings.expect(!reached, `an undeclared port is open, ${what}`);
  else findings.expect(reached, `not every port is open, ${what}`, answer);
}

/** @param reached what it was: a guest that nobody could reach before is asked for no more afterwards */
export async function checkStillThere(machine: Machine, guest: Guest, reached: boolean): Promise<void> {
  const findings = new Findings();
  const { families, neighbour, neighbourIp } = machine.segment;
  await each(families, async (family) => {
    const [mine, other] = [outsideIp(machine, guest, family), neighbourIp[family]];
    const label = NAMES[family];
    const outside = () => ask(guest.path, other, "tcp", NEIGHBOUR_PORT, ATTEMPT_MS);
    const out = await inTime(outside, `neighbour ${mine}`);
    findings.expect(out.right, `${label} out afterwards: ${kindOf(out.answer)}`, out.answer);
    if (!reached) return;
    const inside = () => ask(neighbour.path, mine, "tcp", PORTS.tcp, ATTEMPT_MS);
    const back = await inTime(inside, `guest ${other}`);
    findings.expect(back.right, `${label} in afterwards: ${kindOf(back.answer)}`, back.answer);
  });
  findings.conclude();
}

/** A guest that has just come up may still be looking whether its address is somebody else's. */
async function inTime(
  question: () => Promise<string>,
  wanted: string,
): Promise<{ readonly answer: string; readonly right: boolean }> {
  let answer = "";
  const right = await eventually(
    wanted,
    async () => {
      answer = await question();
      return answer === wanted || undefined;
    },
    PATIENCE_MS,
  ).catch(() => false);
  return { answer, right };
}

/**
 * Told to the guest by virtio, DHCP and router advertisements; a packet of this size passes unfragmented, and TCP
 * fills its segments without losing any, both ways.
 */
export async function checkMtu(machine: Machine, guest: Guest, told: Told): Promise<void> {
  const { nic, segment } = machine;
  const { families, neighbourIp } = segment;
  const { mtu } = nic.domain;
  const findings = new Findings();
  findings.expect(mtu === segment.mtu, `the guest has ${mtu}`);
  if (families.includes("v4")) findings.expect(told.mtu === mtu, "not told by DHCP", String(told.mtu));
  if (families.includes("v6")) findings.expect(ipv6Mtu(guest) === mtu, "another for IPv6");
  for (const family of families) {
    const label = NAMES[family];
    const { echo, tcp } = HEADERS[family];
    // Whose pings do not get out at all is another cell's business.
    const small = await pings(guest, neighbourIp[family]);
    const large = small && (await pings(guest, neighbourIp[family], mtu - echo));
    findings.expect(large === small, `no ${label} ping of full size`);
    for (const way of ["out", "in"] as const) {
      const wish = { ip: neighbourIp[family], port: NEIGHBOUR_PORT, bytes: TRANSFER_BYTES, way };
      const done = await transfer(guest.path, wish, TRANSFER_MS).catch(() => undefined);
      findings.expect(done?.bytes === TRANSFER_BYTES, `a large ${label} transfer ${way} does not end`);
      if (done === undefined) continue;
      const [size, full] = [done.segment, mtu - tcp];
      findings.expect(
        size <= full && size >= Math.min(full * NEARLY_FULL, PAGE),
        `${label} segments of ${size} bytes`,
      );
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

async function each<T extends Family | Protocol>(
  all: readonly T[],
  run: (one: T) => Promise<void>,
): Promise<void> {
  await Promise.all(all.map(run));
}
