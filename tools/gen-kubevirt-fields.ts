/**
 * Writes src/api/kubevirt-fields.gen.ts: every field a VirtualMachine or VirtualMachineInstance can have, from
 * the TypeScript types of @kubevirt-ui/kubevirt-api (made of KubeVirt's OpenAPI document). Run by hand after an
 * update of that package: `node tools/gen-kubevirt-fields.ts`.
 *
 * The package has gaps (no IntOrString fields, nothing newer than its KubeVirt release, `masquerade` without
 * fields); src/api/field-table.ts fills them by hand, so that the generated file stays a pure copy.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const MODELS = "node_modules/@kubevirt-ui/kubevirt-api/kubevirt/models";
const OUTPUT = "src/api/kubevirt-fields.gen.ts";
const ROOTS = ["V1VirtualMachineSpec", "V1VirtualMachineInstanceSpec"];
/** Written by hand in src/api/core-fields.ts, because the package has it without its map types. */
const OBJECT_META = "K8sIoApimachineryPkgApisMetaV1ObjectMeta";

interface Field {
  readonly name: string;
  readonly required: boolean;
  readonly type: string;
  readonly comment: string;
}

function fieldsOf(model: string): readonly Field[] {
  const source = readFileSync(join(MODELS, `${model}.ts`), "utf8");
  const body = source.split(`export interface ${model} {`)[1]?.split("\n}")[0];
  if (body === undefined) throw new Error(`${model}.ts has no interface ${model}`);
  return [...`${body}\n`.matchAll(/\/\*\*([\s\S]*?)\*\/\s+'?([\w$-]+)'?(\??): ([^;]+(?:;[^\n]*)?);\n/g)].map(
    (found) => ({
      comment: found[1] ?? "",
      // Reserved words get an underscore: `_default`.
      name: (found[2] ?? "").replace(/^_/, ""),
      required: found[3] === "",
      type: (found[4] ?? "").trim(),
    }),
  );
}

function shortName(model: string): string {
  return model
    .replace(/^K8sIoApiCoreV1/, "Core")
    .replace(/^K8sIoApimachineryPkgApisMetaV1/, "Meta")
    .replace(/^V1/, "");
}

/** The table's spelling of a type, and the model it leads to. */
function translate(field: Field): { readonly type: string; readonly model?: string } {
  const list = /^Array<(.+)>$/.exec(field.type)?.[1];
  if (list !== undefined) {
    const item = translate({ ...field, type: list });
    return { ...item, type: `${item.type}[]` };
  }
  const map = /^\{ \[key: string\]: (\w+);? \}$/.exec(field.type)?.[1];
  if (map !== undefined) return { type: `{}${map}` };
  if (field.type === "string") {
    return { type: field.comment.includes("Quantity is a fixed-point") ? "quantity" : "string" };
  }
  if (field.type.endsWith("Enum")) return { type: "string" };
  const simple: Readonly<Record<string, string>> = {
    boolean: "bool",
    number: "int",
    object: "none",
    any: "any",
  };
  const known = simple[field.type];
  if (known !== undefined) return { type: known };
  if (field.type === OBJECT_META) return { type: "ObjectMeta" };
  if (!/^\w+$/.test(field.type))
    throw new Error(`a type this tool does not know: ${field.name}: ${field.type}`);
  return { type: shortName(field.type), model: field.type };
}

const lines = new Map<string, string>();
const waiting = [...ROOTS];
for (let model = waiting.pop(); model !== undefined; model = waiting.pop()) {
  if (lines.has(shortName(model))) continue;
  const cells: string[] = [];
  for (const field of fieldsOf(model)) {
    const { type, model: next } = translate(field);
    if (next !== undefined) waiting.push(next);
    cells.push(`${field.name}${field.required ? "!" : ""}:${type}`);
  }
  lines.set(shortName(model), cells.join(" "));
}

const version = JSON.parse(readFileSync(join(MODELS, "../../package.json"), "utf8")).version;
const table = [...lines]
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .map(([name, cells]) => `  ${name}: "${cells}",`);
writeFileSync(
  OUTPUT,
  `// Made by tools/gen-kubevirt-fields.ts from @kubevirt-ui/kubevirt-api ${version} (Apache-2.0). Do not edit.
/** Type to its fields: \`name:type\`, \`!\` required, \`[]\` list, \`{}\` map, \`none\` an object without fields. */
export const KUBEVIRT_FIELDS: Readonly<Record<string, string>> = {
${table.join("\n")}
};
`,
);
console.log(`${OUTPUT}: ${lines.size} types`);
