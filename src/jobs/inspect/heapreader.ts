import type { TupleDesc } from '../../catalog/tupledesc.ts'
import { CorruptionError, UnsupportedError } from '../../common/errors.ts'
import type { PgMajor } from '../../common/pgversion.ts'
import type { ToastSource } from '../../tuple/toastsource.ts'
import { checkPageChecksum } from '../../page/checksum.ts'
import { checkPageHeader, isZeroPage } from '../../page/header.ts'
import { checkLinePointers, linePointer, linePointerCount, LP_NORMAL, lpFlags, lpLen, lpOff } from '../../page/linepointer.ts'
import { readTupleHeader } from '../../tuple/header.ts'
import type { Snapshot } from '../../xact/snapshot.ts'
import type { SegmentPages } from '../../io/datadir/segmentpages.ts'
import { isOfThisForm, isVisibleState, tupleState, type TupleState, xmaxText } from '../../xact/tuplestate.ts'
import { type TupleText, TupleValues, type ValueError, type ValueRules } from '../../columnar/tuplevalues.ts'

/** One row version. */
export interface HeapRow {
  block: number
  /** Line pointer number, from 1. */
  offset: number
  xmin: number
  /** xmax as text; a multixact is marked. */
  xmax: string
  /** t_ctid: the row version itself, or its successor. */
  next: string
  state: TupleState
  /** Canonical text per column; undefined for NULL. */
  values: readonly (string | undefined)[]
  /** Columns whose out-of-line value is gone; the value is then the TOAST pointer as `\x…`. */
  dangling: readonly string[]
  /** Columns whose type's codec does not accept the value; it is then the stored bytes as `\x…`. */
  unreadable: readonly string[]
  /** Why an invisible row version has no values: for example, it was written while the table had other columns. Null if it has values. */
  problem: string | null
}

export interface HeapReaderOptions {
  /** True: all row versions. False: those that are visible. */
  dead?: boolean
  /**
   * Called for a page, tuple or value that is damaged; reading goes on behind it. Without it the error is thrown.
   */
  onDamage?: (error: ValueError) => void
}

/** The files of a table, and what reading them needs: descriptor, TOAST, visibility. */
export interface HeapTable {
  /** For messages about damage. */
  name: string
  fork: SegmentPages
  checksums: boolean
  major: PgMajor
  snapshot: Snapshot
  desc: TupleDesc | undefined
  /** pg_database.encoding. */
  encoding: number
  /** What its out-of-line values are read from; undefined without a TOAST relation. Called for the first such value. */
  toast: () => ToastSource | undefined
  /**
   * What becomes of a row version that is not dead and lacks an out-of-line value. `error`: the row version is damaged. `pointer`: the value is shown
   * as its TOAST pointer and reported as damage. `ignore`: it is shown as its pointer, since the caller may not have given the TOAST file.
   */
  missingToast: 'error' | 'pointer' | 'ignore'
}

/** A heap's pages → rows of text. Close it: it holds files open. */
export class HeapReader {
  /** Bytes behind the last whole block: not read, as no server reads them. */
  readonly trailingBytes: number
  /** Names of the columns, in order. */
  readonly columns: readonly string[]
  /** Row versions met whose transaction's status is lost. */
  unknownRows = 0
  /** Values that were shown as bytes, and, of row versions that may count, as TOAST pointers. */
  unreadableValues = 0
  missingValues = 0
  /** Row versions with bytes behind their last attribute, and the most attributes that one had: they show that the given columns do not fit. */
  leftOverRows = 0
  attributesMax = 0
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
   * @throws CorruptionError with relation, block, offset, attribute, unless options.onDamage takes it; UnsupportedError for a value likewise
   */
  *rows(options: HeapReaderOptions = {}): Generator<HeapRow> {
    for (let block = 0; block < this.table.fork.blocks; block++) {
      const page = this.guard(block, undefined, options, () => this.page(block))
      if (page === undefined) continue
      const count = isZeroPage(page) ? 0 : linePointerCount(page)
      for (let offset = 1; offset <= count; offset++) {
        const row = this.guard(block, offset, options, () => this.row(page, block, offset, options))
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
      this.report(error, block, offset, onDamage)
      return undefined
    }
  }

  private report(error: ValueError, block: number, offset: number | undefined, onDamage: HeapReaderOptions['onDamage']): void {
    error.at({ relation: this.table.name, block, ...(offset !== undefined && { offset }) })
    if (!onDamage) throw error
    onDamage(error)
  }

  private page(block: number): Uint8Array {
    const page = this.table.fork.read(block)
    if (isZeroPage(page)) return page
    if (this.table.checksums) checkPageChecksum(page, block)
    checkPageHeader(page)
    checkLinePointers(page)
    return page
  }

  /** Undefined if the line pointer has no tuple, or one that is not asked for. */
  private row(page: Uint8Array, block: number, offset: number, { dead, onDamage }: HeapReaderOptions): HeapRow | undefined {
    const item = linePointer(page, offset)
    if (lpFlags(item) !== LP_NORMAL) return undefined
    const start = lpOff(item)
    const header = readTupleHeader(page, start)
    const state = tupleState(this.table.snapshot, header, block, offset)
    const { xmin, xmax, infomask, cid } = header
    const visible = isVisibleState(state) || (state === 'unknown' && this.table.snapshot.isVisible(xmin, xmax, infomask, cid))
    if (state === 'unknown') this.unknownRows++
    if (dead !== true && !visible) return undefined
    const row = { block, offset, xmin: header.xmin, xmax: xmaxText(header), next: `(${header.ctidBlock},${header.ctidOffset})`, state }
    const counts = state === 'inserting' || isVisibleState(state)
    const rules: ValueRules = {
      unreadable: isOfThisForm(state) ? 'hex' : 'error', lost: counts && this.table.missingToast === 'error' ? 'error' : 'pointer',
    }
    let read: TupleText
    try {
      read = this.values.read(page, start, start + lpLen(item), header, rules)
    } catch (error) {
      if (isVisibleState(state) || !(error instanceof CorruptionError || error instanceof UnsupportedError)) throw withAdvice(error)
      return { ...row, values: this.columns.map(() => undefined), dangling: [], unreadable: [], problem: error.message }
    }
    const { values, unreadable, lost } = read
    if (counts) this.missingValues += lost.length
    this.unreadableValues += unreadable.length
    if (read.leftOver > 0) this.leftOverRows++
    this.attributesMax = Math.max(this.attributesMax, header.natts)
    for (const error of unreadable) this.report(error, block, offset, onDamage)
    if (counts && this.table.missingToast === 'pointer') for (const error of lost) this.report(error, block, offset, onDamage)
    return { ...row, values, dangling: namesOf(lost), unreadable: namesOf(unreadable), problem: null }
  }
}

function namesOf(errors: readonly ValueError[]): string[] {
  return errors.map(({ position }) => position.attribute!)
}

/** Only a missing out-of-line value costs a visible row, and only where the caller wants it so. */
function withAdvice(error: unknown): unknown {
  if (!(error instanceof CorruptionError) || !/^(toast|compression|relation)\./.test(error.code)) return error
  return new CorruptionError(error.code, `${error.reason}; --on-corrupt carry shows its TOAST pointer and the rest of the row`, error.position)
}
