import type { BlockNumber, Oid } from '../common/ids.ts'
import type { RelFileLocator } from '../common/rel.ts'
import type { DatabaseDirectory } from '../common/relpath.ts'

/** One page in memory, two views of the same 8192 bytes. Who changes it sets {@link dirty}. */
export interface RedoPage {
  readonly bytes: Uint8Array
  readonly words: Int32Array
  dirty: boolean
  /** The page was read from disk and is not checked yet: redo checks it before it uses its content. */
  unverified?: boolean
}

/** One fork of a relation: the same object from {@link RedoStore.fork} until the relation is dropped or disowned, whatever else happens. */
export interface RedoFork {
  /** Length in blocks. */
  readonly blocks: number
  /** The page of a block, to be changed in place; undefined past the end. */
  page(block: BlockNumber): RedoPage | undefined
  /** Adds zero pages until `block` exists, and returns its page. */
  extend(block: BlockNumber): RedoPage
}

/**
 * Where redo finds and changes pages: a port. Pages stay valid until {@link endRecord}: a record that touches several of them may
 * hold all. LSNs and contents are redo's business; what is durable, and when, is the store's.
 */
export interface RedoStore {
  /**
   * A fork; made empty if the relation has none, as XLogReadBufferExtended does (xlogutils.c).
   * @returns undefined for a relation whose pages are not kept: an index
   */
  fork(spcOid: Oid, dbOid: Oid, relNumber: number, fork: number): RedoFork | undefined
  /** True if the relation is kept and has this fork; makes nothing. */
  exists(locator: RelFileLocator, fork: number): boolean
  /** The relation is an index: its pages are not kept, those that are there are forgotten. */
  disown(locator: RelFileLocator): void
  create(locator: RelFileLocator, fork: number): void
  /** Cuts a fork to `blocks` blocks; longer than it is already is no change. */
  truncate(locator: RelFileLocator, fork: number, blocks: number): void
  /** Removes every fork. Unknown relations are no error: the file may be gone already. */
  drop(locator: RelFileLocator): void
  /** True if the directory is there: copied, made, or something was put into it. */
  directoryExists(directory: DatabaseDirectory): boolean
  /** Copies all files of a database directory as they are now. */
  copyDatabase(from: DatabaseDirectory, to: DatabaseDirectory): void
  /** Makes an empty database directory. */
  createDatabase(directory: DatabaseDirectory): void
  dropDatabase(directory: DatabaseDirectory): void
  createTablespace(oid: Oid): void
  dropTablespace(oid: Oid): void
  /** Replaces pg_filenode.map; `dbOid` 0 is the shared one. */
  writeRelationMap(directory: DatabaseDirectory, bytes: Uint8Array): void
  /** The record is done: pages handed out may be written and reused. */
  endRecord(): void
}
