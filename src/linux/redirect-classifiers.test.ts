/**
 * The two ways of saying a redirect must say the same: each frame goes through the eBPF program and the u32 filters,
 * both interpreted here as the kernel would. The kernel's own word is in test/netns/tc-redirect.test.ts.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { guestFrames, networkFrames, type Parties } from "../../test/support/frames.ts";
import type { Cidr, Ip } from "../base/ip.ts";
import { type Mac, macToBytes } from "../base/mac.ts";
import type { RedirectPlan } from "../plan/plan.ts";
import { u16, u32 } from "../wire/bytes.ts";
import { assemble, listing } from "../wire/ebpf.ts";
import { redirectProgram } from "./redirect-program.ts";
import { type RedirectRule, redirectRules } from "./redirect-rules.ts";

type Redirect = Pick<RedirectPlan, "local" | "senders" | "intoPeer" | "shortcut">;

const parties: Parties = {
  guest: {
    mac: "0a:58:0a:63:00:02" as Mac,
    v4: "10.99.0.2" as Ip,
    v6: "fd99::2" as Ip,
    linkLocal: "fe80::858:aff:fe63:2" as Ip,
  },
  other: { mac: "0a:58:0a:63:00:03" as Mac, v4: "10.99.0.3" as Ip, v6: "fd99::3" as Ip },
  router: "fe80::1" as Ip,
};
const fromGuest: Redirect = {
  local: [
    { family: 4, udpDestination: 67 },
    { family: 6, udpDestination: 547 },
    { family: 6, icmpType: 133 },
  ],
  senders: {
    mac: parties.guest.mac,
    ipv4: [parties.guest.v4],
    ipv6: [parties.guest.v6],
    routers: [parties.router, "fd99::1" as Ip],
    claims: [parties.guest.v6],
    otherProtocols: false,
  },
};
const toGuest: Redirect = {
  local: [
    { family: 4, udpDestination: 68 },
    { family: 6, udpDestination: 546 },
    { family: 6, icmpType: 134 },
  ],
};
const ofAnyAddress: Redirect = {
  local: [],
  senders: {
    mac: parties.guest.mac,
    ipv4: ["0.0.0.0/0" as Cidr],
    ipv6: ["::/0" as Cidr],
    routers: [],
    otherProtocols: true,
  },
};
const TO = 7;
/** enum bpf_func_id (include/uapi/linux/bpf.h). */
const REDIRECT = 23;
const REDIRECT_PEER = 155;
const BRIDGE_MAC = "02:fd:53:6b:2f:24" as Mac;

for (const [direction, redirect, frames] of [
  ["from the guest", fromGuest, guestFrames(parties)],
  ["to the guest", toGuest, networkFrames(parties)],
] as const) {
  for (const { name, frame, fate } of frames) {
    test(`${direction}, ${name}: ${fate === "passes" ? "redirected" : "left"} by eBPF and u32 alike`, () => {
      assert.equal(byProgram(redirect, frame), fate === "passes", "eBPF");
      assert.equal(byRules(redirect, frame), fate === "passes", "u32");
    });
  }
}

test("a guest of any address is held to its MAC, and is no router and no DHCP server", () => {
  const still = ["spoofed_mac", "spoofed_router", "not_redirected"];
  // Nobody's address but the router's is known, and here not even that.
  const router = ["speaking as the router", "an advertisement of the router's address"];
  for (const { name, frame, fate } of guestFrames(parties)) {
    const passes = !still.includes(fate) || router.includes(name);
    assert.equal(byProgram(ofAnyAddress, frame), passes, `eBPF: ${name}`);
    assert.equal(byRules(ofAnyAddress, frame), passes, `u32: ${name}`);
  }
});

