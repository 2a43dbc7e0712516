import type { Relation } from '../../catalog/relations.ts'
import { CorruptionError } from '../../common/errors.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import { checkPageChecksum } from '../../page/checksum.ts'
import { checkPageHeader, isZeroPage } from '../../page/header.ts'
import { checkLinePointers, linePointer, linePointerCount, LP_NORMAL, lpFlags, lpLen, lpOff } from '../../page/linepointer.ts'
import { readTupleHeader } from '../../tuple/header.ts'
import type { Cluster } from '../cluster.ts'
import type { RelationFork } from '../datadir/segments.ts'
import { buildToastIndex } from '../toast/toastindex.ts'
import { ToastReader } from '../toast/toastreader.ts'
import { isVisibleState, tupleState, type TupleState, xmaxText } from './tuplestate.ts'
import { TupleValues } from './tuplevalues.ts'

/** One row version. */
export interface TableRow {
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

export interface TableReaderOptions {
  /** All row versions; else those that are visible. */
  dead?: boolean
  /**
   * Called for a page or tuple that is damaged; reading goes on behind it. Without it the error is thrown.
   */
  onDamage?: (error: CorruptionError) => void
}

/** A relation's pages → rows of text. Close it: it holds files open. */
export class TableReader {
  /** Bytes behind the last whole block: not read, as no server reads them. */
  readonly trailingBytes: number
  /** Names of the columns, in order. */
  readonly columns: readonly string[]
  /** Row versions met whose transaction's status is lost. */
  unknownRows = 0
  private readonly cluster: Cluster
  private readonly relation: Relation
  private readonly fork: RelationFork
  private readonly values: TupleValues
  private toastFork: RelationFork | undefined
  private toastReader: ToastReader | undefined

  /** @throws CorruptionError relation.* */
  constructor(cluster: Cluster, relation: Relation) {
    this.cluster = cluster
    this.relation = relation
    this.fork = cluster.openMain(relation)
    this.trailingBytes = this.fork.trailingBytes
    this.values = new TupleValues(relation, cluster.major, () => this.toast())
    this.columns = this.values.names
  }

  /**
   * Row versions in physical order, read page by page.
   * @throws CorruptionError with relation, block, offset, attribute, unless options.onDamage takes it
   */
  *rows(options: TableReaderOptions = {}): Generator<TableRow> {
    const page = new Uint8Array(BLOCK_SIZE)
    for (let block = 0; block < this.fork.blocks; block++) {
      this.fork.read(block, 1, page)
      if (!this.guard(block, undefined, options, () => this.check(page, block))) continue
      const count = isZeroPage(page) ? 0 : linePointerCount(page)
      for (let offset = 1; offset <= count; offset++) {
        const row = this.guard(block, offset, options, () => this.row(page, block, offset, options.dead === true))
        if (row) yield row
      }
    }
  }

  close(): void {
    this.fork.close()
    this.toastFork?.close()
    this.toastFork = this.toastReader = undefined
  }

  private guard<T>(block: number, offset: number | undefined, { onDamage }: TableReaderOptions, body: () => T): T | undefined {
    try {
      return body()
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error
      const { database, schema, name } = this.relation
      error.at({ relation: `${database.name}.${schema}.${name}`, block, ...(offset !== undefined && { offset }) })
      if (!onDamage) throw error
      onDamage(error)
      return undefined
    }
  }

  private check(page: Uint8Array, block: number): true {
    if (isZeroPage(page)) return true
    if (this.cluster.checksums) checkPageChecksum(page, block)
    checkPageHeader(page)
    checkLinePointers(page)
    return true
  }

  /** Undefined if the line pointer has no tuple, or one that is not asked for. */
  private row(page: Uint8Array, block: number, offset: number, dead: boolean): TableRow | undefined {
    const item = linePointer(page, offset)
    if (lpFlags(item) !== LP_NORMAL) return undefined
    const start = lpOff(item)
    const header = readTupleHeader(page, start)
    const state = tupleState(this.cluster.snapshot, header, block, offset)
    const { xmin, xmax, infomask, cid } = header
    const visible = isVisibleState(state) || (state === 'unknown' && this.cluster.snapshot.isVisible(xmin, xmax, infomask, cid))
    if (state === 'unknown') this.unknownRows++
    if (!dead && !visible) return undefined
    const row = { block, offset, xmin: header.xmin, xmax: xmaxText(header), next: `(${header.ctidBlock},${header.ctidOffset})`, state }
    const whole = state === 'inserting' || isVisibleState(state)
    try {
      const read = this.values.read(page, start, start + lpLen(item), header, whole)
      return { ...row, ...read, problem: null }
    } catch (error) {
      // Its transaction may have changed the table and not committed: then no catalog describes it.
      if (isVisibleState(state) || !(error instanceof CorruptionError)) throw error
      return { ...row, values: this.columns.map(() => undefined), dangling: [], problem: error.message }
    }
  }

  private toast(): ToastReader | undefined {
    if (this.toastReader || this.relation.toastRelId === 0) return this.toastReader
    const { database, toastRelId } = this.relation
    const toast = this.cluster.relations(database.oid).find(({ oid, visible }) => oid === toastRelId && visible)
    if (!toast) return undefined
    this.toastFork = this.cluster.openMain(toast)
    this.toastReader = new ToastReader(toastRelId, this.toastFork, buildToastIndex(this.toastFork, this.cluster.snapshot))
    return this.toastReader
  }
}
