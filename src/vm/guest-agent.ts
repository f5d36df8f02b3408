/**
 * What the guest agent says about the guest: addresses and operating system. The answers are a guest's, so they are
 * read field by field, cut to size, and never trusted for more than display.
 *
 * Asked when the agent connects and when a lease was taken, then ever more rarely: a guest's addresses settle soon
 * after its boot (KubeVirt: 10 s doubling to 120 s, `pkg/virt-launcher/virtwrap/agent-poller`; a local VM is
 * watched more closely at first).
 */
import { parseIp } from "../base/ip.ts";
import { parseMac } from "../base/mac.ts";
import type { AgentInterface } from "./launch-spec.ts";

const FIRST_DELAY_MS = 500;
const LAST_DELAY_MS = 120_000;
/** From the answer of the DHCP server to the address on the guest's NIC. */
const SETTLE_MS = 250;
const TIMEOUT_SECONDS = 5;
const MAX_INTERFACES = 64;
const MAX_ADDRESSES = 64;
const MAX_TEXT = 256;

export interface AgentFacts {
  readonly interfaces: readonly AgentInterface[];
  readonly osInfo?: Readonly<Record<string, string>>;
}

export interface AgentPoller {
  connected(): void;
  disconnected(): void;
  /** Something changed in the guest that only the agent can tell. */
  nudge(): void;
  stop(): void;
}

export function pollAgent(
  ask: (command: object, timeoutSeconds: number) => Promise<unknown>,
  changed: (facts: AgentFacts) => void,
): AgentPoller {
  let timer: NodeJS.Timeout | undefined;
  let delay = FIRST_DELAY_MS;
  let on = false;
  let last = "";
  let osInfo: Readonly<Record<string, string>> | undefined;

  const schedule = (milliseconds: number) => {
    clearTimeout(timer);
    timer = setTimeout(() => void round(), milliseconds);
  };
  const round = async () => {
    try {
      const interfaces = readInterfaces(
        await ask({ execute: "guest-network-get-interfaces" }, TIMEOUT_SECONDS),
      );
      osInfo ??= readOsInfo(await ask({ execute: "guest-get-osinfo" }, TIMEOUT_SECONDS));
      const facts = { interfaces, ...(osInfo === undefined ? {} : { osInfo }) };
      const text = JSON.stringify(facts);
      if (on && text !== last) {
        last = text;
        changed(facts);
      }
    } catch {
      // An agent that is starting, busy or gone: the next round, or its disconnection, tells.
    }
    if (!on) return;
    schedule(delay);
    delay = Math.min(delay * 2, LAST_DELAY_MS);
  };
  return {
    connected() {
      if (on) return;
      on = true;
      delay = FIRST_DELAY_MS;
      schedule(0);
    },
    disconnected() {
      on = false;
      clearTimeout(timer);
    },
    nudge() {
      if (!on) return;
      delay = FIRST_DELAY_MS;
      schedule(SETTLE_MS);
    },
    stop() {
      on = false;
      clearTimeout(timer);
    },
  };
}

/** `guest-network-get-interfaces`; the loopback is left out. */
export function readInterfaces(answer: unknown): AgentInterface[] {
  return list(field(answer, "return"), MAX_INTERFACES).flatMap((entry) => {
    const name = text(field(entry, "name"));
    if (name === undefined || name === "lo") return [];
    const mac = parseMac(text(field(entry, "hardware-address")) ?? "");
    const ips = list(field(entry, "ip-addresses"), MAX_ADDRESSES).flatMap((address) => {
      const ip = parseIp(text(field(address, "ip-address")) ?? "");
      return ip === undefined ? [] : [ip];
    });
    return [{ name, ...(mac === undefined ? {} : { mac }), ips }];
  });
}

/** `guest-get-osinfo`: KubeVirt's names in `status.guestOSInfo` from QEMU's. */
const OS_FIELDS = {
  name: "name",
  "kernel-release": "kernelRelease",
  version: "version",
  "pretty-name": "prettyName",
  "version-id": "versionId",
  "kernel-version": "kernelVersion",
  machine: "machine",
  id: "id",
} as const;

export function readOsInfo(answer: unknown): Readonly<Record<string, string>> | undefined {
  const values = field(answer, "return");
  if (values === undefined) return undefined;
  return Object.fromEntries(
    Object.entries(OS_FIELDS).flatMap(([theirs, ours]) => {
      const value = text(field(values, theirs));
      return value === undefined ? [] : [[ours, value]];
    }),
  );
}

function field(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Record<string, unknown>)[name];
}

function list(value: unknown, max: number): readonly unknown[] {
  return Array.isArray(value) ? value.slice(0, max) : [];
}

/** Printable text only: it ends on people's terminals. */
function text(value: unknown): string | undefined {
  return typeof value === "string"
    ? value.slice(0, MAX_TEXT).replace(/[^\u0020-\u007e\u00a0-\uffff]/g, "")
    : undefined;
}
