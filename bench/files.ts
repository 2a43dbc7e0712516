import { ParquetEncoder } from '../src/parquet/parquetwriter.ts'
import { PageTranscoder } from '../src/columnar/pagetranscoder.ts'
import { type BlockRange, type Compression, fileRanges, planFile, rowGroupIsFull, type TranscodePlan } from '../src/columnar/transcode.ts'
import { type BenchRelation, type BenchTable, readPages } from './relations.ts'

/** What one file is made of, read from the relation's first pages. */
export function planOf({ cluster, descriptor, fork }: BenchRelation, range: BlockRange, compression: Compression): TranscodePlan {
  return planFile(cluster, descriptor, range, compression, (block) => fork.read(block))
}

/** Pages of a table and its TOAST relation → Parquet files on this thread, every page proven; the files' bytes go to `deliver`. */
export async function transcodeTable(table: BenchTable, compression: Compression, deliver: (bytes: Uint8Array, file: number) => void): Promise<void> {
  let file = 0
  for (const relation of [table.main, table.toast]) {
    if (!relation) continue
    const toast = relation.openToast()
    for (const range of fileRanges(relation.fork.blocks)) {
      const plan = planOf(relation, range, compression)
      const { visibility, cluster } = relation
      const transcoder = new PageTranscoder(plan.schema, { visibility, checksums: cluster.checksums, onCorrupt: 'fail', ...(toast && { toast }) })
      await encodeRange(relation, range, plan, transcoder, (bytes) => deliver(bytes, file))
      file++
    }
  }
}

async function encodeRange(
  { fork }: BenchRelation, range: BlockRange, plan: TranscodePlan, transcoder: PageTranscoder, deliver: (bytes: Uint8Array) => void,
): Promise<void> {
  const encoder = new ParquetEncoder(plan.schema.fields, plan.parquet, deliver)
  const last = range.firstBlock + range.blockCount - 1
  for await (const { words, base, block } of readPages(fork, range)) {
    transcoder.add(words, base, block)
    if (block < last && !rowGroupIsFull(transcoder)) continue
    const { vectors, rows } = transcoder.takeRowGroup()
    await encoder.rowGroup(vectors, rows)
  }
  await encoder.finish()
}

/** The files that transcodeTable makes, whole. */
export async function parquetFiles(table: BenchTable, compression: Compression): Promise<Uint8Array[]> {
  const chunks: Uint8Array[][] = []
  await transcodeTable(table, compression, (bytes, file) => void (chunks[file] ??= []).push(bytes.slice()))
  return chunks.map((parts) => new Uint8Array(Buffer.concat(parts)))
}
