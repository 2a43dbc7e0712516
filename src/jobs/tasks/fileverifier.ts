import { BlockSet } from '../../common/blockset.ts'
import { CorruptionError, EnvironmentError, isPositioned } from '../../common/errors.ts'
import type { ColumnBounds } from '../../columnar/columnbounds.ts'
import type { RowSet } from '../../columnar/filesummary.ts'
import type { PageForm } from '../../columnar/formpage.ts'
import { PageRebuilder, type RebuildOptions } from '../../columnar/rebuild.ts'
import type { SegmentPages } from '../../io/datadir/segmentpages.ts'
import { LakeFileSource } from '../../io/disk/lakefilesource.ts'
import type { BlockIndex } from '../../lake/blockindex.ts'
import { canonicalPage, firstDifference, newPageBuffer } from '../../page/canonical.ts'
import { checkPageChecksum } from '../../page/checksum.ts'
import { checkPageHeader, isZeroPage, PD_CHECKSUM } from '../../page/header.ts'
import { checkLinePointers, linePointer, LP_NORMAL, lpFlags, lpOff, usedLinePointers } from '../../page/linepointer.ts'
import { readTupleHeader } from '../../tuple/header.ts'
import type { Snapshot } from '../../xact/snapshot.ts'
import { checkFileDescriptor, type ExpectedFile } from '../lake.ts'
import { type PackedPages, unpackPages } from '../../lake/packedpages.ts'
import { crcProblem, type FileOfLake } from '../lakefile.ts'
import { BoundsVerifier } from './boundsverifier.ts'
import { IndexVerifier } from './indexverifier.ts'
import { type SnapshotKey, snapshotOf } from './snapshots.ts'
import type { SegmentFiles } from './forkpages.ts'
import type { VerifyResult } from './verifyresult.ts'

/** A data directory to hold a file against. */
export interface VerifySource {
  snapshot: SnapshotKey
  fork: SegmentFiles
}

/** A Parquet file, or pages of a pack, to prove: against itself, and against the pages it came from where there is a data directory. */
export type VerifiedFile = VerifiedRows & (Pick<FileOfLake, 'path' | 'crc32'> | { packed: PackedPages })

interface VerifiedRows {
  expected: ExpectedFile
  /** What the lake says. */
  rows: number
  checksums: boolean
  /** The relation is visible at the lake's LSN; else every row must be hidden. */
  visible: boolean
  /** Rows that must be exactly those that no reader sees, of the blocks that count. */
  hidden: () => RowSet
  /** Blocks that count; undefined for all. */
  current?: BlockSet
  /** What stands beside the file, of one of a layer. */
  index?: BlockIndex
  /** What the lake says of its columns' values. */
  bounds?: readonly ColumnBounds[]
  source: VerifySource | undefined
}

const DIFFERENCES_MAX = 20

export class FileVerifier {
  private readonly file: VerifiedFile
  private readonly fork: SegmentPages | undefined
  private readonly snapshot: Snapshot | undefined
  private readonly source = newPageBuffer()
  private readonly canonical = newPageBuffer()
  private readonly rebuilt = newPageBuffer()
  private hidden: RowSet = BlockSet.EMPTY
  /** Run of `hidden` that the next row may be in. */
  private hiddenRun = 0
  private hiddenSeen = 0
  private index: IndexVerifier | undefined
  /** What is wrong with the file as a whole. */
  private crc: string | undefined
  private readonly result: VerifyResult = {
    pages: 0, rows: 0, tuples: 0, dead: 0, hidden: 0, hintContradictions: 0, differences: [], differing: 0,
  }

  constructor(file: VerifiedFile, fork: SegmentPages | undefined) {
    this.file = file
    this.fork = fork
    this.snapshot = file.source && snapshotOf(file.source.snapshot)
  }

  run(options: RebuildOptions): VerifyResult {
    const { file, result } = this
    try {
      this.hidden = file.hidden()
      result.hidden = this.hidden.size
      this.index = file.index && new IndexVerifier(file.index, (block, reason) => this.differ(block, reason))
      if ('packed' in file) unpackPages(file.packed, (...page) => this.page(...page))
      else this.parquet(file, options)
      if (this.snapshot && this.hiddenSeen !== result.hidden) this.differ(undefined, 'hidden rows that a reader should see')
    } catch (error) {
      // A file that cannot be read is no answer, and neither is one whose codec was not given.
      if (!isPositioned(error) || error instanceof EnvironmentError || error.code === 'datum.codec') throw error
      this.differ(error.position.block, error.message)
    }
    // Where the damage is says more, if it is in a page's values.
    if (this.crc !== undefined && result.differing === 0) this.differ(undefined, this.crc)
    return result
  }

