import assert from "node:assert/strict";
import { test } from "node:test";
import { vmi } from "../../../test/support/builders.ts";
import type { ConfigMap, Secret, VmiSpec, VolumeSpec } from "../../api/types.ts";
import { PodtapError } from "../../base/errors.ts";
import { type ConfigDisk, configDisk } from "./config-disks.ts";

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const SECRETS: Readonly<Record<string, Partial<Secret>>> = {
  keys: { data: { a: base64("ssh-a\n\nssh-b \n"), b: base64("ssh-c") } },
  login: { data: { user: base64("old"), password: base64("hidden") }, stringData: { user: "root" } },
};
const CONFIG_MAPS: Readonly<Record<string, Partial<ConfigMap>>> = {
  settings: { data: { "app.conf": "port=80\n" }, binaryData: { logo: base64("\x01\x02") } },
  windows: { data: { "autounattend.xml": "<unattend/>" } },
  many: { data: Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`f${i}`, ""])) },
  odd: { data: { "../etc": "" } },
};

function disk(
  volume: Omit<VolumeSpec, "name">,
  spec: Partial<VmiSpec> = {},
): Promise<ConfigDisk | undefined> {
  const metadata = { name: "" };
  return configDisk(
    vmi({ spec: { domain: { devices: {} }, ...spec } }),
    { name: "v", ...volume },
    {
      secret: (name) => SECRETS[name] && { apiVersion: "v1", kind: "Secret", metadata, ...SECRETS[name] },
      configMap: (name) =>
        CONFIG_MAPS[name] && { apiVersion: "v1", kind: "ConfigMap", metadata, ...CONFIG_MAPS[name] },
    },
  );
}

function shown(found: ConfigDisk | undefined): unknown {
  return [
    found?.label,
    Object.fromEntries(
      (found?.files ?? []).map(({ name, content }) => [name, Buffer.from(content).toString()]),
    ),
  ];
}

test("config maps and secrets become files, with KubeVirt's labels", async () => {
  assert.deepEqual(shown(await disk({ configMap: { name: "settings" } })), [
    "cfgdata",
    { "app.conf": "port=80\n", logo: "\x01\x02" },
  ]);
  assert.deepEqual(shown(await disk({ secret: { secretName: "login", volumeLabel: "creds" } })), [
    "creds",
    { user: "root", password: "hidden" },
  ]);
  assert.deepEqual(shown(await disk({ sysprep: { configMap: { name: "windows" } } })), [
    "unattendCD",
    { "autounattend.xml": "<unattend/>" },
  ]);
  assert.equal(await disk({ emptyDisk: { capacity: "1Gi" } }), undefined);
});

test("what is not there is an error, or nothing where it is optional", async () => {
  const code = (volume: Omit<VolumeSpec, "name">, wanted: string) =>
    assert.rejects(disk(volume), (error) => error instanceof PodtapError && error.code === wanted);
  await code({ configMap: { name: "none" } }, "PT-DISK-2");
  await code({ secret: { secretName: "none" } }, "PT-DISK-2");
  await code({ sysprep: { secret: { name: "none" } } }, "PT-DISK-2");
  await code({ configMap: { name: "many" } }, "PT-DISK-7");
  await code({ configMap: { name: "odd" } }, "PT-DISK-7");
  assert.deepEqual(shown(await disk({ configMap: { name: "none", optional: true } })), ["cfgdata", {}]);
});

test("keys of access credentials are in the metadata of the cloud-init they are meant for", async () => {
  const spec = (way: "noCloud" | "configDrive"): Partial<VmiSpec> => ({
    accessCredentials: [
      { sshPublicKey: { source: { secret: { secretName: "keys" } }, propagationMethod: { [way]: {} } } },
    ],
  });
  const noCloud = { cloudInitNoCloud: { userData: "#cloud-config" } };
  const drive = { cloudInitConfigDrive: { userData: "{}", networkData: "{}" } };
  const metaOf = async (volume: Omit<VolumeSpec, "name">, way: "noCloud" | "configDrive") => {
    const file = (await disk(volume, spec(way)))?.files[0];
    return [file?.name, JSON.parse(Buffer.from(file!.content).toString())];
  };
  const keys = { 0: "ssh-a", 1: "ssh-b", 2: "ssh-c" };
  const [name, meta] = await metaOf(noCloud, "noCloud");
  assert.deepEqual([name, meta["public-keys"]], ["meta-data", keys]);
  assert.equal((await metaOf(noCloud, "configDrive"))[1]["public-keys"], undefined);
  const [driveName, driveMeta] = await metaOf(drive, "configDrive");
  assert.equal(driveName, "openstack/latest/meta_data.json");
  assert.deepEqual(driveMeta.public_keys, keys);
  assert.deepEqual(
    [driveMeta.instance_id, driveMeta.hostname, typeof driveMeta.uuid],
    ["web.default", "web", "string"],
  );
  assert.deepEqual(
    (await disk(drive))?.files.map((file) => file.name),
    ["meta_data.json", "user_data", "network_data.json"].map((file) => `openstack/latest/${file}`),
  );
});
