import * as v from 'valibot'
import { CorruptionError, isPositioned, UnsupportedError } from '../common/errors.ts'
import { formatWalPosition } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { flag, type Schema } from '../common/validate.ts'
import { restoreImage } from '../wal/blockimage.ts'
import { FORK_NAMES, FSM_FORK, VISIBILITYMAP_FORK } from '../common/relpath.ts'
import type { WalRecord } from '../wal/record.ts'
import {
  RM_BRIN_ID, RM_BTREE_ID, RM_CLOG_ID, RM_COMMIT_TS_ID, RM_DBASE_ID, RM_GENERIC_ID, RM_GIN_ID, RM_GIST_ID, RM_HASH_ID, RM_HEAP2_ID, RM_HEAP_ID,
  RM_LOGICALMSG_ID, RM_MIN_CUSTOM_ID, RM_MULTIXACT_ID, RM_RELMAP_ID, RM_REPLORIGIN_ID, RM_SEQ_ID, RM_SMGR_ID, RM_SPGIST_ID, RM_STANDBY_ID,
  RM_TBLSPC_ID, RM_XACT_ID, RM_XLOG_ID,
} from '../wal/rmgr.ts'
import {
  decodeCheckPoint, decodeCheckpointRedo, decodeEndOfRecovery, decodeParameterChange, WAL_LEVEL_MINIMAL, XLOG_BACKUP_END,
  XLOG_CHECKPOINT_ONLINE, XLOG_CHECKPOINT_REDO, XLOG_CHECKPOINT_SHUTDOWN, XLOG_END_OF_RECOVERY, XLOG_FPI, XLOG_FPI_FOR_HINT, XLOG_FPW_CHANGE,
  XLOG_NEXTOID, XLOG_NOOP, XLOG_OVERWRITE_CONTRECORD, XLOG_PARAMETER_CHANGE, XLOG_RESTORE_POINT, XLOG_SWITCH,
} from '../wal/xlog.ts'
import { isIndexPage, RedoBuffers, type RedoObserver } from './buffers.ts'
import { redoGeneric } from './generic.ts'
import { HeapRedo } from './heap.ts'
import { Heap2Redo } from './heap2.ts'
import { redoSequence } from './sequence.ts'
import { StorageRedo } from './storage.ts'
import { INVALID_PAGE, type InvalidPage } from './invalidpages.ts'
import type { RedoPage, RedoStore } from './store.ts'
import { VisibilityMapRedo } from './visibilitymap.ts'

/** What redo must know of the cluster before the first record. */
export interface RedoSettings {
  major: PgMajor
  /**
   * The cluster has data checksums (pg_control: data_checksum_version). These or wal_log_hints decide whether VISIBLE moves the LSN of
   * the heap page.
   */
  checksums: boolean
  /** wal_log_hints (pg_control); a PARAMETER_CHANGE record changes it. */
  walLogHints: boolean
  /** Blocks that an earlier redo of the same pages found missing: `invalidPages` of its {@link RedoState}. */
  invalidPages?: readonly InvalidPage[]
}

/** What redo knows beside the pages. Plain data: JSON and back is the same. */
export interface RedoState {
  walLogHints: boolean
  /** Blocks that records changed and that were not there. The list is empty once the pages are consistent. */
  invalidPages: InvalidPage[]
}

/** The check of a RedoState that was stored as JSON. */
export const REDO_STATE: Schema<RedoState> = v.strictObject({ walLogHints: flag, invalidPages: v.array(INVALID_PAGE) })

/**
 * Applies WAL records to pages, relation files, database directories and relation maps: what RmgrTable's rm_redo functions do (rmgrlist.h). The
 * result equals, byte for byte but for pd_checksum, what recovery of a real server leaves. Index pages and free space maps are not kept. The
 * status of transactions is kept by TransactionLog (xact/transactionlog.ts).
 */
export class Redo {
  private readonly store: RedoStore
  private readonly major: PgMajor
  private readonly checksums: boolean
  private walLogHints: boolean
  private readonly buffers: RedoBuffers
  private readonly heap: HeapRedo
  private readonly heap2: Heap2Redo
  private readonly storage: StorageRedo
  private readonly observer: RedoObserver
  private readonly scratch: RedoPage = newPage()

