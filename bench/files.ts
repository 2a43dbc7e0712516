import { type Compression, fileSets } from '../src/columnar/planfile.ts'
import { BlockSet } from '../src/common/blockset.ts'
import { transcodeFile } from '../src/columnar/transcode.ts'
import { assert } from '../src/common/errors.ts'
import type { BenchTable } from './relations.ts'

/** Pages of a table and its TOAST relation → Parquet files on this thread, every page proven; the files' bytes go to `deliver`. */
export async function transcodeTable(table: BenchTable, compression: Compression, deliver: (bytes: Uint8Array, file: number) => void): Promise<void> {
  let file = 0
  for (const relation of [table.main, table.toast]) {
    if (!relation) continue
    const toast = relation.openToast()
    const { visibility, cluster, descriptor, fork } = relation
    for (const blocks of fileSets(BlockSet.range(0, fork.blocks))) {
      const number = file++
      const written = await transcodeFile(
        descriptor, fork, blocks, { cluster, compression, visibility, checksums: cluster.checksums, onCorrupt: 'fail', generate: true, ...(toast && { toast }) },
        (bytes) => deliver(bytes, number),
      )
      assert('rows' in written, 'tables of benchmarks have readable values')
    }
  }
}

/** The files that transcodeTable makes, whole. */
export async function parquetFiles(table: BenchTable, compression: Compression): Promise<Uint8Array[]> {
  const chunks: Uint8Array[][] = []
  await transcodeTable(table, compression, (bytes, file) => void (chunks[file] ??= []).push(bytes.slice()))
  return chunks.map((parts) => new Uint8Array(Buffer.concat(parts)))
}
