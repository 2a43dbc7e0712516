/** A stopped data directory as the source of a restore: only what a lake holds is read of it, and pages are made canonical as a lake's are. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PgMajor } from '../../src/common/pgversion.ts'
import { type DirectoryCluster, openCluster } from '../../src/io/cluster.ts'
import { clusterFilesOf } from '../../src/io/datadir/lakefiles.ts'
import type { RestoreRelation, RestoreSource } from '../../src/jobs/restore/restoresource.ts'
import { canonicalPage, newPageBuffer, pageBuffer } from '../../src/page/canonical.ts'
import { pageChecksum } from '../../src/page/checksum.ts'
import { isZeroPage } from '../../src/page/header.ts'

export function directorySource(dataDir: string): RestoreSource {
  const cluster = openCluster(dataDir)
  const major = cluster.major as PgMajor
  return {
    major, lsn: cluster.lsn, timeline: cluster.timeline,
    async *entries() { yield* clusterFilesOf(dataDir, { major, catalogVersion: cluster.control.catalogVersion }) },
    read: (path) => Promise.resolve(readFileSync(join(dataDir, path))),
    async *relations() { yield* heaps(cluster) },
  }
}

function* heaps(cluster: DirectoryCluster): Generator<RestoreRelation> {
  for (const relation of cluster.allRelations()) {
    const fork = cluster.openMain(relation)
    const { blocks } = fork
    yield {
      locator: relation.locator, name: relation.name, blocks,
      pages: (sink) => {
        for (let block = 0; block < blocks; block++) sink(block, canonical(fork.read(block), block, cluster.checksums))
        fork.close()
        return Promise.resolve()
      },
    }
    fork.close()
  }
}

function canonical(page: Uint8Array, block: number, checksums: boolean): Uint8Array {
  const out = newPageBuffer()
  canonicalPage(pageBuffer(page.slice()).words, 0, out)
  if (checksums && !isZeroPage(out.bytes)) new DataView(out.bytes.buffer).setUint16(8, pageChecksum(out.bytes, block), true)
  return out.bytes
}
