import { CorruptionError, UnsupportedError } from '../common/errors.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { GLOBAL_TABLESPACE, type RelFileLocator } from '../common/rel.ts'
import { parseRelationMap, relationMapSize } from '../common/relationmap.ts'
import { initPage, isNewPage } from '../page/heappage.ts'
import { clearMapTail, HEAP_BLOCKS_PER_MAP_PAGE, mapBlock } from '../page/visibilitymap.ts'
import { decodeDbase } from '../wal/dbase.ts'
import { FSM_FORK, MAIN_FORK, VISIBILITYMAP_FORK } from '../common/relpath.ts'
import type { WalRecord } from '../wal/record.ts'
import { decodeRelmapUpdate, XLOG_RELMAP_UPDATE } from '../wal/relmap.ts'
import {
  decodeSmgrCreate, decodeSmgrTruncate, SMGR_TRUNCATE_HEAP, SMGR_TRUNCATE_VM, type SmgrTruncate, XLOG_SMGR_CREATE, XLOG_SMGR_TRUNCATE,
} from '../wal/smgr.ts'
import { decodeTblspcCreate, decodeTblspcDrop, XLOG_TBLSPC_CREATE, XLOG_TBLSPC_DROP } from '../wal/tblspc.ts'
import {
  dropsRelfiles, XactEnd, XLOG_XACT_ABORT, XLOG_XACT_ABORT_PREPARED, XLOG_XACT_ASSIGNMENT, XLOG_XACT_COMMIT, XLOG_XACT_COMMIT_PREPARED,
  XLOG_XACT_INVALIDATIONS, XLOG_XACT_OPMASK, XLOG_XACT_PREPARE,
} from '../wal/xact.ts'
import type { RedoBuffers } from './buffers.ts'
import type { DatabaseDirectory } from '../common/relpath.ts'
import type { RedoStore } from './store.ts'

/** How many pages the observer sees before the store may write and reuse their memory. */
const PAGES_AT_ONCE = 32

/** Files and directories as records make and remove them: relations, databases, tablespaces, relation maps. */
export class StorageRedo {
  private readonly store: RedoStore
  private readonly buffers: RedoBuffers
  private readonly major: PgMajor
  private readonly end = new XactEnd()

  constructor(store: RedoStore, buffers: RedoBuffers, major: PgMajor) {
    this.store = store
    this.buffers = buffers
    this.major = major
  }

  /** RM_SMGR_ID: smgr_redo (storage.c). */
  smgr(record: WalRecord): void {
    if (record.op === XLOG_SMGR_CREATE) {
      const { locator, fork } = decodeSmgrCreate(record)
      // Free space maps are not kept: they are not WAL-logged, and a server makes them as VACUUM finds space.
      if (fork === FSM_FORK) return
      this.store.create(locator, fork)
      this.buffers.relations.forget()
    } else if (record.op === XLOG_SMGR_TRUNCATE) {
      this.truncate(decodeSmgrTruncate(record), record)
    } else {
      throw unknown('redo.smgr', record)
    }
  }

  /** The XLOG_SMGR_TRUNCATE part of smgr_redo: VACUUM cuts empty pages off the end, and TRUNCATE a table of the same transaction to 0 blocks. */
  private truncate({ locator, blocks, flags }: SmgrTruncate, record: WalRecord): void {
    const { store, buffers } = this
    // smgr_redo creates a relation that is missing (smgrcreate): a later record may drop it, so its absence is no error. The store keeps no
    // pages of an index, so there is nothing to truncate.
    if (buffers.relations.fork(locator, MAIN_FORK) === undefined) return
    if (flags & SMGR_TRUNCATE_HEAP) {
      this.showPages(locator, blocks, record)
      store.truncate(locator, MAIN_FORK, blocks)
      // XLogTruncateRelation (xlogutils.c): the copy was taken after this truncation if blocks beyond the new end were missing.
      buffers.invalid.truncated(locator, MAIN_FORK, blocks)
    }
    if (flags & SMGR_TRUNCATE_VM && store.exists(locator, VISIBILITYMAP_FORK)) this.truncateMap(locator, blocks)
  }

  /**
   * visibilitymap_prepare_truncate (visibilitymap.c): the bits of removed heap blocks are cleared on the map page that stays. A block that is added
   * later would be taken for all-visible otherwise. The page's LSN stays.
   */
  private truncateMap(locator: RelFileLocator, blocks: number): void {
    const { store, buffers } = this
    const whole = blocks % HEAP_BLOCKS_PER_MAP_PAGE === 0
    if (!whole) {
      const page = buffers.relations.fork(locator, VISIBILITYMAP_FORK)?.page(mapBlock(blocks))
      if (page === undefined) return
      buffers.zeroOnError(page, mapBlock(blocks))
      if (isNewPage(page)) initPage(page)
      clearMapTail(page.bytes, blocks)
      page.dirty = true
    }
    store.truncate(locator, VISIBILITYMAP_FORK, mapBlock(blocks) + (whole ? 0 : 1))
  }

