/**
 * `podtap.io/port-security`, with packets: what a level lifts and what it keeps, frame by frame and for the guests
 * that need it, a router and one with a virtual MAC.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { InterfaceSpec, Vmi } from "../../src/api/types.ts";
import { previewPod } from "../../src/apply/wire-pod.ts";
import type { Ip } from "../../src/base/ip.ts";
import type { Mac } from "../../src/base/mac.ts";
import { registry } from "../../src/bindings/index.ts";
import { hostFeatures } from "../../src/linux/features.ts";
import type { Classifier } from "../../src/plan/plan.ts";
import { vmi } from "../support/builders.ts";
import { type FrameCase, guestFrames } from "../support/frames.ts";
import { frameSocket, judgeFrames } from "../support/judge-frames.ts";
import { eventually, requires } from "../support/netns.ts";
import { OTHER, POD, type PodOptions, type WiredPod, wiredPod } from "../support/wired-pod.ts";

const NEEDS = requires("root", "nft");
const CLASSIFIERS = NEEDS.skip === false ? hostFeatures().classifiers : [];

interface Way {
  readonly name: string;
  readonly spelling: Partial<InterfaceSpec>;
  readonly classifier?: Classifier;
}

const BRIDGE: Way = { name: "bridge", spelling: { bridge: {} } };
const MANAGED_TAP: Way = { name: "managed-tap", spelling: { binding: { name: "managed-tap" } } };
const REDIRECTS = CLASSIFIERS.map(
  (classifier): Way => ({
    name: `tc-redirect by ${classifier}`,
    spelling: { binding: { name: "tc-redirect" } },
    classifier,
  }),
);
/** Where nothing goes past the bridge. */
const BARE_BRIDGE: Way = { ...BRIDGE, name: "bridge without eBPF", classifier: "u32" };
const WAYS = [BRIDGE, BARE_BRIDGE, MANAGED_TAP, ...REDIRECTS];
/** What nobody may who is held to its MAC alone. */
const SERVERS =
  /^a (redirect|DHCP offer|DHCPv6 advertisement|router advertisement( behind.*| in a fragment)?)$/;
const VIRTUAL_MAC = "00:00:5e:00:01:07";
const SHARED = { v4: "10.99.0.200", v6: "fd99::200" } as const;
const BEHIND = { v4: "198.51.100.1", v6: "2001:db8:7::1" } as const;

for (const way of WAYS) {
  for (const level of ["mac", "off"] as const) {
    test(
      `${way.name}, ${level}: each frame that the level lifts passes, each other one is dropped`,
      NEEDS,
      async (t) => {
        const it = await place(t, way, level);
        const fates = (await framesOf(it)).map((one) => ({ ...one, fate: fateAt(level, one, it) }));
        assert.ok(fates.some(({ name, fate }) => name === "another IPv6 address" && fate === "passes"));
        await judged(t, it, fates);
        assert.deepEqual(drift(it), []);
      },
    );
  }

  test(
    `${way.name}, mac: a guest forwards for others, and has an address that it shares`,
    NEEDS,
    async (t) => {
      const it = await place(t, way, "mac");
      await addressed(it);
      for (const family of ["v4", "v6"] as const) {
        const whole = family === "v4" ? 32 : 128;
        const quiet = family === "v4" ? [] : ["nodad"];
        await it.guest.read("ip", "address", "add", `${BEHIND[family]}/${whole}`, "dev", "lo", ...quiet);
        await it.guest.read("ip", "address", "add", `${SHARED[family]}/${whole}`, "dev", "eth0", ...quiet);
        it.neighbour.run("ip", "route", "add", `${BEHIND[family]}/${whole}`, "via", POD[family]);
        it.neighbour.run("ping", "-c1", "-W2", BEHIND[family]);
        it.neighbour.run("ping", "-c1", "-W2", SHARED[family]);
      }
    },
  );

  test(`${way.name}, off: a guest speaks and is spoken to under a virtual MAC`, NEEDS, async (t) => {
    const it = await place(t, way, "off");
    const own = ["link", "eth0", "address", VIRTUAL_MAC, "type", "macvlan", "mode", "bridge"];
    await it.guest.read("ip", "link", "add", "vrrp", ...own);
    await it.guest.read("ip", "link", "set", "vrrp", "up");
    // Linux answers for all of its addresses on every link otherwise.
    await it.guest.read("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1");
    for (const family of ["v4", "v6"] as const) {
      const cidr = `${SHARED[family]}/${family === "v4" ? 24 : 64}`;
      const quiet = family === "v4" ? [] : ["nodad"];
      await it.guest.read("ip", "address", "add", cidr, "dev", "vrrp", ...quiet);
      it.neighbour.run("ping", "-c1", "-W2", SHARED[family]);
      assert.match(it.neighbour.run("ip", "neigh", "show", SHARED[family]), new RegExp(VIRTUAL_MAC));
    }
  });
}

