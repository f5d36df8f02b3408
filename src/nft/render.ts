/**
 * Tables as an nft script. Everything that goes in was validated before (addresses, numbers, link names are
 * branded or checked where they enter); identifiers are checked once more here, because this text reaches the
 * kernel as root.
 */
import { isLinkName } from "../base/names.ts";
import type { NftChain, NftSet, NftTable, NftTableId } from "./model.ts";

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_.-]{0,62}$/;

/** A script that puts the tables in place of what stood there, in one transaction. */
export function renderReplace(tables: readonly NftTable[]): string {
  const clear = tables.map((table) => {
    const id = renderTableId(table);
    // "delete" fails on a table that is not there, so it is declared first.
    return `table ${id}\ndelete table ${id}\n`;
  });
  return [...clear, ...tables.map(renderTable)].join("");
}

/** A script that removes the tables, whether they are there or not. */
export function renderDelete(tables: readonly NftTableId[]): string {
  return tables
    .map((table) => `table ${renderTableId(table)}\ndelete table ${renderTableId(table)}\n`)
    .join("");
}

export function renderTableId(table: NftTableId): string {
  return `${table.family} ${identifier(table.name)}`;
}

/** One table as nft would list it, for people, golden files and the kernel alike. */
export function renderTable(table: NftTable): string {
  const parts = [
    ...table.counters.map((counter) => `  counter ${identifier(counter.name)} { }\n`),
    ...table.sets.map(renderSet),
    ...table.chains.map(renderChain),
  ];
  return `table ${renderTableId(table)} {\n${parts.join("\n")}}\n`;
}

function renderSet(set: NftSet): string {
  const type = set.to === undefined ? set.key : `${set.key} : ${set.to}`;
  const lines = [`    type ${type}`];
  if (set.interval) lines.push("    flags interval");
  if (set.elements.length > 0) {
    const elements = set.elements.map(({ key, value }) => (value === undefined ? key : `${key} : ${value}`));
    lines.push(`    elements = { ${elements.join(", ")} }`);
  }
  return `  ${set.to === undefined ? "set" : "map"} ${identifier(set.name)} {\n${lines.join("\n")}\n  }\n`;
}

function renderChain(chain: NftChain): string {
  const lines = chain.rules.map((rule) => `    ${singleLine(rule)}\n`);
  const { hook } = chain;
  if (hook !== undefined) {
    const device = hook.device === undefined ? "" : ` device "${linkName(hook.device)}"`;
    const policy = hook.policy === undefined ? "" : ` policy ${hook.policy};`;
    lines.unshift(`    type ${hook.type} hook ${hook.hook}${device} priority ${hook.priority};${policy}\n`);
  }
  return `  chain ${identifier(chain.name)} {\n${lines.join("")}  }\n`;
}

function identifier(name: string): string {
  if (!IDENTIFIER.test(name)) throw new RangeError(`not an nft identifier: ${JSON.stringify(name)}`);
  return name;
}

/** May begin with a digit, as the hashed names of networks do. */
function linkName(name: string): string {
  if (!isLinkName(name)) throw new RangeError(`not a link name: ${JSON.stringify(name)}`);
  return name;
}

function singleLine(rule: string): string {
  if (/[\n\r;#{}]/.test(rule.replace(/\{[^{}\n\r;#]*\}/g, ""))) {
    throw new RangeError(`not a single nft rule: ${JSON.stringify(rule)}`);
  }
  return rule;
}
