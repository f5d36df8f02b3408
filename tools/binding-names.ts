/**
 * Finds where code outside `src/bindings` names a binding: issue 4's measure, which is to be 0. Comments are not
 * code; everything else is looked at by its syntax: identifiers by their words (`strictMasquerade`, `.passtBinding`),
 * text whole and by words, keys and types of manifests (`{ bridge: {} }`), imports of a binding's folder.
 *
 * Some names are other things, too: bridge and macvtap are link kinds of Linux, bridge is also a CNI plugin and an
 * nftables family, masquerade an nftables statement, redirect an action of tc. Such a name is let pass where the
 * syntax shows the other thing, and caught where it shows a binding: a member of an interface of the manifest, a
 * comparison with a method or a binding's name, the spelling of a manifest.
 */
import ts from "typescript";

export interface NameBreach {
  readonly line: number;
  readonly name: string;
}

/** A name's other meaning. */
interface OtherThing {
  /** May identifiers have it? */
  readonly identifiers: boolean;
  /** Variables and properties of which it is a value. */
  readonly valueOf: RegExp;
  /** Text in which it is a word. */
  readonly text: RegExp;
}

const NEVER = /(?!)/;
/** What has such values by its name; and kinds and modes of links that stand beside them as their alternatives. */
const LINK_KIND =
  /(type|kind|family|mode|attaches|plugins?|link_keys)$|^(macvlan|dummy|veth|tun|vepa|passthru)$/i;
const OTHER_THINGS: Readonly<Record<string, OtherThing>> = {
  bridge: { identifiers: true, valueOf: LINK_KIND, text: /^(?!.*\bbridge (binding|NIC|interface))/ },
  macvtap: { identifiers: true, valueOf: LINK_KIND, text: /^(?!.*\bmacvtap (binding|NIC|interface))/ },
  masquerade: { identifiers: false, valueOf: NEVER, text: /\b(saddr|daddr|iifname|oifname)\b.* masquerade$/ },
  "tc-redirect": { identifiers: true, valueOf: NEVER, text: NEVER },
  // A program, and libvirt's backend of that name.
  passt: { identifiers: false, valueOf: /^(backend|program)$/, text: NEVER },
};
const NOTHING_ELSE: OtherThing = { identifiers: false, valueOf: NEVER, text: NEVER };
/** Folders that speak to the kernel: a word by itself is the kernel's there. */
const KERNEL = /^src\/(wire|nft|linux)\//;
const INTERFACE = /(^|\.)(iface|interface|nic|spec)(\b|$)[!?]?$/i;
const BINDING = /binding|method/i;

export function findBindingNames(
  file: string,
  text: string,
  names: readonly string[],
): readonly NameBreach[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const breaches: NameBreach[] = [];
  const visit = (node: ts.Node): void => {
    const name = nameIn(node, names, KERNEL.test(file));
    if (name !== undefined) {
      breaches.push({ line: source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1, name });
    }
    // Parts of a template were judged as one text; what stands between them is code.
    ts.forEachChild(node, visit);
  };
  visit(source);
  return breaches;
}

function nameIn(node: ts.Node, names: readonly string[], inKernel: boolean): string | undefined {
  if (ts.isIdentifier(node) || ts.isPrivateIdentifier(node)) {
    return names.find((name) => hasWords(node.text, name) && !isOtherIdentifier(node, name));
  }
  const text = textOf(node);
  if (text === undefined) return undefined;
  if (isImport(node)) return names.find((name) => text.includes(`bindings/${name}/`));
  return names.find((name) =>
    text === name ? !isOtherValue(node, name, inKernel) : namesInText(text, name),
  );
}

/** Is it the other thing of that name, and not a member of a manifest's interface? */
function isOtherIdentifier(node: ts.Identifier | ts.PrivateIdentifier, name: string): boolean {
  if (!otherThing(name).identifiers) return false;
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent) && parent.name === node) {
    return !INTERFACE.test(parent.expression.getText());
  }
  if (ts.isPropertyAssignment(parent) && parent.name === node) {
    const table = contextOf(parent.parent).some((word) => BINDING.test(word));
    return !(table || isEmptyObject(parent.initializer));
  }
  if (ts.isPropertySignature(parent) && parent.name === node) {
    return parent.type?.kind !== ts.SyntaxKind.ObjectKeyword;
  }
  return true;
}