for (const [level, serves] of [
  ["mac", false],
  ["off", true],
] as const) {
  const needs = requires("root", "nft", "dnsmasq", "udhcpc");
  const what = serves ? "is its network's DHCP server and router" : "is neither DHCP server nor router";
  test(`a network without IPAM, ${level}: a guest ${what}`, needs, async (t) => {
    const it = await place(t, BRIDGE, level, { stack: "none" });
    await it.guest.read("ip", "address", "add", "10.99.0.254/24", "dev", "eth0");
    await it.guest.read("ip", "address", "add", "fd99::fe/64", "dev", "eth0", "nodad");
    const range = ["--dhcp-range=10.99.0.100,10.99.0.120", "--dhcp-range=fd99::,ra-stateless,64"];
    const own = ["--conf-file=/dev/null", "--port=0", "--leasefile-ro", "--no-ping", "--pid-file="];
    it.guest.start("dnsmasq", ["--keep-in-foreground", "--enable-ra", ...own, ...range]);
    const isUp = async () => (await it.guest.read("ss", "-Hlun", "sport = :67")) !== "";
    await eventually("dnsmasq listens", isUp);
    const client = ["-f", "-n", "-q", "-t", "3", "-T", "1", "-i", "eth0", "-s", "/bin/true"] as const;
    const asks = (): string => it.neighbour.run("udhcpc", ...client);
    if (serves) asks();
    else assert.throws(asks, /no lease/);
    const advertised = () => it.neighbour.run("ip", "-6", "route", "show", "default", "proto", "ra") !== "";
    if (serves) await eventually("the neighbour has a router", advertised, 15_000);
    else await eventually("both are counted", () => it.counter("spoofed_router") >= 2, 15_000);
    assert.equal(advertised(), serves);
  });
}

test("the level of one NIC is not that of another", NEEDS, async (t) => {
  const it = await place(t, BRIDGE, "strict, lan=off");
  assert.ok((await framesOf(it)).some(({ fate }) => fate === "spoofed_ipv4"));
  const notes = it.nic.notes.filter((note) => note.includes("port security"));
  assert.deepEqual(notes, []);
  await judged(
    t,
    it,
    (await framesOf(it)).filter(({ fate }) => fate === "spoofed_ipv4" || fate === "spoofed_mac"),
  );
});

function place(
  t: TestContext,
  { spelling, classifier }: Way,
  level: string,
  options: PodOptions = {},
): Promise<WiredPod> {
  const interfaces = [{ name: "default", ...spelling }] as InterfaceSpec[];
  const spec: Vmi["spec"] = { domain: { devices: { interfaces } }, networks: [{ name: "default", pod: {} }] };
  const annotations = { "podtap.io/port-security": level };
  const features = classifier && { features: { classifiers: [classifier] } };
  return wiredPod(t, vmi({ annotations, spec }), { ...options, ...features });
}

async function addressed({ guest }: WiredPod): Promise<void> {
  await guest.read("ip", "address", "add", `${POD.v4}/24`, "dev", "eth0");
  await guest.read("ip", "address", "add", `${POD.v6}/64`, "dev", "eth0", "nodad");
}

async function framesOf(it: WiredPod): Promise<readonly FrameCase[]> {
  const links = await it.guest.read("ip", "-6", "address", "show", "dev", "eth0", "scope", "link");
  const linkLocal = (text: string): Ip => (/inet6 (fe80:\S+)\/64/.exec(text)?.[1] ?? "") as Ip;
  return guestFrames({
    guest: { mac: it.nic.mac, v4: POD.v4 as Ip, v6: POD.v6 as Ip, linkLocal: linkLocal(links) },
    other: {
      mac: it.neighbour.run("cat", "/sys/class/net/eth0/address").trim() as Mac,
      v4: OTHER.v4 as Ip,
      v6: OTHER.v6 as Ip,
    },
    router: linkLocal(it.host.run("ip", "-6", "address", "show", "dev", "br0")),
  });
}

/** What becomes of a frame where port security is not strict. */
function fateAt(level: "mac" | "off", { name, fate }: FrameCase, it: WiredPod): string {
  // podtap's own servers go on answering, where it has any.
  if (fate === "asked_inside") return it.nic.services.length > 0 ? fate : "passes";
  if (level === "off") return "passes";
  if (fate === "spoofed_mac" || fate === "not_redirected" || SERVERS.test(name)) return fate;
  return "passes";
}

async function judged(t: TestContext, it: WiredPod, frames: readonly FrameCase[]): Promise<void> {
  const from = frameSocket(t, it.guest.netns, it.guest.nic);
  await judgeFrames(it, frames, from, frameSocket(t, it.neighbour.name, "eth0"));
}

function drift(it: WiredPod): readonly unknown[] {
  const preview = previewPod(it.kernel, it.input, it.files, registry);
  assert.ok(preview.ok);
  return preview.value.steps;
}