  private parquet(file: VerifiedFile & Pick<FileOfLake, 'path' | 'crc32'>, options: RebuildOptions): void {
    const source = new LakeFileSource(file.path)
    try {
      this.crc = file.crc32 === undefined ? undefined : crcProblem(source.crc32(), file.crc32)
      const rebuilder = new PageRebuilder(source, options)
      if (!file.current) this.result.rows = rebuilder.rows
      checkFileDescriptor(rebuilder.descriptor, file.expected)
      const says = file.index ? 'the lake' : 'ltap.json'
      if (rebuilder.rows !== file.rows) this.differ(undefined, `the file has ${rebuilder.rows} rows, ${says} says ${file.rows}`)
      const bounds = file.bounds && file.index && new BoundsVerifier(file.bounds, rebuilder.columns, file.index)
      rebuilder.rebuild((...page) => this.page(...page), bounds)
      bounds?.finish((reason) => this.differ(undefined, reason))
    } finally {
      source.close()
    }
  }

  private page(block: number, page: Uint8Array, form: PageForm, firstRow: number): void {
    this.index?.page(block, page, form)
    // What a newer layer has is no part of the state.
    if (this.file.current && !this.file.current.has(block)) return
    this.result.pages++
    if (form === 'verbatim') {
      if (this.file.current) this.result.rows++
      if (this.snapshot) this.row(firstRow, false, block)
    } else {
      this.tuples(block, page, firstRow)
    }
    if (!this.fork) return
    if (block >= this.fork.blocks) return this.differ(block, 'the data directory has no such block')
    this.source.bytes.set(this.fork.read(block))
    this.compare(block, page, form)
  }

  private compare(block: number, page: Uint8Array, form: PageForm): void {
    const { source, canonical, rebuilt } = this
    rebuilt.bytes.set(page)
    if (form === 'verbatim') {
      const at = firstDifference(rebuilt.words, 0, source.words, 0)
      if (at >= 0) this.differ(block, `the damaged page differs from byte ${at} on`)
      return
    }
    try {
      if (!isZeroPage(source.bytes)) {
        if (this.file.checksums) checkPageChecksum(source.bytes, block)
        checkPageHeader(source.bytes)
        checkLinePointers(source.bytes)
      }
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error
      return this.differ(block, `the page in the data directory is damaged: ${error.message}`)
    }
    canonicalPage(source.words, 0, canonical)
    rebuilt.bytes[PD_CHECKSUM] = rebuilt.bytes[PD_CHECKSUM + 1] = 0
    const at = firstDifference(rebuilt.words, 0, canonical.words, 0)
    if (at >= 0) this.differ(block, `the rebuilt page differs from byte ${at} on`)
  }

  /** Counts tuples, and holds visibility and hint bits against CLOG where there is one. */
  private tuples(block: number, page: Uint8Array, firstRow: number): void {
    const { result, snapshot } = this
    const last = isZeroPage(page) ? 0 : usedLinePointers(page)
    if (this.file.current) result.rows += Math.max(last, 1)
    if (last === 0 && snapshot) this.row(firstRow, false, block)
    for (let offset = 1; offset <= last; offset++) {
      const pointer = linePointer(page, offset)
      const normal = lpFlags(pointer) === LP_NORMAL
      if (normal) result.tuples++
      if (!snapshot) continue
      this.row(firstRow + offset - 1, normal && this.tuple(snapshot, page, lpOff(pointer)), block)
    }
  }

  /** Returns whether the tuple is visible. */
  private tuple(snapshot: Snapshot, page: Uint8Array, off: number): boolean {
    const { xmin, xmax, infomask, cid } = readTupleHeader(page, off)
    if (snapshot.hintContradiction(xmin, xmax, infomask) !== undefined) this.result.hintContradictions++
    if (snapshot.isDead(xmin, xmax, infomask, cid)) this.result.dead++
    return this.file.visible && snapshot.isVisible(xmin, xmax, infomask, cid)
  }

  /** Row `row` of the file must be hidden if and only if it is not visible. */
  private row(row: number, visible: boolean, block: number): void {
    const { runs } = this.hidden
    while (this.hiddenRun < runs.length && runs[this.hiddenRun]!.first + runs[this.hiddenRun]!.count <= row) this.hiddenRun++
    const hidden = this.hiddenRun < runs.length && runs[this.hiddenRun]!.first <= row
    if (hidden) this.hiddenSeen++
    if (hidden === visible) this.differ(block, visible ? `row ${row} is visible but hidden in the lake` : `row ${row} is not visible but shown by the lake`)
  }

  private differ(block: number | undefined, reason: string): void {
    this.result.differing++
    if (this.result.differences.length < DIFFERENCES_MAX) this.result.differences.push(block === undefined ? { reason } : { block, reason })
  }
}
