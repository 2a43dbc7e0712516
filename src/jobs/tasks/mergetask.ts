import { type ClusterDescriptor, type RelationDescriptor, withCodecs } from '../../columnar/filedescriptor.ts'
import { mergeFiles, type MergeInput } from '../../columnar/mergefiles.ts'
import { addLaneCounts, type LaneCounts } from '../../columnar/lanes.ts'
import type { Compression } from '../../columnar/planfile.ts'
import { openLakeFile } from '../../columnar/rebuild.ts'
import { type BlockRun, BlockSet } from '../../common/blockset.ts'
import { CorruptionError, isPositioned, type Position, UnsupportedError } from '../../common/errors.ts'
import { LakeFileSource } from '../../io/disk/lakefilesource.ts'
import { parseBlockIndex } from '../../lake/blockindex.ts'
import { layerFile, layerFileJson, storedBytes } from '../../lake/layer.ts'
import { areReadAlike } from '../../lake/readalike.ts'
import type { StateFile } from '../../lake/state/relationlayers.ts'
import { checkFileDescriptor, type ExpectedFile } from '../lake.ts'
import { type CodecModules, loadCodecs } from './codecs.ts'
import { putObject } from './lakeobject.ts'
import { ObjectOutput } from './objectoutput.ts'
import { type StoreReference, storeOf } from './storereference.ts'

/** A file that gives pages, whose bytes were held against their CRC. */
export interface MergeTaskInput {
  path: string
  /** Its key. */
  name: string
  expected: ExpectedFile
  /** The object beside it, with rows hidden for good where their transactions have ended. */
  index: Uint8Array
  /** The blocks that it gives: `runs` of a BlockSet. */
  current: readonly BlockRun[]
  lanes: Partial<LaneCounts>
}

/** One file to write of pages that lie in others, and the object beside it. */
export interface MergeTask {
  /** As it is described now; its length is that of the layer. */
  relation: RelationDescriptor
  /** Its LSN is that of the layer. */
  cluster: ClusterDescriptor
  inputs: readonly MergeTaskInput[]
  compression: Compression
  codecs: CodecModules
  store: StoreReference
  key: string
  indexKey: string
}

export interface MergeResult {
  /** What the state says of the file. */
  file: StateFile
  blocks: number
  bytes: number
}

/** Files that stay as they are: why. It costs no other relation anything. */
export interface LeftAsTheyAre {
  left: { code: string; reason: string; position: Position }
}

/** @throws EnvironmentError store.*, file.* */
export async function mergeLayerFiles(task: MergeTask): Promise<MergeResult | LeftAsTheyAre> {
  const sources: LakeFileSource[] = []
  const store = await storeOf(task.store)
  const output = new ObjectOutput(store, task.key)
  try {
    const extensions = await loadCodecs(task.codecs)
    const relation = withCodecs(task.relation, task.cluster, extensions)
    const inputs = task.inputs.map((input) => {
      const source = new LakeFileSource(input.path)
      sources.push(source)
      return openInput(input, source, relation, extensions)
    })
    const { compression } = task
    const { blocks, lanes, summary } = await mergeFiles({ ...task.cluster, relation }, inputs, { compression, extensions }, (bytes) => output.write(bytes))
    for (const { lanes: before } of task.inputs) addLaneCounts(lanes, faultsOf(before))
    const { file, index } = layerFile(await output.finish(), task.indexKey, blocks, { summary, lanes })
    if (index !== undefined) await putObject(store, task.indexKey, index)
    return { file: layerFileJson(file), blocks: blocks.size, bytes: storedBytes(file) }
  } catch (error) {
    await output.abort()
    if (!(error instanceof CorruptionError || error instanceof UnsupportedError)) throw error
    const { code, reason, position } = error
    return { left: { code, reason, position } }
  } finally {
    for (const source of sources) source.close()
  }
}

function openInput(
  { name, expected, index, current }: MergeTaskInput, source: LakeFileSource, relation: RelationDescriptor, extensions: Awaited<ReturnType<typeof loadCodecs>>,
): MergeInput {
  try {
    const file = openLakeFile(source, { extensions })
    const { descriptor } = file
    checkFileDescriptor(descriptor, expected)
    if (!areReadAlike(descriptor.relation, relation)) {
      throw new UnsupportedError('lake.fields', 'its columns do not say of their values what the table says now')
    }
    return { file, name, rows: parseBlockIndex(index), current: BlockSet.ofRuns(current) }
  } catch (error) {
    throw isPositioned(error) ? error.at({ file: name }) : error
  }
}

/** Which rows they are of is not kept, so that a file says as many as those that it was made of. */
function faultsOf({ dangling, missingToast, unreadable, oversized, unknownStatus }: Partial<LaneCounts>): Partial<LaneCounts> {
  return Object.fromEntries(Object.entries({ dangling, missingToast, unreadable, oversized, unknownStatus }).filter(([, count]) => count !== undefined))
}
