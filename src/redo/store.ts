import type { BlockNumber, Oid } from '../common/ids.ts'
import type { RelFileLocator } from '../common/rel.ts'
import type { DatabaseDirectory } from '../common/relpath.ts'

/** One page in memory: two views of the same 8192 bytes. Code that changes the page sets {@link dirty}. */
export interface RedoPage {
  readonly bytes: Uint8Array
  readonly words: Int32Array
  dirty: boolean
  /** The page was read from disk and is not checked yet: redo checks it before it uses its content. */
  unverified?: boolean
}

/** One fork of a relation. {@link RedoStore.fork} returns the same object for it until the relation is dropped or disowned. */
export interface RedoFork {
  /** Length in blocks. */
  readonly blocks: number
  /** The page of a block, to be changed in place; undefined past the end. */
  page(block: BlockNumber): RedoPage | undefined
  /** Adds zero pages until `block` exists, and returns its page. */
  extend(block: BlockNumber): RedoPage
}

/**
 * Where redo finds and changes pages: a port. Pages stay valid until {@link endRecord}, since a record may touch several of them. Redo decides what
 * pages contain, LSNs included. The store decides what is durable, and when.
 */
export interface RedoStore {
  /**
   * A fork. A fork that does not exist is created empty, as XLogReadBufferExtended does (xlogutils.c): its records may come before its drop.
   * @returns undefined for a relation whose pages are not kept: an index
   */
  fork(spcOid: Oid, dbOid: Oid, relNumber: number, fork: number): RedoFork | undefined
  /** True if the relation is kept and has this fork. Creates nothing. */
  exists(locator: RelFileLocator, fork: number): boolean
  /** The relation is an index: the store forgets its pages, and keeps no further ones. */
  disown(locator: RelFileLocator): void
  /** smgrcreate (smgr.c): a fork that exists stays as it is. */
  create(locator: RelFileLocator, fork: number): void
  /** Truncates a fork to `blocks` blocks. A fork that has fewer blocks stays as it is. */
  truncate(locator: RelFileLocator, fork: number, blocks: number): void
  /** Removes every fork. Unknown relations are no error: the file may be gone already. */
  drop(locator: RelFileLocator): void
  /** True if the directory exists: it was copied, a record created it, or a file was put into it. */
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