test("whatever is changed in a frame, both judge alike", () => {
  const frames = [...guestFrames(parties), ...networkFrames(parties)].map(({ frame }) => frame);
  const changed = fc
    .tuple(
      fc.constantFrom(...frames),
      fc.array(fc.tuple(fc.nat(59), fc.nat(255)), { minLength: 1, maxLength: 3 }),
    )
    .map(([frame, changes]) => {
      const bytes = frame.slice();
      for (const [at, value] of changes) bytes[at] = value;
      return bytes;
    })
    // What u32 cannot say: UDP behind IPv4 options.
    .filter((frame) => u16(frame, 12) !== 0x0800 || frame[14] === 0x45);
  fc.assert(
    fc.property(changed, fc.constantFrom(fromGuest, toGuest, ofAnyAddress), (frame, redirect) => {
      assert.equal(byProgram(redirect, frame), byRules(redirect, frame));
    }),
    { numRuns: 3000 },
  );
});

test("a shortcut takes of what a redirect takes IP to single stations, without neighbour discovery", () => {
  const frames = [...guestFrames(parties), ...networkFrames(parties)].map(({ frame }) => frame);
  const macs = [parties.guest.mac, BRIDGE_MAC, parties.other.mac, "01:00:5e:00:00:01" as Mac].map(macToBytes);
  const sent = fc.tuple(fc.constantFrom(...frames), fc.constantFrom(...macs)).map(([frame, destination]) => {
    const bytes = frame.slice();
    bytes.set(destination);
    return bytes;
  });
  let taken = 0;
  fc.assert(
    fc.property(sent, (frame) => {
      const isIp = [0x0800, 0x86dd].includes(u16(frame, 12));
      const isDiscovery = u16(frame, 12) === 0x86dd && frame[20] === 58 && isBetween(frame[54], 133, 137);
      const straight = isIp && !isDiscovery && ((frame[0] ?? 0) & 1) === 0;
      const goesTo = (mac: Mac): boolean => macToBytes(mac).every((byte, at) => byte === frame[at]);
      const out = byProgram({ ...fromGuest, shortcut: { except: BRIDGE_MAC } }, frame);
      assert.equal(out, straight && !goesTo(BRIDGE_MAC) && byProgram(fromGuest, frame));
      const into = byProgram({ ...toGuest, shortcut: { to: parties.guest.mac } }, frame);
      assert.equal(into, straight && goesTo(parties.guest.mac) && byProgram(toGuest, frame));
      taken += out || into ? 1 : 0;
    }),
    { numRuns: 3000 },
  );
  assert.ok(taken > 100, "the property is of something");
});

test("only frames to one station enter the other end of a veth; those to groups leave by this end", () => {
  for (const [destination, helper] of [
    [parties.other.mac, REDIRECT_PEER],
    ["ff:ff:ff:ff:ff:ff" as Mac, REDIRECT],
    ["33:33:00:00:00:01" as Mac, REDIRECT],
  ] as const) {
    for (const { frame: given } of guestFrames(parties)) {
      const frame = given.slice();
      frame.set(macToBytes(destination));
      const expected = byProgram(fromGuest, frame) ? helper : undefined;
      assert.equal(helperOf({ ...fromGuest, intoPeer: true }, frame), expected);
    }
  }
});

test("UDP behind IPv4 options: u32 leaves what it cannot judge where senders are named", () => {
  const frame = guestFrames(parties)
    .find(({ name }) => name === "IGMP with router alert")
    ?.frame.slice();
  assert.ok(frame);
  frame[23] = 17;
  assert.equal(byProgram(fromGuest, frame), true);
  assert.equal(byRules(fromGuest, frame), false);
});

test("the programs are as they were reviewed", () => {
  golden("redirect-from-guest.ebpf", listing(redirectProgram(fromGuest, TO)));
  golden("redirect-to-guest.ebpf", listing(redirectProgram(toGuest, TO)));
  const shortcut = { ...fromGuest, intoPeer: true, shortcut: { except: BRIDGE_MAC } } as const;
  golden("shortcut-from-guest.ebpf", listing(redirectProgram(shortcut, TO)));
});

function isBetween(value: number | undefined, first: number, last: number): boolean {
  return value !== undefined && value >= first && value <= last;
}