function isOtherValue(node: ts.Node, name: string, inKernel: boolean): boolean {
  const context = contextOf(node);
  const other = otherThing(name);
  if (context.some((word) => BINDING.test(word) || INTERFACE.test(word))) return false;
  return context.some((word) => other.valueOf.test(word)) || (inKernel && other !== NOTHING_ELSE);
}

/** What a literal is a value of, is compared with, looked up in or handed to. */
function contextOf(node: ts.Node): readonly string[] {
  const { parent } = node;
  if (ts.isBinaryExpression(parent)) {
    return [lastName(parent.left === node ? parent.right : parent.left)];
  }
  if (ts.isCaseClause(parent)) return [lastName(parent.parent.parent.expression)];
  if (ts.isElementAccessExpression(parent)) return [lastName(parent.expression)];
  if (ts.isCallExpression(parent)) {
    const called = ts.isPropertyAccessExpression(parent.expression) ? [parent.expression.expression] : [];
    return [...called, ...parent.arguments.filter((argument) => argument !== node)].map(lastName);
  }
  if (
    ts.isPropertyAssignment(parent) ||
    ts.isPropertySignature(parent) ||
    ts.isPropertyDeclaration(parent) ||
    ts.isParameter(parent) ||
    ts.isVariableDeclaration(parent) ||
    ts.isTypeAliasDeclaration(parent)
  ) {
    return [parent.name.getText()];
  }
  const transparent =
    ts.isLiteralTypeNode(parent) ||
    ts.isUnionTypeNode(parent) ||
    ts.isArrayLiteralExpression(parent) ||
    ts.isParenthesizedExpression(parent) ||
    ts.isConditionalExpression(parent) ||
    ts.isAsExpression(parent) ||
    ts.isSatisfiesExpression(parent) ||
    ts.isPropertyAccessExpression(parent) ||
    ts.isNewExpression(parent);
  return transparent ? [...alternativesIn(parent, node), ...contextOf(parent)] : [];
}

/** `"macvlan"` beside `"macvtap"`, in a union, a list, a choice, or as keys of a map's pairs. */
function alternativesIn(parent: ts.Node, node: ts.Node): readonly string[] {
  const texts: string[] = [];
  ts.forEachChild(parent, (child) => {
    const inner = ts.isLiteralTypeNode(child) ? child.literal : child;
    const literal = ts.isArrayLiteralExpression(inner) ? inner.elements[0] : inner;
    if (child !== node && literal !== undefined && ts.isStringLiteralLike(literal)) texts.push(literal.text);
  });
  return texts;
}

function lastName(node: ts.Expression): string {
  return /([\w$]+)\W*$/.exec(node.getText())?.[1] ?? "";
}

function namesInText(text: string, name: string): boolean {
  const written = name.replace(/[^\w]/g, "\\$&");
  if (new RegExp(`(?<![\\w-])${written} ?: ?\\{|binding: ?\\{ ?name: ?${written}\\b`).test(text)) return true;
  if (!new RegExp(`(?<![A-Za-z0-9])${written}(?![A-Za-z0-9])`, "i").test(text)) return false;
  return !otherThing(name).text.test(text);
}

function textOf(node: ts.Node): string | undefined {
  if (ts.isStringLiteralLike(node) || ts.isRegularExpressionLiteral(node)) return node.text;
  if (!ts.isTemplateExpression(node)) return undefined;
  return [node.head.text, ...node.templateSpans.map(({ literal }) => literal.text)].join("…");
}

function isImport({ parent }: ts.Node): boolean {
  return ts.isImportDeclaration(parent) || ts.isExportDeclaration(parent) || ts.isImportTypeNode(parent);
}

function isEmptyObject(node: ts.Expression): boolean {
  return ts.isObjectLiteralExpression(node) && node.properties.length === 0;
}

/** Are the words of the name, in their order, among those of the identifier? */
function hasWords(identifier: string, name: string): boolean {
  return `-${wordsOf(identifier)}-`.includes(`-${wordsOf(name)}-`);
}

/** `passtBinding`, `PASST_BINDING` → `passt-binding`. */
function wordsOf(text: string): string {
  return text
    .replace(/([a-z0-9])([A-Z])/g, "$1-$2")
    .replace(/[^A-Za-z0-9]+/g, "-")
    .toLowerCase();
}

function otherThing(name: string): OtherThing {
  return OTHER_THINGS[name] ?? NOTHING_ELSE;
}
