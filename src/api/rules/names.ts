/** Names, namespaces and labels of every object: PT-EARLY-11 to 13, PT-MAN-12 and 23. */
import { isLinkName, wiringNames } from "../../base/names.ts";
import { dnsLabelErrors, dnsSubdomainErrors, isDns1035Label } from "../dns-names.ts";
import { errorAt, type Finding } from "../finding.ts";
import type { KubeObject, ObjectMeta } from "../object.ts";
import { formatPath, type Path } from "../path.ts";
import type { VmiStatus } from "../types.ts";

const LABEL_NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const LABEL_VALUE = /^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/;

export function objectNames({ kind, metadata }: KubeObject): readonly Finding[] {
  return [
    ...nameProblems(kind, metadata),
    ...namespaceProblems(metadata),
    ...labelProblems(metadata, ["metadata"]),
  ];
}

function nameProblems(kind: string, metadata: ObjectMeta): readonly Finding[] {
  const at = ["metadata", "name"];
  const name: string | undefined = metadata.name;
  if (name === undefined || name === "") {
    const generated = metadata.generateName !== undefined;
    const message = generated
      ? "generateName is not supported: podtap needs a name"
      : "metadata.name is required";
    const hint = "Add metadata: {name: my-vm}.";
    return [errorAt({ code: "PT-MAN-12", at, reason: "FieldValueRequired", message, hint })];
  }
  const hint = "Use a-z, 0-9 and dashes, beginning and ending with a letter or digit, as web-1.";
  if (kind === "Service") {
    if (isDns1035Label(name)) return [];
    const message = `Service name ${JSON.stringify(name)} is no DNS-1035 label (at most 63 of a-z, 0-9 and -, a letter first)`;
    return [errorAt({ code: "PT-EARLY-12", at, message, hint })];
  }
  return dnsSubdomainErrors(name).map((message) => errorAt({ code: "PT-EARLY-12", at, message, hint }));
}

function namespaceProblems({ namespace = "" }: ObjectMeta): readonly Finding[] {
  if (namespace === "") return [];
  const hint = "Use a-z, 0-9 and dashes inside, as default.";
  return dnsLabelErrors(namespace).map((message) =>
    errorAt({ code: "PT-EARLY-13", at: ["metadata", "namespace"], message, hint }),
  );
}

/** Also for a VM's template. Kubernetes refuses labels of another form, and selectors could never match them. */
export function labelProblems({ labels = {} }: Partial<ObjectMeta>, metadata: Path): readonly Finding[] {
  return Object.entries(labels).flatMap(([key, value]) => {
    const at = [...metadata, "labels", key];
    const code = "PT-MAN-23";
    if (!isLabelKey(key)) {
      const message = `label key ${JSON.stringify(key)} is not valid`;
      const hint = "Use an optional DNS prefix with a slash and at most 63 of A-Z, a-z, 0-9, -, _ and dots.";
      return [errorAt({ code, at, field: formatPath([...metadata, "labels"]), message, hint })];
    }
    if (LABEL_VALUE.test(value)) return [];
    const message = `label value ${JSON.stringify(value)} is not valid`;
    const hint = "Use at most 63 of A-Z, a-z, 0-9, -, _ and dots, with a letter or digit at both ends.";
    return [errorAt({ code, at, message, hint })];
  });
}

function isLabelKey(key: string): boolean {
  const slash = key.indexOf("/");
  const prefix = slash < 0 ? undefined : key.slice(0, slash);
  return (
    LABEL_NAME.test(key.slice(slash + 1)) && (prefix === undefined || dnsSubdomainErrors(prefix).length === 0)
  );
}

/**
 * PT-EARLY-11. KubeVirt's DynamicPodInterfaceNaming: a status that names the pod's primary interface replaces
 * `eth0`, and every name made of it must fit the kernel, too.
 */
export function primaryInterfaceFits(
  status: VmiStatus | undefined,
  defaultNetwork: string | undefined,
): readonly Finding[] {
  const entries = Array.isArray(status?.interfaces) ? (status?.interfaces ?? []) : [];
  return entries.flatMap((entry, i) => {
    const name: unknown = entry?.podInterfaceName;
    if (defaultNetwork === undefined || entry?.name !== defaultNetwork || typeof name !== "string") return [];
    const long = Object.values(wiringNames(name, true)).find((derived) => !isLinkName(derived));
    if (long === undefined) return [];
    const message = `the pod interface ${JSON.stringify(name)} leads to the link name ${JSON.stringify(long)}, which the kernel or nft cannot take`;
    const hint = "Keep the pod's interface name within 11 of letters, digits, - and _.";
    return [
      errorAt({ code: "PT-EARLY-11", at: ["status", "interfaces", i, "podInterfaceName"], message, hint }),
    ];
  });
}
