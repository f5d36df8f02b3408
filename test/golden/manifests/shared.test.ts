/**
 * The seeds' manifests, KubeVirt's examples and some as others write them, with all that podtap says of them, against
 * golden text.
 * `make golden` rewrites it.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { formatProblems } from "../../../src/api/format-problems.ts";
import type { Settings } from "../../../src/api/settings.ts";
import { hasErrors, validateManifests } from "../../../src/api/validate.ts";
import { KNOWN_BINDINGS } from "../../../src/bindings/admission.ts";
import { DEFAULT_SETTINGS, STRICT_SETTINGS } from "../../../src/bindings/settings.ts";

const FOLDERS = ["seed", "kubevirt", "found"] as const;
/** What must run today. */
const WITHOUT_ERRORS = [
  "seed/vm-masquerade.yaml",
  "seed/service-http.yaml",
  "kubevirt/vmi-masquerade.yaml",
  "kubevirt/vmi-nocloud.yaml",
  "kubevirt/vmi-kernel-boot.yaml",
  "kubevirt/vm-cirros.yaml",
  "kubevirt/vmi-fedora.yaml",
  "kubevirt/vmi-migratable.yaml",
  "seed/vmi-bridge.yaml",
  "kubevirt/vmi-multus-multiple-net.yaml",
  "kubevirt/vmi-multus-ptp.yaml",
  "kubevirt/vm-alpine-datavolume.yaml",
  "found/several-hands.yaml",
  "found/router.yaml",
];
/** With every binding that one box can carry, so that the text does not depend on which are wired so far. */
const SETTINGS: Settings = {
  ...DEFAULT_SETTINGS,
  bindings: KNOWN_BINDINGS.map(({ method }) => method).filter((method) => method !== "sriov"),
};
const names = FOLDERS.flatMap((folder) =>
  readdirSync(new URL(folder, import.meta.url))
    .sort()
    .map((file) => `${folder}/${file}`),
);

function read(name: string): { readonly name: string; readonly text: string } {
  return { name, text: readFileSync(new URL(name, import.meta.url), "utf8") };
}

test("what podtap says of every shared manifest", () => {
  const said = names.map((name) => {
    const { objects, problems } = validateManifests([read(name)], SETTINGS);
    const kinds = objects.map(({ object }) => `${object.kind}/${object.metadata.name}`);
    return `== ${name}: ${kinds.join(", ") || "nothing podtap acts on"}\n${formatProblems(problems, { color: false })}`;
  });
  const golden = new URL("shared.txt", import.meta.url);
  if (process.env["PODTAP_UPDATE_GOLDEN"]) writeFileSync(golden, said.join("\n"));
  assert.equal(said.join("\n"), readFileSync(golden, "utf8"));
});

for (const name of WITHOUT_ERRORS) {
  test(`${name} has no error`, () => {
    const { objects, problems } = validateManifests([read(name)], SETTINGS);
    assert.ok(objects.length > 0);
    assert.equal(hasErrors(problems), false, formatProblems(problems, { color: false }));
  });
}

test("the seed's VM and its Services fit together", () => {
  const files = ["seed/vm-masquerade.yaml", "seed/service-http.yaml"].map(read);
  const { problems } = validateManifests(files, SETTINGS);
  assert.deepEqual(
    problems.map(({ code }) => code),
    ["PT-MAN-20"],
  );
});

test("with every binding, strict admission takes every VM of KubeVirt's examples but for storage and sidecars", () => {
  const settings = {
    ...STRICT_SETTINGS,
    bindings: ["bridge", "masquerade", "sriov"],
    gates: { Sidecar: true },
  };
  const refused = names.filter((name) => {
    if (!name.startsWith("kubevirt/")) return false;
    return hasErrors(validateManifests([read(name)], settings).problems);
  });
  assert.deepEqual(refused, ["kubevirt/vmi-windows.yaml"]);
});
