/**
 * podtap's probes of the kernel against another witness: what `ip` and `tc` are allowed to make. This machine's kernel
 * lacks some of the pieces, the outer guest's none, so both answers of a probe are seen to be right.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostFeatures } from "../../src/linux/features.ts";
import { type KernelPiece, requires } from "../support/requires.ts";

const root = requires("root", "ip", "nft");

/** Where nothing may be missing (PODTAP_REQUIRE=all), asking for a piece that is missing throws. */
function has(piece: KernelPiece): boolean {
  return requires(piece).skip === false;
}

const PIECES: readonly KernelPiece[] = [
  "br-netfilter",
  "dummy",
  "flower",
  "htb",
  "ipvlan",
  "macvlan",
  "macvtap",
  "matchall",
  "neigh-suppress",
  "netem",
  "nft-bridge-ct",
  "u32",
  "vhost-net",
  "vlan",
  "vlan-filtering",
  "vxlan",
];

test("podtap's probes find what the kernel has, and nothing that it lacks", root, (t) => {
  const missing = PIECES.filter((piece) => !has(piece));
  t.diagnostic(
    missing.length === 0 ? "this kernel has every piece" : `this kernel lacks ${missing.join(", ")}`,
  );
  const features = hostFeatures();
  assert.equal(features.dummy, has("dummy"), "dummy");
  assert.equal(features.macvtap, has("macvtap"), "macvtap");
  assert.equal(features.vhostNet, has("vhost-net"), "vhost-net");
  assert.equal(features.classifiers.includes("matchall"), has("matchall"), "matchall");
  assert.equal(features.classifiers.includes("u32"), has("u32"), "u32");
});
