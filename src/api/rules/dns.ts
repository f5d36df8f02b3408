/** Admission of hostname, subdomain and DNS: R7 and R8 (`vmi-create-admitter.go`), with KubeVirt's texts and paths. */
import { parseIp } from "../../base/ip.ts";
import { dnsLabelErrors, dnsSubdomainErrors } from "../dns-names.ts";
import { errorAt, type Finding } from "../finding.ts";
import { formatPath } from "../path.ts";
import { sanitiseIp } from "../sanitise.ts";
import type { SpecContext, SpecRule } from "./spec-context.ts";

const POLICIES = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
const MAX_NAMESERVERS = 3;
const MAX_SEARCHES = 6;
const MAX_SEARCH_CHARACTERS = 256;

/** R8. */
export function hostNames(vmi: SpecContext): readonly Finding[] {
  const { hostname = "", subdomain = "" } = vmi.spec;
  const findings: Finding[] = [];
  const label = hostname === "" ? [] : dnsLabelErrors(hostname);
  if (label.length > 0) {
    const at = [...vmi.path, "hostname"];
    const message = `${formatPath(at)} does not conform to the kubernetes DNS_LABEL rules : ${label.join(", ")}`;
    findings.push(
      errorAt({ code: "PT-REL-8", at, message, hint: "Use a-z, 0-9 and dashes inside, as vm-1." }),
    );
  }
  const domain = subdomain === "" ? [] : dnsSubdomainErrors(subdomain);
  if (domain.length > 0) {
    const at = [...vmi.path, "subdomain"];
    const message = `${formatPath(at)} does not conform to the kubernetes DNS_SUBDOMAIN rules : ${domain.join(", ")}`;
    findings.push(
      errorAt({ code: "PT-REL-8", at, message, hint: "Use labels joined by dots, as db.example." }),
    );
  }
  return findings;
}

/** R7, the policy. */
export function dnsPolicy(vmi: SpecContext): readonly Finding[] {
  const { dnsPolicy: policy = "" } = vmi.spec;
  if (policy === "" || POLICIES.includes(policy)) return [];
  const message = `DNSPolicy: ${policy} is not supported, valid values: [${POLICIES.join(" ")} ]`;
  const hint = `Write one of ${POLICIES.join(", ")}, or leave dnsPolicy out.`;
  const reason = "FieldValueNotSupported";
  return [errorAt({ code: "PT-REL-7", at: [...vmi.path, "dnsPolicy"], reason, message, hint })];
}

/** R7, policy None: its two findings end the checks, as in KubeVirt. */
export function dnsConfig(vmi: SpecContext): readonly Finding[] {
  const { dnsConfig: config, dnsPolicy: policy } = vmi.spec;
  const at = [...vmi.path, "dnsConfig"];
  const required = { code: "PT-REL-7", reason: "FieldValueRequired" } as const;
  const hint = "Add dnsConfig: {nameservers: [10.1.1.1]}.";
  if (policy === "None" && config === undefined) {
    return [errorAt({ ...required, at, message: "must provide `dnsConfig` when `dnsPolicy` is None", hint })];
  }
  if (config === undefined) return [];
  if (policy === "None" && (config.nameservers ?? []).length === 0) {
    const message = "must provide at least one DNS nameserver when `dnsPolicy` is None";
    return [errorAt({ ...required, at: [...at, "nameservers"], field: "nameservers", message, hint })];
  }
  return [...nameservers(vmi), ...searchDomains(vmi), ...resolverOptions(vmi)];
}

function nameservers(vmi: SpecContext): readonly Finding[] {
  const servers = vmi.spec.dnsConfig?.nameservers ?? [];
  const at = [...vmi.path, "dnsConfig", "nameservers"];
  const code = "PT-REL-7";
  const field = "nameservers";
  const findings: Finding[] = [];
  if (servers.length > MAX_NAMESERVERS) {
    const message = `must not have more than ${MAX_NAMESERVERS} nameservers: [${servers.join(" ")}]`;
    findings.push(errorAt({ code, at, field, message, hint: "Keep the three that answer fastest." }));
  }
  servers.forEach((server, i) => {
    if (parseIp(sanitiseIp(server)) !== undefined) return;
    const message = `must be valid IP address: ${server}`;
    findings.push(errorAt({ code, at: [...at, i], field, message, hint: "Write an address, not a name." }));
  });
  return findings;
}

function searchDomains(vmi: SpecContext): readonly Finding[] {
  const searches = vmi.spec.dnsConfig?.searches ?? [];
  const at = [...vmi.path, "dnsConfig", "searches"];
  const code = "PT-REL-7";
  const field = "searchDomains";
  const findings: Finding[] = [];
  if (searches.length > MAX_SEARCHES) {
    const message = `must not have more than ${MAX_SEARCHES} search paths`;
    findings.push(errorAt({ code, at, field, message, hint: "Keep the six that are used." }));
  }
  if (searches.join(" ").length > MAX_SEARCH_CHARACTERS) {
    const message = `must not have more than ${MAX_SEARCH_CHARACTERS} characters (including spaces) in the search list`;
    findings.push(errorAt({ code, at, field, message, hint: "Shorten the list." }));
  }
  searches.forEach((search, i) => {
    for (const message of dnsSubdomainErrors(search)) {
      const hint = "Write a domain in small letters, as example.com, without a final dot.";
      findings.push(errorAt({ code, at: [...at, i], field, message, hint }));
    }
  });
  return findings;
}

function resolverOptions(vmi: SpecContext): readonly Finding[] {
  return (vmi.spec.dnsConfig?.options ?? []).flatMap(({ name = "" }, i) => {
    if (name !== "") return [];
    const at = [...vmi.path, "dnsConfig", "options", i];
    const hint = "Name the option, as name: ndots.";
    return [
      errorAt({ code: "PT-REL-7", at, field: "options", message: "Option.Name must not be empty", hint }),
    ];
  });
}

export const DNS_RULES: readonly SpecRule[] = [hostNames, dnsPolicy, dnsConfig];
