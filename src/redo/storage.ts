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

/** Pages held at once while they are only looked at. */
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
      // Free space maps are not kept.
      if (fork === FSM_FORK) return
      this.store.create(locator, fork)
      this.buffers.relations.forget()
    } else if (record.op === XLOG_SMGR_TRUNCATE) {
      this.truncate(decodeSmgrTruncate(record), record)
    } else {
      throw unknown('redo.smgr', record)
    }
  }

  private truncate({ locator, blocks, flags }: SmgrTruncate, record: WalRecord): void {
    const { store, buffers } = this
    // The relation is made if it is not there: it may be dropped later on. Of an index there is nothing to cut.
    if (buffers.relations.fork(locator, MAIN_FORK) === undefined) return
    if (flags & SMGR_TRUNCATE_HEAP) {
      this.showPages(locator, blocks, record)
      store.truncate(locator, MAIN_FORK, blocks)
      buffers.invalid.truncated(locator, MAIN_FORK, blocks)
    }
    if (flags & SMGR_TRUNCATE_VM && store.exists(locator, VISIBILITYMAP_FORK)) this.truncateMap(locator, blocks)
  }

  /** visibilitymap_prepare_truncate: bits behind the end are cleared where the page stays. Its LSN stays too. */
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

  /** RM_XACT_ID: files of relations that the transaction dropped, or made and then failed. */
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
    // Most say nothing about files; those are checked by whoever keeps the status of transactions.
    if (!dropsRelfiles(record)) return
    const { end } = this
    end.decode(record, this.major)
    for (let i = 0; i < end.relfileCount; i++) {
      const locator = end.relfile(i)
      this.showPages(locator, 0, record)
      this.buffers.invalid.dropped(locator)
      this.store.drop(locator)
    }
    this.buffers.relations.forget()
  }

  /** Shows an observer the pages that go. They may be more than memory takes: it may have a few at a time, before the record changes any. */
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

  /** RM_DBASE_ID: dbase_redo (dbcommands.c). */
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
   * Before the pages are consistent a missing source counts as empty: it was dropped before it was copied, by a record still to come.
   * Later it is damage (recovery_create_dbdir, dbcommands.c).
   */
  private copyDatabase(from: DatabaseDirectory, to: DatabaseDirectory): void {
    if (this.buffers.invalid.consistent && !this.store.directoryExists(from)) {
      throw new CorruptionError('redo.database', `database ${from.dbOid} in tablespace ${from.spcOid} is to be copied, but its directory does not exist`)
    }
    this.store.copyDatabase(from, to)
  }

  /** RM_TBLSPC_ID: tblspc_redo (tablespace.c). Where the primary has it does not matter. */
  tblspc(record: WalRecord): void {
    if (record.op === XLOG_TBLSPC_CREATE) this.store.createTablespace(decodeTblspcCreate(record).oid)
    else if (record.op === XLOG_TBLSPC_DROP) this.store.dropTablespace(decodeTblspcDrop(record))
    else throw unknown('redo.tblspc', record)
    this.buffers.relations.forget()
  }

  /** RM_RELMAP_ID: relmap_redo (relmapper.c). */
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
    if ((dbOid === 0) !== (spcOid === GLOBAL_TABLESPACE)) {
      throw new CorruptionError('redo.relmap', `a relation map for database ${dbOid} in tablespace ${spcOid}`)
    }
    this.store.writeRelationMap({ spcOid, dbOid }, bytes)
  }
}

function unknown(code: string, record: WalRecord): UnsupportedError {
  return new UnsupportedError(code, `unknown record of rmgr ${record.rmgr}, info 0x${record.info.toString(16)}`)
}
