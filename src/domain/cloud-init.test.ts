import assert from "node:assert/strict";
import { test } from "node:test";
import { vmi } from "../../test/support/builders.ts";
import { noCloudFiles } from "./cloud-init.ts";

const none = new Uint8Array();
const text = (content: Uint8Array): string => Buffer.from(content).toString();

test("NoCloud has KubeVirt's meta-data and the user data as it was given", () => {
  const userData = Uint8Array.of(0x1f, 0x8b, 0xff, 0);
  const files = noCloudFiles(vmi({ name: "web.lab" }), { userData, networkData: none });
  assert.deepEqual(
    files.map(({ name }) => name),
    ["meta-data", "user-data"],
  );
  const meta = JSON.parse(text(files[0]!.content));
  assert.deepEqual(Object.keys(meta), ["instance-id", "local-hostname"]);
  assert.equal(meta["local-hostname"], "web");
  assert.match(meta["instance-id"], /^[0-9a-f]{8}-[0-9a-f]{4}-5/);
  assert.equal(files[1]!.content, userData);
});

test("NoCloud carries network data untouched, keys by number and the firmware's UUID", () => {
  const uuid = "5d307ca9-b3ef-428c-8861-06e72d69f223";
  const named = vmi({ spec: { hostname: "db", domain: { devices: {}, firmware: { uuid } } } });
  const networkData = new TextEncoder().encode("version: 2\n");
  const files = noCloudFiles(named, {
    userData: none,
    networkData,
    publicKeys: ["ssh-a", "ssh-b"],
    instanceType: "u1",
  });
  assert.equal(text(files[2]!.content), "version: 2\n");
  assert.deepEqual(JSON.parse(text(files[0]!.content)), {
    "instance-type": "u1",
    "instance-id": uuid,
    "local-hostname": "db",
    "public-keys": { 0: "ssh-a", 1: "ssh-b" },
  });
});
