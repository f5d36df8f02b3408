/**
 * Where the embedded cluster keeps its objects: one SQLite file, and a copy of all of it in memory.
 *
 * Theory of operation. Every change gets the next revision, and that number is the object's resourceVersion, as
 * with etcd. Reads never touch the file. A commit writes the file first, in one transaction, then memory, then
 * tells listeners; so what a client was told is in the file, and `kill -9` at any moment leaves the state after
 * some whole commit. Changes stay in a ring in memory: a watch is a cursor into it, not a queue, so that a slow
 * reader costs nothing and finds out that it fell behind by asking for a revision that is gone. After a restart
 * the ring is empty: cursors that had seen everything go on, others list again.
 *
 * Durable commits reach the disk before they return (power cut); others survive the death of the process, but
 * not of the machine. SQLite's WAL keeps their order, so a durable commit makes all earlier ones durable too.
 *
 * Objects handed out are frozen and shared: whoever wants to change one makes a new one.
 */
import { chmodSync } from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { KubeObject } from "../../api/object.ts";
import { messageOf, PodtapError } from "../../base/errors.ts";

export interface Entry {
  readonly object: KubeObject;
  /** The object as JSON, made once for the file and every client. */
  readonly text: string;
}

export interface Change extends Entry {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly revision: number;
  /** `virtualmachines.kubevirt.io` */
  readonly resource: string;
  /** What it was before; for judging whether it entered or left a selection. */
  readonly previous?: KubeObject;
}

export interface Mutation {
  readonly resource: string;
  readonly op: "put" | "delete";
  /** For a delete: as it last was. */
  readonly object: KubeObject;
}

export interface StoreOptions {
  readonly path: string;
  /** How many changes a watch may be behind. */
  readonly history?: number;
  /** How much JSON those changes may hold together. */
  readonly historyBytes?: number;
}

