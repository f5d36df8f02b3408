/** `podtap get`: objects as `kubectl get` prints them, the rows laid out by the daemon. */
import type { KubeObject } from "../../api/object.ts";
import { ApiError } from "../../cluster/api-error.ts";
import { apiVersionOf } from "../../cluster/local/resources.ts";
import type { ApiClient, Selecting } from "./client.ts";
import { connect } from "./connect.ts";
import type { Context } from "./context.ts";
import { EXIT, type ExitCode, renderFailure, usageError } from "./failure.ts";
import { parseQuery, type Query } from "./get-query.ts";
import { lastingTableWatch, lastingWatch } from "./lasting-watch.ts";
import { type Format, type ObjectFormat, parseFormat, qualifiedKind, renderObjects } from "./output.ts";
import { TablePrinter } from "./output-table.ts";

export interface GetOptions {
  readonly namespace: string;
  readonly output?: string;
  readonly allNamespaces?: boolean;
  readonly selector?: string;
  readonly watch?: boolean;
  readonly headers: boolean;
}

export async function get(
  context: Context,
  words: readonly string[],
  options: GetOptions,
): Promise<ExitCode> {
  // Two kinds cannot be followed in one table.
  const queries = parseQuery(options.watch && words.length === 0 ? ["vmi"] : words);
  const format = parseFormat(options.output);
  if (options.allNamespaces && queries.some(({ names }) => names !== undefined)) {
    throw usageError("a name is of one namespace", "leave out -A, or the name");
  }
  const client = connect(context);
  if (options.watch) return follow(context, client, queries, format, options);
  if (format.type === "table") return printTables(context, client, queries, format.wide, options);
  return printObjects(context, client, queries, format, options);
}

async function printTables(
  context: Context,
  client: ApiClient,
  queries: readonly Query[],
  wide: boolean,
  options: GetOptions,
): Promise<ExitCode> {
  const asked = queries.flatMap(({ resource, names }) =>
    (names ?? [undefined]).map((name) => ({
      resource,
      table: client.table(resource, placeOf(options, resource, name)),
    })),
  );
  const settled = await Promise.allSettled(asked.map(({ table }) => table));
  const kinds = new Set(queries.map(({ resource }) => resource.plural));
  const printers = new Map<string, TablePrinter>();
  const blocks: string[] = [];
  const failures: unknown[] = [];
  for (const [i, result] of settled.entries()) {
    const resource = asked[i]?.resource;
    if (resource === undefined) continue;
    if (result.status === "rejected") {
      failures.push(result.reason);
      continue;
    }
    const old = printers.get(resource.plural);
    const printer =
      old ?? tablePrinter(context, options, wide, kinds.size > 1 ? qualifiedKind(resource) : undefined);
    printers.set(resource.plural, printer);
    const text = printer.print(result.value);
    if (text !== "") blocks.push(old === undefined && blocks.length > 0 ? `\n${text}` : text);
  }
  context.terminal.out(blocks.join(""));
  if (blocks.length === 0 && failures.length === 0) sayNothingFound(context, options);
  return finish(context, failures);
}

async function printObjects(
  context: Context,
  client: ApiClient,
  queries: readonly Query[],
  format: ObjectFormat,
  options: GetOptions,
): Promise<ExitCode> {
  const settled = await Promise.allSettled(
    queries.flatMap(({ resource, names }): readonly Promise<readonly KubeObject[]>[] => {
      if (names === undefined) {
        const list = client.list(resource, placeOf(options, resource, undefined));
        return [list.then(({ items }) => items.map((item) => withKind(item, resource)))];
      }
      return names.map(async (name) => [await client.get(resource, placeOf(options, resource, name))]);
    }),
  );
  const objects = settled.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
  const failures = settled.flatMap((result) =>
    result.status === "rejected" ? [result.reason as unknown] : [],
  );
  const single = queries.length === 1 && queries[0]?.names?.length === 1;
  if (objects.length > 0 || failures.length === 0) {
    context.terminal.out(await renderObjects(objects, format, single));
  }
  return finish(context, failures);
}

async function follow(
  context: Context,
  client: ApiClient,
  queries: readonly Query[],
  format: Format,
  options: GetOptions,
): Promise<ExitCode> {
  const [query, ...more] = queries;
  if (query === undefined || more.length > 0 || (query.names?.length ?? 0) > 1) {
    throw usageError("--watch follows one kind", "podtap get vmi -w");
  }
  const { resource, names } = query;
  const { namespace, labelSelector } = placeOf(options, resource, undefined);
  const fieldSelector = names === undefined ? undefined : `metadata.name=${names[0]}`;
  const where = { namespace, labelSelector, fieldSelector, signal: context.signal };
  if (format.type === "table") {
    const printer = tablePrinter(context, options, format.wide, undefined);
    for await (const { type, object } of lastingTableWatch(client, resource, where)) {
      if (type !== "BOOKMARK") context.terminal.out(printer.print(object));
    }
    return EXIT.done;
  }
  for await (const { type, object } of lastingWatch(client, resource, where)) {
    if (type !== "BOOKMARK") context.terminal.out(await renderObjects([object], format, true));
  }
  return EXIT.done;
}

function placeOf(
  { namespace, allNamespaces, selector }: GetOptions,
  resource: Query["resource"],
  name: string | undefined,
): Selecting {
  return {
    ...(resource.namespaced && !allNamespaces && { namespace }),
    ...(name !== undefined && { name }),
    ...(selector !== undefined && { labelSelector: selector }),
  };
}

function tablePrinter(
  { terminal }: Context,
  { headers, allNamespaces }: GetOptions,
  wide: boolean,
  kind: string | undefined,
): TablePrinter {
  return new TablePrinter({
    wide,
    headers,
    namespace: allNamespaces === true,
    ...(kind !== undefined && { kind }),
    paint: (colour, text) => terminal.paintOut(colour, text),
  });
}

/** Items of a list may leave their kind to the list. */
function withKind(object: KubeObject, resource: Query["resource"]): KubeObject {
  return {
    ...object,
    apiVersion: object.apiVersion ?? apiVersionOf(resource),
    kind: object.kind ?? resource.kind,
  };
}

function sayNothingFound({ terminal }: Context, { allNamespaces, namespace }: GetOptions): void {
  terminal.note(allNamespaces ? "No resources found\n" : `No resources found in ${namespace} namespace.\n`);
}

/** What was found is printed; what was not is said, once each. A daemon that broke is one error, not many. */
function finish({ terminal, verbose }: Context, failures: readonly unknown[]): ExitCode {
  const [first] = failures;
  if (first === undefined) return EXIT.done;
  if (!(first instanceof ApiError)) throw first;
  const texts = new Set(failures.map((failure) => renderFailure(failure, verbose)));
  for (const text of texts) terminal.note(text);
  return EXIT.failed;
}
