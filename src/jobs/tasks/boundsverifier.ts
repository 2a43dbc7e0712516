import { BlockSet } from '../../common/blockset.ts'
import type { Batch } from '../../columnar/batch.ts'
import { BoundsCollector, type ColumnBounds } from '../../columnar/columnbounds.ts'
import type { RowGroupWatch } from '../../columnar/rebuild.ts'
import { bytesEqual, hexEncode } from '../../common/bytes.ts'
import type { BlockIndex } from '../../lake/blockindex.ts'
import type { LakeField } from '../../parquet/lakefield.ts'

/** Holds the bounds that the lake's state has of a file's columns against the values: a reader passes over a file by its bounds. */
export class BoundsVerifier implements RowGroupWatch {
  private readonly expected: ReadonlyMap<number, ColumnBounds>
  private readonly fields: readonly LakeField[]
  private readonly collector: BoundsCollector
  /** Rows that no reader will ever see: their values are outside of the bounds. */
  private readonly hidden: BlockSet
  private firstRow = 0

  /** @param fields the columns of the file's relation */
  constructor(expected: readonly ColumnBounds[], fields: readonly LakeField[], { hidden, unresolved }: BlockIndex) {
    this.expected = new Map(expected.map((column) => [column.id, column]))
    this.fields = fields
    this.collector = new BoundsCollector(fields)
    this.hidden = hidden.subtract(BlockSet.ofRuns(unresolved.filter(({ which }) => which === 'xmin')))
  }

  wants(id: number): boolean {
    const column = this.expected.get(id)
    return column?.lower !== undefined || column?.upper !== undefined
  }

  add(batch: Batch): void {
    const seen = new Uint8Array(batch.rows).fill(1)
    for (const { first, count } of this.hidden.intersect(BlockSet.range(this.firstRow, batch.rows)).runs) {
      seen.fill(0, first - this.firstRow, first - this.firstRow + count)
    }
    this.collector.add(batch.columns, seen)
    this.firstRow += batch.rows
  }

  finish(differ: (reason: string) => void): void {
    const found = new Map(this.collector.finish().map((column) => [column.id, column]))
    for (const { id, nulls, nans = 0, lower, upper } of this.expected.values()) {
      const column = found.get(id)
      if (column === undefined) {
        differ(`the lake has bounds of a column with field id ${id}, which the file does not have`)
        continue
      }
      const name = this.fields.find((field) => field.id === id)?.name ?? `with field id ${id}`
      if (column.nulls !== nulls) differ(`column ${name} has ${column.nulls} NULLs, the lake says ${nulls}`)
      if ((column.nans ?? 0) !== nans) differ(`column ${name} has ${column.nans ?? 0} NaNs, the lake says ${nans}`)
      for (const [side, says, is] of [['lower', lower, column.lower], ['upper', upper, column.upper]] as const) {
        // Absent bounds say nothing: of very large values none are kept.
        if (says !== undefined && (is === undefined || !bytesEqual(says, is))) {
          differ(`the ${side} bound of column ${name} is ${hexOf(is)}, the lake says ${hexOf(says)}: readers would pass over the file, or read it in vain`)
        }
      }
    }
  }
}

function hexOf(bound: Uint8Array | undefined): string {
  return bound === undefined ? 'none' : `0x${hexEncode(bound)}`
}
