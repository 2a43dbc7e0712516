import type { Relation } from '../../catalog/relations.ts'
import { CorruptionError } from '../../common/errors.ts'
import type { DirectoryCluster } from '../../io/cluster.ts'
import type { SegmentPages } from '../../io/datadir/segmentpages.ts'
import { buildToastIndex } from '../../columnar/toastindex.ts'
import { ToastReader } from '../../columnar/toastreader.ts'
import { HeapReader } from './heapreader.ts'

export type { HeapReaderOptions as TableReaderOptions, HeapRow as TableRow } from './heapreader.ts'

/** A relation of a cluster → rows of text. Close it: it holds files open. */
export class TableReader extends HeapReader {
  private readonly toasted: ToastOf

  /** @param missingToast of rows that may count @throws CorruptionError relation.* */
  constructor(cluster: DirectoryCluster, relation: Relation, missingToast: 'error' | 'pointer' = 'error') {
    const { major, snapshot, checksums } = cluster
    const { database, schema, name, desc } = relation
    const toasted = new ToastOf(cluster, relation)
    super({
      name: `${database.name}.${schema}.${name}`, fork: cluster.openMain(relation), checksums, major, snapshot, desc, encoding: database.encoding,
      toast: () => toasted.reader(), missingToast,
    })
    this.toasted = toasted
  }

  override close(): void {
    super.close()
    this.toasted.close()
  }
}

/** The TOAST relation of a relation, opened when it is needed. */
class ToastOf {
  private readonly cluster: DirectoryCluster
  private readonly relation: Relation
  private fork: SegmentPages | undefined
  private opened: ToastReader | undefined

  constructor(cluster: DirectoryCluster, relation: Relation) {
    this.cluster = cluster
    this.relation = relation
  }

  reader(): ToastReader | undefined {
    if (this.opened || this.relation.toastRelId === 0) return this.opened
    const { database, toastRelId } = this.relation
    const toast = this.cluster.relations(database.oid).find(({ oid, visible }) => oid === toastRelId && visible)
    if (!toast) return undefined
    try {
      this.fork = this.cluster.openMain(toast)
    } catch (error) {
      // The position in the error is of the TOAST relation; the caller adds the position of the row.
      throw error instanceof CorruptionError ? new CorruptionError('toast.relation', error.message) : error
    }
    this.opened = new ToastReader(toastRelId, this.fork, buildToastIndex(this.fork, this.cluster.snapshot))
    return this.opened
  }

  close(): void {
    this.fork?.close()
    this.fork = this.opened = undefined
  }
}
