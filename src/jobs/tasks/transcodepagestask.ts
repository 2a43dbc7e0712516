import type { ClusterTransactions } from '../../catalog/clustersource.ts'
import { snapshotOf } from '../../catalog/cluster.ts'
import type { ClusterDescriptor, RelationDescriptor } from '../../columnar/filedescriptor.ts'
import type { Compression } from '../../columnar/planfile.ts'
import { buildToastIndex } from '../../columnar/toastindex.ts'
import { ToastReader } from '../../columnar/toastreader.ts'
import { transcodeFile, type TranscodedFile, type TranscodeOptions } from '../../columnar/transcode.ts'
import type { WantedOverflow } from '../../columnar/wantedoverflow.ts'
import { type BlockRun, BlockSet } from '../../common/blockset.ts'
import { isPositioned } from '../../common/errors.ts'
import { MemoryPages } from '../../page/pagesource.ts'
import { PartialPages } from '../../page/partialpages.ts'
import { codecModules, loadCodecs } from './codecs.ts'

/** Pages of a lake file, in a form that can be passed to a thread. The buffers move to the thread: the caller can no longer use them. */
export interface TranscodePagesTask {
  cluster: ClusterDescriptor
  /** `blocks` is the length of the whole relation; `overflow` is that of all its files. */
  relation: RelationDescriptor
  compression: Compression
  onCorrupt: 'fail' | 'carry'
  /** The file's blocks: `runs` of a BlockSet. */
  blocks: readonly BlockRun[]
  /** The pages of these blocks, 8192 bytes each, end to end. */
  pages: ArrayBuffer
  /** Pages of the TOAST relation, in any order: those with values of the rows, or all. A value that is not among them counts as missing. */
  toast?: { relationId: number; pages: ArrayBuffer }
  /** Modules with codecs from outside, as of transcodeLake: file URLs, or paths relative to the working directory of where the task runs. */
  codecs?: readonly string[]
  /** What decides which rows are visible. */
  transactions: ClusterTransactions
  /** Pages of pg_xact and pg_multixact by number, at least those of the rows' transactions; copied. */
  clog: ReadonlyMap<number, Uint8Array>
  multiOffsets: ReadonlyMap<number, Uint8Array>
  multiMembers: ReadonlyMap<number, Uint8Array>
}

/** A file in memory. */
export interface TranscodedPages extends TranscodedFile {
  /** What of the transactions' status was asked for and is lost, one sentence each. */
  losses: readonly string[]
}

/** @throws CorruptionError with relation, block, offset and attribute, as {@link transcodeFile} */
export async function transcodePagesOf(task: TranscodePagesTask): Promise<TranscodedPages | WantedOverflow> {
  const { cluster, relation, compression, onCorrupt, transactions, clog, multiOffsets, multiMembers } = task
  const slru = (pages: ReadonlyMap<number, Uint8Array>): { page: (n: number) => Uint8Array | undefined } => ({ page: (n) => pages.get(n) })
  const snapshot = snapshotOf({ transactions, clog: slru(clog), multiOffsets: slru(multiOffsets), multiMembers: slru(multiMembers) }, { onCorrupt })
  const blocks = BlockSet.ofRuns(task.blocks)
  const toast = task.toast === undefined ? undefined : new MemoryPages(new Uint8Array(task.toast.pages))
  const options: TranscodeOptions = {
    cluster, compression, visibility: snapshot, checksums: cluster.checksums, onCorrupt, extensions: await loadCodecs(codecModules(task.codecs ?? [])),
    ...(toast && task.toast && { toast: new ToastReader(task.toast.relationId, toast, buildToastIndex(toast, snapshot)) }),
  }
  const sink = new MemorySink()
  try {
    const pages = new PartialPages(blocks, new Uint8Array(task.pages), relation.blocks)
    const written = await transcodeFile(relation, pages, blocks, options, (bytes) => sink.write(bytes))
    return 'wanted' in written ? written : { ...written, parquet: sink.bytes(), losses: snapshot.losses }
  } catch (error) {
    const { database, schema, name } = relation
    throw isPositioned(error) ? error.at({ relation: database === null ? `${schema}.${name}` : `${database}.${schema}.${name}` }) : error
  }
}

/** Takes bytes piece by piece. */
class MemorySink {
  private readonly parts: Uint8Array[] = []
  private length = 0

  write(bytes: Uint8Array): void {
    this.parts.push(bytes.slice())
    this.length += bytes.length
  }

  bytes(): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(this.length)
    let at = 0
    for (const part of this.parts) {
      all.set(part, at)
      at += part.length
    }
    return all
  }
}
