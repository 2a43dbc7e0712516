import { encodeRecords, type PlanRecord } from '../../lake/job/plan.ts'
import type { PieceRef } from '../../lake/state/page.ts'
import type { Compressor } from '../../parquet/compressor.ts'
import type { PartWriter } from '../materialize/partwriter.ts'

/** Records of one piece: some hundred kilobytes of JSON. */
const RECORDS_OF_PIECE = 500

/** Writes the records of a plan as pieces of objects of the job, so that a plan of 100,000 relations is never in memory as a whole. */
export class RecordWriter {
  private readonly parts: PartWriter
  private readonly compressor: Compressor
  private waiting: PlanRecord[] = []
  private readonly pieces: Promise<PieceRef>[] = []

  constructor(parts: PartWriter, compressor: Compressor) {
    this.parts = parts
    this.compressor = compressor
  }

  add(record: PlanRecord): void {
    this.waiting.push(record)
    if (this.waiting.length >= RECORDS_OF_PIECE) this.cut()
  }

  /** Where the records are, once the parts are written. */
  async finish(): Promise<PieceRef[]> {
    this.cut()
    return await Promise.all(this.pieces)
  }

  private cut(): void {
    if (this.waiting.length === 0) return
    const piece = this.parts.add(encodeRecords(this.waiting, this.compressor))
    // The caller of finish gets the error.
    piece.catch(() => {})
    this.pieces.push(piece)
    this.waiting = []
  }
}