  /**
   * RM_XACT_ID: the part of xact_redo (xact.c) that removes files (DropRelationFiles, md.c): of relations that a committed transaction dropped,
   * or that an aborted one created. TransactionLog does the rest.
   */
  xact(record: WalRecord): void {
    switch (record.info & XLOG_XACT_OPMASK) {
      case XLOG_XACT_COMMIT:
      case XLOG_XACT_ABORT:
      case XLOG_XACT_COMMIT_PREPARED:
      case XLOG_XACT_ABORT_PREPARED: return this.dropRelations(record)
      case XLOG_XACT_PREPARE:
      case XLOG_XACT_ASSIGNMENT:
      case XLOG_XACT_INVALIDATIONS: return
      default: throw unknown('redo.xact', record)
    }
  }

  private dropRelations(record: WalRecord): void {
    // Most records name no files. TransactionLog decodes and checks every one of them, so a shortcut here loses no check.
    if (!dropsRelfiles(record)) return
    const { end } = this
    end.decode(record, this.major)
    for (let i = 0; i < end.relfileCount; i++) {
      const locator = end.relfile(i)
      // The observer sees the rows before they are gone. InvalidPages learns why blocks of this relation were missing.
      this.showPages(locator, 0, record)
      this.buffers.invalid.dropped(locator)
      this.store.drop(locator)
    }
    this.buffers.relations.forget()
  }

  /**
   * Shows the observer the pages from block `first` on, before the record removes them. A relation may be larger than the memory, so the store may
   * release pages after every {@link PAGES_AT_ONCE}: the record has changed no page so far.
   */
  private showPages(locator: RelFileLocator, first: number, record: WalRecord): void {
    const { store, buffers } = this
    const see = buffers.observer.beforeCut?.(locator, record)
    if (see === undefined || !store.exists(locator, MAIN_FORK)) return
    const fork = buffers.relations.fork(locator, MAIN_FORK)
    for (let block = first; block < (fork?.blocks ?? 0); block++) {
      const page = fork!.page(block)
      if (page !== undefined) buffers.zeroOnError(page, block)
      if (page !== undefined && !isNewPage(page)) see(page, block)
      if (block % PAGES_AT_ONCE === PAGES_AT_ONCE - 1) store.endRecord()
    }
  }

  /** RM_DBASE_ID: dbase_redo (dbcommands.c). 15 added CREATE DATABASE by WAL: one record for the directory, then the pages as images. */
  dbase(record: WalRecord): void {
    const { store, buffers } = this
    const decoded = decodeDbase(record, this.major)
    const { dbOid } = decoded
    if (decoded.kind === 'create-file-copy') {
      this.copyDatabase({ spcOid: decoded.sourceSpcOid, dbOid: decoded.sourceDbOid }, { spcOid: decoded.spcOid, dbOid })
    } else if (decoded.kind === 'create-wal-log') {
      store.createDatabase({ spcOid: decoded.spcOid, dbOid })
    } else {
      for (const spcOid of decoded.spcOids) store.dropDatabase({ spcOid, dbOid })
      buffers.invalid.databaseDropped(dbOid)
    }
    buffers.relations.forget()
  }

  /**
   * Before the pages are consistent a missing source directory counts as empty: a later record drops the source database, and that happened before
   * it was copied. Once they are consistent a missing source is damage (recovery_create_dbdir, dbcommands.c).
   */
  private copyDatabase(from: DatabaseDirectory, to: DatabaseDirectory): void {
    if (this.buffers.invalid.consistent && !this.store.directoryExists(from)) {
      throw new CorruptionError('redo.database', `database ${from.dbOid} in tablespace ${from.spcOid} is to be copied, but its directory does not exist`)
    }
    this.store.copyDatabase(from, to)
  }

  /** RM_TBLSPC_ID: tblspc_redo (tablespace.c). The path that CREATE names is one of the primary's machine, and is not used. */
  tblspc(record: WalRecord): void {
    if (record.op === XLOG_TBLSPC_CREATE) this.store.createTablespace(decodeTblspcCreate(record).oid)
    else if (record.op === XLOG_TBLSPC_DROP) this.store.dropTablespace(decodeTblspcDrop(record))
    else throw unknown('redo.tblspc', record)
    this.buffers.relations.forget()
  }

  /**
   * RM_RELMAP_ID: relmap_redo (relmapper.c). The record is a whole pg_filenode.map. A server does not look at the record's CRC of it, and writes the
   * file with one of its own; here a map with a wrong CRC is an error.
   */
  relmap(record: WalRecord): void {
    if (record.op !== XLOG_RELMAP_UPDATE) throw unknown('redo.relmap', record)
    const { dbOid, spcOid, bytes } = decodeRelmapUpdate(record)
    const size = relationMapSize(this.major)
    if (bytes.length !== size) throw new CorruptionError('redo.relmap', `the record has ${bytes.length} bytes that are not a relation map of ${size} bytes`)
    try {
      parseRelationMap(bytes, this.major)
    } catch (error) {
      throw error instanceof CorruptionError ? new CorruptionError('redo.relmap', error.reason) : error
    }
    // The map of shared catalogs is the one of database 0, and lies in pg_global. Any other pairing would write a file where no server has one.
    if ((dbOid === 0) !== (spcOid === GLOBAL_TABLESPACE)) {
      throw new CorruptionError('redo.relmap', `a relation map for database ${dbOid} in tablespace ${spcOid}`)
    }
    this.store.writeRelationMap({ spcOid, dbOid }, bytes)
  }
}

function unknown(code: string, record: WalRecord): UnsupportedError {
  return new UnsupportedError(code, `unknown record of rmgr ${record.rmgr}, info 0x${record.info.toString(16)}`)
}