  constructor(store: RedoStore, { major, checksums, walLogHints, invalidPages = [] }: RedoSettings, observer: RedoObserver = {}) {
    this.store = store
    this.major = major
    this.checksums = checksums
    this.walLogHints = walLogHints
    this.observer = observer
    this.buffers = new RedoBuffers(store, observer, invalidPages, checksums)
    const visibilityMap = new VisibilityMapRedo(this.buffers, major)
    this.heap = new HeapRedo(this.buffers, visibilityMap, major)
    this.heap2 = new Heap2Redo(this.buffers, visibilityMap, this.heap, major, checksums || walLogHints)
    this.storage = new StorageRedo(store, this.buffers, major)
  }

  /**
   * Applies one record. After an error the pages it touched may be half changed: nothing must be applied or kept from there on.
   * @throws CorruptionError, UnsupportedError: with the record's LSN, and relation and block as far as they are known
   */
  apply(record: WalRecord): void {
    this.buffers.begin(record)
    try {
      this.dispatch(record)
      if (this.observer.afterRecord !== undefined) this.observer.afterRecord(record)
    } catch (error) {
      throw this.locate(error, record)
    }
    this.store.endRecord()
  }

  /** A copy of what redo knows beside the pages, to be stored with them. */
  state(): RedoState {
    return { walLogHints: this.walLogHints, invalidPages: this.buffers.invalid.list() }
  }

  /**
   * CheckRecoveryConsistency (xlogrecovery.c): from this record on all pages belong to one LSN. A record for a missing block is damage from now on.
   * @throws CorruptionError redo.invalid-page if records changed blocks that were missing, and no truncate or drop explained them
   */
  reachedConsistency(): void {
    this.buffers.invalid.reachedConsistency()
    this.observer.reachedConsistency?.()
  }

  private dispatch(record: WalRecord): void {
    switch (record.rmgr) {
      case RM_HEAP_ID: return this.heap.apply(record)
      case RM_HEAP2_ID: return this.heap2.apply(record)
      case RM_XACT_ID: return this.storage.xact(record)
      case RM_XLOG_ID: return this.xlog(record)
      case RM_BTREE_ID:
      case RM_HASH_ID:
      case RM_GIN_ID:
      case RM_GIST_ID:
      case RM_SPGIST_ID:
      case RM_BRIN_ID: return this.index(record)
      case RM_SMGR_ID: return this.storage.smgr(record)
      case RM_SEQ_ID: return redoSequence(this.buffers, record)
      case RM_DBASE_ID: return this.storage.dbase(record)
      case RM_TBLSPC_ID: return this.storage.tblspc(record)
      case RM_RELMAP_ID: return this.storage.relmap(record)
      // These records concern transaction status, locks, caches and messages. They change no page of a relation.
      case RM_CLOG_ID:
      case RM_MULTIXACT_ID:
      case RM_STANDBY_ID:
      case RM_COMMIT_TS_ID:
      case RM_REPLORIGIN_ID:
      case RM_LOGICALMSG_ID: return
      case RM_GENERIC_ID: return redoGeneric(this.buffers, record)
      default:
        // Since 15 extensions may register resource managers with ids from 128 on. Another id without a case above is damage.
        if (record.rmgr < RM_MIN_CUSTOM_ID || this.major < 15) throw new CorruptionError('redo.rmgr', `unknown resource manager ${record.rmgr}`)
        this.foreign(record)
    }
  }

