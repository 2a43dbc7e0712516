import type { TupleDesc } from '../../catalog/tupledesc.ts'
import { CorruptionError } from '../../common/errors.ts'
import type { PgMajor } from '../../common/pgversion.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import type { ToastSource } from '../../columnar/toastsource.ts'
import { checkPageChecksum } from '../../page/checksum.ts'
import { checkPageHeader, isZeroPage } from '../../page/header.ts'
import { checkLinePointers, linePointer, linePointerCount, LP_NORMAL, lpFlags, lpLen, lpOff } from '../../page/linepointer.ts'
import { readTupleHeader } from '../../tuple/header.ts'
import type { Snapshot } from '../../xact/visibility.ts'
import type { RelationFork } from '../datadir/segments.ts'
import { isVisibleState, tupleState, type TupleState, xmaxText } from './tuplestate.ts'
import { TupleValues } from './tuplevalues.ts'

/** One row version. */
export interface HeapRow {
  block: number
  /** Line pointer number, from 1. */
  offset: number
  xmin: number
  /** A multixact is marked. */
  xmax: string
  /** t_ctid: itself, or its successor. */
  next: string
  state: TupleState
  /** Canonical text per column; undefined for NULL. */
  values: readonly (string | undefined)[]
  /** Columns of a dead version whose out-of-line value is gone; the value is then the TOAST pointer as `\x…`. */
  dangling: readonly string[]
  /** Why a version that nobody may see has no values: its bytes are of another form of the table. */
  problem: string | null
}

export interface HeapReaderOptions {
  /** All row versions; else those that are visible. */
  dead?: boolean
  /**
   * Called for a page or tuple that is damaged; reading goes on behind it. Without it the error is thrown.
   */
  onDamage?: (error: CorruptionError) => void
}

/** Where the pages of a table are, and what is needed to read them. */
export interface HeapTable {
  /** For messages about damage. */
  name: string
  fork: RelationFork
  checksums: boolean
  major: PgMajor
  snapshot: Snapshot
  desc: TupleDesc | undefined
  /** pg_database.encoding. */
  encoding: number
  /** What its out-of-line values are read from; undefined if there is none. Called when the first one is met. */
  toast: () => ToastSource | undefined
  /** Live row versions, too, may lack out-of-line values: they are shown as dangling. */
  mayLackToast?: boolean
}

/** A heap's pages → rows of text. Close it: it holds files open. */
export class HeapReader {
  /** Bytes behind the last whole block: not read, as no server reads them. */
  readonly trailingBytes: number
  /** Names of the columns, in order. */
  readonly columns: readonly string[]
  /** Row versions met whose transaction's status is lost. */
  unknownRows = 0
  protected readonly table: HeapTable
  private readonly values: TupleValues

  constructor(table: HeapTable) {
    this.table = table
    this.trailingBytes = table.fork.trailingBytes
    const { desc, encoding, major, toast } = table
    this.values = new TupleValues({ desc, database: { encoding } }, major, toast)
    this.columns = this.values.names
  }

  /**
   * Row versions in physical order, read page by page.
   * @throws CorruptionError with relation, block, offset, attribute, unless options.onDamage takes it
   */
  *rows(options: HeapReaderOptions = {}): Generator<HeapRow> {
    const page = new Uint8Array(BLOCK_SIZE)
    for (let block = 0; block < this.table.fork.blocks; block++) {
      this.table.fork.read(block, 1, page)
      if (!this.guard(block, undefined, options, () => this.check(page, block))) continue
      const count = isZeroPage(page) ? 0 : linePointerCount(page)
      for (let offset = 1; offset <= count; offset++) {
        const row = this.guard(block, offset, options, () => this.row(page, block, offset, options.dead === true))
        if (row) yield row
      }
    }
  }

  close(): void {
    this.table.fork.close()
  }

  private guard<T>(block: number, offset: number | undefined, { onDamage }: HeapReaderOptions, body: () => T): T | undefined {
    try {
      return body()
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error
      error.at({ relation: this.table.name, block, ...(offset !== undefined && { offset }) })
      if (!onDamage) throw error
      onDamage(error)
      return undefined
    }
  }

  private check(page: Uint8Array, block: number): true {
    if (isZeroPage(page)) return true
    if (this.table.checksums) checkPageChecksum(page, block)
    checkPageHeader(page)
    checkLinePointers(page)
    return true
  }

  /** Undefined if the line pointer has no tuple, or one that is not asked for. */
  private row(page: Uint8Array, block: number, offset: number, dead: boolean): HeapRow | undefined {
    const item = linePointer(page, offset)
    if (lpFlags(item) !== LP_NORMAL) return undefined
    const start = lpOff(item)
    const header = readTupleHeader(page, start)
    const state = tupleState(this.table.snapshot, header, block, offset)
    const { xmin, xmax, infomask, cid } = header
    const visible = isVisibleState(state) || (state === 'unknown' && this.table.snapshot.isVisible(xmin, xmax, infomask, cid))
    if (state === 'unknown') this.unknownRows++
    if (!dead && !visible) return undefined
    const row = { block, offset, xmin: header.xmin, xmax: xmaxText(header), next: `(${header.ctidBlock},${header.ctidOffset})`, state }
    const whole = this.table.mayLackToast !== true && (state === 'inserting' || isVisibleState(state))
    try {
      const read = this.values.read(page, start, start + lpLen(item), header, whole)
      return { ...row, ...read, problem: null }
    } catch (error) {
      // Its transaction may have changed the table and not committed: then no catalog describes it.
      if (isVisibleState(state) || !(error instanceof CorruptionError)) throw error
      return { ...row, values: this.columns.map(() => undefined), dangling: [], problem: error.message }
    }
  }
}