function byProgram(redirect: Redirect, frame: Uint8Array): boolean {
  return helperOf(redirect, frame) !== undefined;
}

/** Which helper of the kernel is asked to send. Just what the assembler can say (wire/ebpf.ts). */
function helperOf(redirect: Redirect, frame: Uint8Array): number | undefined {
  const code = assemble(redirectProgram(redirect, TO));
  const view = new DataView(code.buffer);
  const registers = new Array<number>(11).fill(0);
  const stack = new Map<number, number>();
  const read = (size: number, at: number): number | undefined => {
    if (at + size > frame.length) return undefined;
    return size === 4 ? u32(frame, at) : size === 2 ? u16(frame, at) : frame[at];
  };
  let helper: number | undefined;
  for (let pc = 0, steps = 0; ; pc++, steps++) {
    assert.ok(steps < 10_000, "the program does not end");
    const at = pc * 8;
    const opcode = view.getUint8(at);
    const destination = view.getUint8(at + 1) & 0xf;
    const source = view.getUint8(at + 1) >> 4;
    const offset = view.getInt16(at + 2, true);
    const immediate = view.getInt32(at + 4, true);
    const own = registers[destination] ?? 0;
    const other = registers[source] ?? 0;
    const load = (size: number, from: number): boolean => {
      const value = read(size, from);
      registers.fill(0, 1, 6);
      registers[0] = value ?? 0;
      return value === undefined;
    };
    switch (opcode) {
      case 0x20:
      case 0x28:
      case 0x30:
        if (load({ 32: 4, 40: 2, 48: 1 }[opcode], immediate)) return undefined;
        break;
      case 0x40:
      case 0x48:
      case 0x50:
        if (load({ 64: 4, 72: 2, 80: 1 }[opcode], other + immediate)) return undefined;
        break;
      case 0x61:
        // Beside the stack there is the context, of which only "has a VLAN tag" is asked.
        registers[destination] = source === 10 ? (stack.get(offset) ?? 0) : 0;
        break;
      case 0x63:
        stack.set(offset, other);
        break;
      case 0xbf:
        registers[destination] = other;
        break;
      case 0xb7:
        registers[destination] = immediate;
        break;
      case 0x54:
        registers[destination] = (own & immediate) >>> 0;
        break;
      case 0x64:
        registers[destination] = (own << immediate) >>> 0;
        break;
      case 0x05:
        pc += offset;
        break;
      case 0x16:
        if (own >>> 0 === immediate >>> 0) pc += offset;
        break;
      case 0x56:
        if (own >>> 0 !== immediate >>> 0) pc += offset;
        break;
      case 0x46:
        if ((own & immediate) !== 0) pc += offset;
        break;
      case 0x85:
        assert.deepEqual([registers[1], registers[2]], [TO, 0]);
        helper = immediate;
        break;
      case 0x95:
        return helper;
      default:
        assert.fail(`opcode ${opcode.toString(16)}`);
    }
  }
}

/** As cls_u32 does: by priority, which is by protocol here, in the order they were added. */
function byRules(redirect: Redirect, frame: Uint8Array): boolean {
  const protocol = u16(frame, 12);
  const matches = ({ keys }: RedirectRule): boolean =>
    keys.every(({ at, mask, value }) => {
      const from = 14 + at;
      // Beyond the end there is no match, be it only for bytes that the mask leaves out.
      if (from + 4 > frame.length) return false;
      return (u32(frame, from) & mask) >>> 0 === value;
    });
  const rules = redirectRules(redirect);
  const own = rules.filter((rule) => rule.protocol === protocol);
  const rest = rules.filter((rule) => rule.protocol === 3);
  return [...own, ...rest].find(matches)?.redirect ?? false;
}

function golden(file: string, actual: string): void {
  const url = new URL(`../../test/golden/tc-redirect/${file}`, import.meta.url);
  if (process.env["PODTAP_UPDATE_GOLDEN"]) writeFileSync(url, actual);
  assert.equal(actual, readFileSync(url, "utf8"));
}
