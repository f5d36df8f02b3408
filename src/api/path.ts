/** Where something is inside an object: keys and indexes. Text form as KubeVirt writes it: `a.b[0].c`. */

export type Path = readonly (string | number)[];

/** Keys that are no plain names, as of annotations, are bracketed: `metadata.annotations[podtap.io/inbound]`. */
export function formatPath(path: Path): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else if (!/^[\w$-]+$/.test(part)) text += `[${part}]`;
    else text += text === "" ? part : `.${part}`;
  }
  return text;
}

/** Is `inner` the same place as `outer`, or inside it? */
export function isWithin(outer: Path, inner: Path): boolean {
  return outer.length <= inner.length && outer.every((part, i) => part === inner[i]);
}
