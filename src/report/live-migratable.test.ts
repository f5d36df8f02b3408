import assert from "node:assert/strict";
import { test } from "node:test";
import type { InterfaceSpec, NetworkSpec, Vmi } from "../api/types.ts";
import type { Binding, BindingRegistry, BindingTraits } from "../plan/binding.ts";
import type { NicPlan, Plan } from "../plan/plan.ts";
import { liveMigratable } from "./live-migratable.ts";

const LIFT = "example.com/lift";
const stays = { liveMigration: "no", networks: "any" } as const;
const registry = {
  all: [
    ["moves", { liveMigration: "yes", networks: "pod" }],
    ["stays", stays],
    ["lifted", { ...stays, migrationAnnotation: LIFT }],
  ].map(([bindingName, traits]) => ({ bindingName, traits: traits as BindingTraits }) as Binding),
  of: () => undefined,
} satisfies BindingRegistry;

const pod: NetworkSpec = { name: "default", pod: {} };
const other: NetworkSpec = { name: "blue", multus: { networkName: "blue" } };

function judged(
  bindings: Readonly<Record<string, string>>,
  networks: readonly NetworkSpec[],
  annotations: Readonly<Record<string, string>> = {},
): string {
  const interfaces: InterfaceSpec[] = Object.keys(bindings).map((name) => ({ name }));
  const vmi = {
    metadata: { name: "web", annotations },
    spec: { domain: { devices: { interfaces } }, networks },
  } as unknown as Vmi;
  const nics = Object.entries(bindings).map(([name, bindingName]) => ({ name, bindingName }) as NicPlan);
  return liveMigratable(vmi, { nics } as unknown as Plan, registry).status;
}

test("the pod network's interface decides, by its binding", () => {
  assert.equal(judged({ default: "moves" }, [pod]), "True");
  assert.equal(judged({ default: "stays" }, [pod]), "False");
  assert.equal(judged({ default: "moves", blue: "stays" }, [pod, other]), "True");
  assert.equal(judged({ blue: "moves", default: "stays" }, [other, pod]), "False");
});

test("without the pod network nothing stands in the way", () => {
  assert.equal(judged({ blue: "stays" }, [other]), "True");
  assert.equal(judged({}, []), "True");
});

test("an annotation lifts it, whatever it says, and for the binding that knows it only", () => {
  assert.equal(judged({ default: "lifted" }, [pod]), "False");
  for (const value of ["", "true", "false"]) {
    assert.equal(judged({ default: "lifted" }, [pod], { [LIFT]: value }), "True");
  }
  assert.equal(judged({ default: "stays" }, [pod], { [LIFT]: "" }), "False");
});

test("the message names what would move", () => {
  const vmi = { metadata: {}, spec: { domain: { devices: {} }, networks: [pod] } } as unknown as Vmi;
  const plan = { nics: [{ name: "default", bindingName: "stays" }] } as unknown as Plan;
  const { reason, message } = liveMigratable(vmi, plan, registry);
  assert.equal(reason, "InterfaceNotLiveMigratable");
  assert.match(message ?? "", /does not use moves or/);
});