  /** RM_XLOG_ID: the parts of xlog_redo (xlog.c) that concern pages or say whether the WAL has all changes. */
  private xlog(record: WalRecord): void {
    switch (record.op) {
      case XLOG_FPI:
      case XLOG_FPI_FOR_HINT: return this.images(record)
      case XLOG_PARAMETER_CHANGE: {
        const { walLevel, walLogHints } = decodeParameterChange(record)
        refuseMinimal(walLevel)
        this.walLogHints = walLogHints
        // XLogHintBitIsNeeded (xlog.h). The setting changes at the server's start, and this record is the only word about it in the WAL.
        this.heap2.hintsAreLogged = this.checksums || walLogHints
        return
      }
      case XLOG_CHECKPOINT_SHUTDOWN:
      case XLOG_CHECKPOINT_ONLINE: return refuseMinimal(decodeCheckPoint(record, this.major).walLevel)
      case XLOG_END_OF_RECOVERY: return refuseMinimal(decodeEndOfRecovery(record, this.major).walLevel)
      case XLOG_CHECKPOINT_REDO:
        // 17 added this record at the redo point of an online checkpoint. In older WAL the opcode is damage.
        if (this.major < 17) break
        return refuseMinimal(decodeCheckpointRedo(record))
      case XLOG_NOOP:
      case XLOG_NEXTOID:
      case XLOG_SWITCH:
      case XLOG_BACKUP_END:
      case XLOG_RESTORE_POINT:
      case XLOG_FPW_CHANGE:
      case XLOG_OVERWRITE_CONTRECORD: return
    }
    throw new UnsupportedError('redo.xlog', `unknown record, info 0x${record.info.toString(16)}`)
  }

  /**
   * Full-page images. An FPI record without an image is damage. FPI_FOR_HINT may name a block without one if full_page_writes is off (xlog_redo):
   * the hint that it is for does not matter to redo.
   */
  private images(record: WalRecord): void {
    const { buffers } = this
    for (let i = 0; i < record.blockCount; i++) {
      const block = record.blocks[i]!
      buffers.block = block
      if (!block.applyImage) {
        if (block.hasImage || record.op === XLOG_FPI) throw new CorruptionError('redo.xlog', 'an FPI record whose block has no full-page image to apply')
        continue
      }
      if (block.fork === FSM_FORK || buffers.relations.fork(block, block.fork) === undefined) continue
      // CREATE INDEX writes its pages as images: an index shows itself this way before the first record of its resource manager.
      buffers.restore(record, block)
      if (block.fork !== VISIBILITYMAP_FORK && isIndexPage(buffers.page, block.block)) buffers.relations.disown(block)
    }
  }

  /** Records of index access methods tell which relations are indexes. */
  private index(record: WalRecord): void {
    for (let i = 0; i < record.blockCount; i++) this.buffers.relations.disown(record.blocks[i]!)
  }

  /**
   * Records of an extension's resource manager. They usually change index pages, which are not kept. A change of a kept relation would follow
   * rules that only the extension knows, so it is refused.
   */
  private foreign(record: WalRecord): void {
    const { buffers, scratch } = this
    for (let i = 0; i < record.blockCount; i++) {
      const block = record.blocks[i]!
      buffers.block = block
      if (block.fork === FSM_FORK || buffers.relations.fork(block, block.fork) === undefined) continue
      if (block.hasImage) {
        restoreImage(record, block, scratch.bytes)
        if (isIndexPage(scratch, block.block)) {
          buffers.relations.disown(block)
          continue
        }
      }
      throw new UnsupportedError('redo.rmgr', `a record of resource manager ${record.rmgr} changes a table: its access method is not heap`)
    }
  }

  private locate(error: unknown, record: WalRecord): unknown {
    const { block } = this.buffers
    // A DataView throws RangeError for a read past the record's bytes: a length in the record is wrong.
    const known = error instanceof RangeError ? new CorruptionError('redo.record', `the record ends too early (${error.message})`) : error
    if (!isPositioned(known)) return known
    return known.at({
      lsn: formatWalPosition(record.startLsn),
      ...(block === undefined ? {} : {
        relation: `${block.spcOid}/${block.dbOid}/${block.relNumber}`, fork: FORK_NAMES[block.fork] ?? String(block.fork), block: block.block,
      }),
    })
  }
}

function newPage(): RedoPage {
  const bytes = new Uint8Array(BLOCK_SIZE)
  return { bytes, words: new Int32Array(bytes.buffer), dirty: false }
}

/** With wal_level minimal a server does not log the rows of a table that the same transaction created (RelationNeedsWAL, rel.h). */
function refuseMinimal(walLevel: number | undefined): void {
  if (walLevel === WAL_LEVEL_MINIMAL) {
    throw new UnsupportedError('redo.wal-level',
      'the server ran with wal_level minimal, so its WAL does not have all changes: begin with a base backup that is newer than this record')
  }
}
