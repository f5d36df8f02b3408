/** The check behind "no shared file knows a binding by name": what it catches, and what it lets pass. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { findBindingNames } from "../../tools/binding-names.ts";

const NAMES = ["bridge", "masquerade", "passt", "passtBinding", "macvtap", "managed-tap", "tc-redirect"];

function found(text: string, file = "src/plan/x.ts"): readonly string[] {
  return findBindingNames(file, text, NAMES).map(({ line, name }) => `${line} ${name}`);
}

test("a binding's name is caught wherever code uses it", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["if (iface.masquerade !== undefined) f();", "masquerade"],
    ["if (nic.bridge) f();", "bridge"],
    ["if (nic.interface.macvtap) f();", "macvtap"],
    ['const a = iface["bridge"];', "bridge"],
    ['if ("bridge" in iface) f();', "bridge"],
    ['if (plan.bindingName === "bridge") f();', "bridge"],
    ['switch (nic.bindingName) { case "macvtap": f(); }', "macvtap"],
    ['const defaultBinding = "bridge";', "bridge"],
    ['if (["bridge", "macvlan"].includes(nic.bindingName)) f();', "bridge"],
    ['interface A { readonly method: "bridge" | "other" }', "bridge"],
    ["interface A { readonly bridge?: object }", "bridge"],
    ["const PRICE_OF_BINDING = { bridge: 3 } as const;", "bridge"],
    ['const nic = { name: "a", bridge: {} };', "bridge"],
    ['const nic = { name: "a", binding: { name: "tc-redirect" } };', "tc-redirect"],
    ["function strictMasquerade() {}", "masquerade"],
    ["const PASST_PORTS = [];", "passt"],
    ["const { passtBinding } = iface;", "passt"],
    ["f(managedTap);", "managed-tap"],
    ['import { x } from "../bindings/bridge/index.ts";', "bridge"],
    ["const hint = 'Use `bridge: {}` instead.';", "bridge"],
    ["const hint = `Use \\`binding: {name: macvtap}\\` on $" + "{network}`;", "macvtap"],
    ['const text = "only for bridge binding";', "bridge"],
    ['const text = "podtap up vm-masquerade.yaml";', "masquerade"],
    ["const re = /^(masquerade|x)$/;", "masquerade"],
  ];
  for (const [code, name] of cases) assert.deepEqual(found(code), [`1 ${name}`], code);
  assert.deepEqual(found('\nif (plan.method === "bridge") f();', "src/linux/x.ts"), ["2 bridge"]);
});

test("link kinds, CNI plugins, nftables and comments are something else", () => {
  const passing = [
    "// masquerade\n/** `bridge: {}` */",
    "const k = names.bridge; makePodBridge(k); const bridge = host.bridge;",
    'type LinkPlan = { readonly type: "bridge" | "tap" };',
    'type ParkKind = "dummy" | "bridge";',
    'if (link.type === "macvtap") f();',
    'switch (link.type) { case "bridge": f(); }',
    "const text = `+ $" + '{step.tap ? "macvtap" : "macvlan"}`;',
    'const conf = { plugins: [{ type: "bridge", bridge: name }] };',
    'const DEAF = new Map([["macvlan", "its own MAC"], ["macvtap", "its own MAC"]]);',
    'const MODES = ["bridge", "private", "vepa", "passthru"];',
    'type Family = "ip" | "inet" | "bridge";',
    "const rule = `ct status dnat $" + "{family} saddr @pods masquerade`;",
    'f({ mode: "host-passthrough" });',
    'throw new Error("cannot make the bridge k6t-eth0");',
    "class PassThrough {}",
  ];
  for (const code of passing) assert.deepEqual(found(code), [], code);
  assert.deepEqual(found('findOwn(name, "bridge", operation); addTcRedirect();', "src/linux/x.ts"), []);
});
