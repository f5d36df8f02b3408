import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { overrideFor, parseImageReference, parseOverrideTarget } from "./reference.ts";

test("image references are completed as Docker does", () => {
  const digest = `sha256:${"a".repeat(64)}`;
  const cases = [
    ["fedora", "docker.io/library/fedora:latest"],
    ["kubevirt/demo:v1", "docker.io/kubevirt/demo:v1"],
    ["quay.io/lab/disk", "quay.io/lab/disk:latest"],
    ["localhost:5000/disk:v2", "localhost:5000/disk:v2"],
    [`quay.io/lab/disk:v1@${digest}`, `quay.io/lab/disk@${digest}`],
  ] as const;
  for (const [text, name] of cases) assert.deepEqual(parseImageReference(text), { kind: "registry", name });
});

test("image references to this machine carry a path and a tag", () => {
  assert.deepEqual(parseImageReference("oci:/srv/lab:demo"), { kind: "oci", path: "/srv/lab", tag: "demo" });
  assert.deepEqual(parseImageReference("oci:/srv/lab"), { kind: "oci", path: "/srv/lab" });
  assert.deepEqual(parseImageReference("docker-archive:/a.tar:x/y:v1"), {
    kind: "docker-archive",
    path: "/a.tar",
    tag: "x/y:v1",
  });
  assert.deepEqual(parseOverrideTarget("/srv/disk.qcow2"), { kind: "disk", path: "/srv/disk.qcow2" });
});

test("what is no image reference is refused, and never reaches a program as an option or a path", () => {
  const bad = [
    "",
    "-v",
    "--help",
    "UPPER/case",
    "quay.io/../etc",
    "quay.io/a b",
    "quay.io/a;id",
    "docker://quay.io/a",
    "/etc/shadow",
    "oci:relative",
    "oci:/srv/../etc:x",
    "oci:/srv:-x",
    "quay.io/a@sha256:12",
    "quay.io/a@sha256:12@sha256:12",
    `quay.io/${"a".repeat(600)}`,
  ];
  for (const text of bad) assert.throws(() => parseImageReference(text), { code: "PT-IMAGE-1" }, text);
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        const source = parseImageReference(text);
        const safe =
          source.kind === "registry"
            ? /^[a-zA-Z0-9[][\w.:/@\-[\]]*$/.test(source.name)
            : source.kind !== "disk";
        assert.ok(safe);
      } catch (thrown) {
        assert.equal((thrown as { code?: string }).code, "PT-IMAGE-1");
      }
    }),
  );
});

test("an override is found by the complete name, and without a tag for every tag", () => {
  const overrides = {
    "quay.io/lab/disk": "oci:/any:x",
    "quay.io/lab/disk:v1": "oci:/one:x",
    demo: "oci:/demo",
  };
  assert.equal(overrideFor("quay.io/lab/disk:v1", overrides), "oci:/one:x");
  assert.equal(overrideFor("quay.io/lab/disk:v2", overrides), "oci:/any:x");
  assert.equal(overrideFor(`quay.io/lab/disk@sha256:${"b".repeat(64)}`, overrides), "oci:/any:x");
  assert.equal(overrideFor("docker.io/library/demo:latest", overrides), "oci:/demo");
  assert.equal(overrideFor("quay.io/lab/other", overrides), undefined);
  assert.equal(overrideFor("constructor", {}), undefined);
});