const SCHEMA_VERSION = 1;
const SCHEMA = `
  CREATE TABLE objects (
    resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (resource, namespace, name)
  ) WITHOUT ROWID;
  CREATE TABLE revision (one INTEGER PRIMARY KEY CHECK (one = 1), value INTEGER NOT NULL);
  INSERT INTO revision VALUES (1, 0);
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

export class Store {
  readonly #db: DatabaseSync;
  readonly #put: StatementSync;
  readonly #delete: StatementSync;
  readonly #setRevision: StatementSync;
  readonly #objects = new Map<string, Map<string, Entry>>();
  readonly #listeners = new Set<() => void>();
  readonly #historyLimit: number;
  readonly #historyBytesLimit: number;
  /** Revisions without a gap, oldest first. */
  #history: Change[] = [];
  #historyBytes = 0;
  #revision = 0;

  /** @throws PodtapError PT-STORE-1 (cannot be opened), -2 (newer schema), -3 (in use), -4 (damaged). */
  constructor(options: StoreOptions) {
    this.#historyLimit = options.history ?? 8192;
    this.#historyBytesLimit = options.historyBytes ?? 32 << 20;
    this.#db = openDatabase(options.path);
    this.#put = this.#db.prepare("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)");
    this.#delete = this.#db.prepare("DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?");
    this.#setRevision = this.#db.prepare("UPDATE revision SET value = ?");
    this.#load(options.path);
  }

  /** Revision of the last change: the resourceVersion of a list made now. */
  get revision(): number {
    return this.#revision;
  }

  /** The oldest revision a watch may resume from. */
  get oldest(): number {
    return this.#revision - this.#history.length;
  }

  get(resource: string, namespace: string, name: string): Entry | undefined {
    return this.#objects.get(resource)?.get(`${namespace}/${name}`);
  }

  /** Ordered by namespace, then name. */
  list(resource: string, namespace?: string): readonly Entry[] {
    const all = [...(this.#objects.get(resource) ?? [])];
    const prefix = `${namespace}/`;
    const wanted = namespace === undefined ? all : all.filter(([key]) => key.startsWith(prefix));
    return wanted.sort(([a], [b]) => compare(a, b)).map(([, entry]) => entry);
  }

  *all(): Iterable<{ readonly resource: string; readonly object: KubeObject }> {
    for (const [resource, objects] of this.#objects) {
      for (const { object } of objects.values()) yield { resource, object };
    }
  }

  /** All or nothing. Each mutation takes the next revision and has it written into the object. */
  commit(mutations: readonly Mutation[], durable: boolean): readonly Change[] {
    const changes = mutations.map((mutation, index) => this.#changeOf(mutation, this.#revision + 1 + index));
    const last = changes.at(-1);
    if (last === undefined) return changes;
    this.#write(changes, last.revision, durable);
    this.#revision = last.revision;
    for (const change of changes) this.#remember(change);
    this.#forgetOld();
    for (const listener of this.#listeners) listener();
    return changes;
  }

  /** Changes of every resource after the revision; undefined when some of them are forgotten or it never was. */
  changesAfter(revision: number): readonly Change[] | undefined {
    if (revision < this.oldest || revision > this.#revision) return undefined;
    return this.#history.slice(revision - this.oldest);
  }

  /** Called after each commit; must not throw. Returns how to stop. */
  onCommit(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    if (this.#db.isOpen) this.#db.close();
  }

  #changeOf({ resource, op, object }: Mutation, revision: number): Change {
    const { namespace = "", name } = object.metadata;
    const previous = this.get(resource, namespace, name)?.object;
    const text = JSON.stringify({
      ...object,
      metadata: { ...object.metadata, resourceVersion: String(revision) },
    });
    return {
      type: op === "delete" ? "DELETED" : previous === undefined ? "ADDED" : "MODIFIED",
      revision,
      resource,
      // A copy of our own: later changes to the caller's object must not reach the store.
      object: freeze(JSON.parse(text)),
      text,
      ...(previous === undefined ? {} : { previous }),
    };
  }

  #write(changes: readonly Change[], revision: number, durable: boolean): void {
    // Can only be set between transactions.
    this.#db.exec(`PRAGMA synchronous = ${durable ? "FULL" : "NORMAL"}; BEGIN IMMEDIATE`);
    try {
      for (const { type, resource, object, text } of changes) {
        const { namespace = "", name } = object.metadata;
        if (type === "DELETED") this.#delete.run(resource, namespace, name);
        else this.#put.run(resource, namespace, name, text);
      }
      this.#setRevision.run(revision);
      this.#db.exec("COMMIT");
    } catch (cause) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw new PodtapError({
        code: "PT-STORE-5",
        message: `writing ${changes.length} objects to the store failed: ${messageOf(cause)}`,
        hint: "is the disk full? `df` on the state directory; nothing was changed",
        retry: "soon",
        cause,
      });
    }
  }

  #remember(change: Change): void {
    const { namespace = "", name } = change.object.metadata;
    const key = `${namespace}/${name}`;
    if (change.type === "DELETED") {
      this.#objects.get(change.resource)?.delete(key);
    } else {
      let objects = this.#objects.get(change.resource);
      if (objects === undefined) {
        objects = new Map();
        this.#objects.set(change.resource, objects);
      }
      objects.set(key, { object: change.object, text: change.text });
    }
    this.#history.push(change);
    this.#historyBytes += change.text.length;
  }

  #forgetOld(): void {
    let drop = Math.max(0, this.#history.length - this.#historyLimit);
    for (let i = 0; i < drop; i++) this.#historyBytes -= this.#history[i]?.text.length ?? 0;
    while (this.#historyBytes > this.#historyBytesLimit && drop < this.#history.length) {
      this.#historyBytes -= this.#history[drop++]?.text.length ?? 0;
    }
    if (drop > 0) this.#history = this.#history.slice(drop);
  }

  #load(path: string): void {
    try {
      const { value } = this.#db.prepare("SELECT value FROM revision").get() as { value: number };
      this.#revision = value;
      for (const row of this.#db.prepare("SELECT resource, namespace, name, body FROM objects").iterate()) {
        const { resource, namespace, name, body } = row as Record<string, string>;
        if (resource === undefined || body === undefined) continue;
        const entry: Entry = { object: freeze(JSON.parse(body)), text: body };
        const objects = this.#objects.get(resource) ?? new Map<string, Entry>();
        this.#objects.set(resource, objects.set(`${namespace}/${name}`, entry));
      }
    } catch (cause) {
      this.close();
      throw damaged(path, cause);
    }
  }
}

function openDatabase(path: string): DatabaseSync {
  let db: DatabaseSync;
  try {
    db = new DatabaseSync(path);
    // Secrets are in it.
    chmodSync(path, 0o600);
  } catch (cause) {
    throw new PodtapError({
      code: "PT-STORE-1",
      message: `opening the store ${path} failed: ${messageOf(cause)}`,
      hint: "the directory must exist and be writable; PODTAP_STATE_DIR moves it",
      cause,
    });
  }
  try {
    // Exclusive: a second daemon on the same file fails here instead of answering from a stale memory.
    db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; BEGIN EXCLUSIVE");
    const { user_version: version } = db.prepare("PRAGMA user_version").get() as { user_version: number };
    if (version === 0) db.exec(SCHEMA);
    db.exec("COMMIT");
    if (version > SCHEMA_VERSION) throw newerSchema(path, version);
    return db;
  } catch (cause) {
    db.close();
    if (cause instanceof PodtapError) throw cause;
    throw /locked|busy/i.test(messageOf(cause)) ? inUse(path, cause) : damaged(path, cause);
  }
}

function newerSchema(path: string, version: number): PodtapError {
  return new PodtapError({
    code: "PT-STORE-2",
    message: `the store ${path} has schema ${version}, this podtap knows ${SCHEMA_VERSION}`,
    hint: "it was written by a newer podtap: run that one, or move the file away to start empty",
  });
}

function inUse(path: string, cause: unknown): PodtapError {
  return new PodtapError({
    code: "PT-STORE-3",
    message: `the store ${path} is in use by another process`,
    hint: `another node daemon runs with this state directory; \`fuser ${path}\` names it`,
    retry: "soon",
    cause,
  });
}

function damaged(path: string, cause: unknown): PodtapError {
  return new PodtapError({
    code: "PT-STORE-4",
    message: `the store ${path} cannot be read: ${messageOf(cause)}`,
    hint: "restore it from a backup, or move it away (with its -wal) to start empty; running VMs are not touched",
    cause,
  });
}

function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) freeze(inner);
  }
  return value;
}

/** By code unit: the same order everywhere, unlike locales. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
