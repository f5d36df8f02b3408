/** Admission of `resourceClaims`: R9 (`pkg/dra/admitter`). */
import { dnsLabelErrors } from "../dns-names.ts";
import { errorAt, type Finding, goQuote } from "../finding.ts";
import { formatPath, type Path } from "../path.ts";
import { networksOf, type SpecContext, type SpecRule } from "./spec-context.ts";

/** R9, the list itself. */
export function resourceClaims(vmi: SpecContext): readonly Finding[] {
  const seen = new Set<string>();
  return (vmi.spec.resourceClaims ?? []).flatMap((claim, i) => {
    const at = [...vmi.path, "resourceClaims", i];
    const { name = "", resourceClaimName, resourceClaimTemplateName } = claim;
    const findings = claimNameProblems(name, seen, at);
    seen.add(name);
    const code = "PT-REL-9";
    if (resourceClaimName !== undefined && resourceClaimTemplateName !== undefined) {
      const message = "at most one of resourceClaimName or resourceClaimTemplateName may be specified";
      return [...findings, errorAt({ code, at, message, hint: "Keep one of the two." })];
    }
    if (resourceClaimName === undefined && resourceClaimTemplateName === undefined) {
      const message = "must specify one of: resourceClaimName, resourceClaimTemplateName";
      return [
        ...findings,
        errorAt({ code, at, message, hint: "Name the claim, or the template it is made of." }),
      ];
    }
    return findings;
  });
}

function claimNameProblems(name: string, seen: ReadonlySet<string>, at: Path): readonly Finding[] {
  const place = [...at, "name"];
  const code = "PT-REL-9";
  if (name === "") {
    const hint = "Give the claim a name that networks and devices refer to.";
    const message = "resourceClaims name is required";
    return [errorAt({ code, at: place, reason: "FieldValueRequired", message, hint })];
  }
  const form = dnsLabelErrors(name).map((message) =>
    errorAt({ code, at: place, message, hint: "Use a-z, 0-9 and dashes inside." }),
  );
  if (!seen.has(name)) return form;
  const message = `duplicate resourceClaims name ${goQuote(name)}`;
  const hint = "Rename one of the two claims.";
  return [...form, errorAt({ code, at: place, reason: "FieldValueDuplicate", message, hint })];
}

interface Use {
  readonly list: string;
  readonly index: number;
  readonly pair: string;
  readonly at: Path;
}

/** R9, one device one user. Two networks with the same pair are rule 24. */
export function claimPairsUsedOnce(vmi: SpecContext): readonly Finding[] {
  const { gpus = [], hostDevices = [] } = vmi.spec.domain.devices;
  const devices = [...vmi.path, "domain", "devices"];
  const uses: readonly Use[] = [
    ...gpus.map((gpu, index) => useOf("gpus", index, gpu, [...devices, "gpus", index])),
    ...hostDevices.map((device, index) =>
      useOf("hostDevices", index, device, [...devices, "hostDevices", index]),
    ),
    ...networksOf(vmi).map(({ resourceClaim }, index) =>
      useOf("networks", index, resourceClaim ?? {}, [...vmi.path, "networks", index]),
    ),
  ].filter(({ pair }) => pair !== "");
  const first = new Map<string, Use>();
  return uses.flatMap((use) => {
    const earlier = first.get(use.pair);
    if (earlier === undefined) first.set(use.pair, use);
    if (earlier === undefined || (earlier.list === "networks" && use.list === "networks")) return [];
    const message =
      `duplicate claimName/requestName pair ${goQuote(use.pair)} between ` +
      `${earlier.list}[${earlier.index}] and ${use.list}[${use.index}]`;
    const hint = `${formatPath(earlier.at)} uses this request already; each device needs one of its own.`;
    return [errorAt({ code: "PT-REL-9", at: use.at, reason: "FieldValueDuplicate", message, hint })];
  });
}

function useOf(
  list: string,
  index: number,
  { claimName = "", requestName = "" }: { readonly claimName?: string; readonly requestName?: string },
  at: Path,
): Use {
  return {
    list,
    index,
    at,
    pair: claimName === "" || requestName === "" ? "" : `${claimName}/${requestName}`,
  };
}

export const CLAIM_RULES: readonly SpecRule[] = [resourceClaims, claimPairsUsedOnce];
