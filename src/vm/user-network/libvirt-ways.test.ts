import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { TYPICAL_FEATURES } from "../../plan/host-features.ts";
import { keepWays, throwAwayDomains, withWays } from "./libvirt-ways.ts";

test("what libvirt takes is added behind podtap's own way, and what is not known changes nothing", (t) => {
  const dir = mkdtempSync(join(tmpdir(), "pt-ways-"));
  t.after(() => rmSync(dir, { recursive: true }));
  assert.deepEqual(withWays(TYPICAL_FEATURES, dir), TYPICAL_FEATURES);
  keepWays(dir, ["vhost-user"], "Available netdev backend types:\nsocket\nuser\n");
  const known = withWays(TYPICAL_FEATURES, dir);
  assert.deepEqual(known.userNetworks[0]?.ways, ["stream", "vhost-user"]);
  assert.equal(known.builtinUserNetwork, true);
  keepWays(dir, [], "Available netdev backend types:\nsocket\nvhost-user\n");
  assert.equal(withWays(TYPICAL_FEATURES, dir).builtinUserNetwork, false);
  assert.deepEqual(withWays({ ...TYPICAL_FEATURES, userNetworks: [] }, dir).userNetworks, []);
});

test("the throw-away domains are of one program, each by its way", () => {
  const { "vhost-user": shared, backend } = throwAwayDomains();
  for (const xml of [shared, backend]) assert.match(xml, /<backend type="\w+"\/>/);
  assert.match(shared, /<interface type="vhostuser">/);
  assert.match(shared, /<access mode="shared"\/>/);
  assert.match(backend, /<interface type="user">/);
});
