import type { PageSink } from '../../columnar/rebuild.ts'
import { isPositioned } from '../../common/errors.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import { isPacked, type LayerFile } from '../../lake/layer.ts'
import { unpackPages } from '../../lake/packedpages.ts'
import { readObject } from '../tasks/lakeobject.ts'
import { readPacked } from './layerfiles.ts'

/**
 * Rebuilds every page of a file of a layer, whichever form it has, as PageRebuilder does.
 * @param checksums of the cluster: pages of a pack get theirs, as those of a Parquet file do
 * @throws CorruptionError lake.* with the file; EnvironmentError store.*
 */
export async function rebuildFilePages(store: ObjectStore, file: LayerFile, checksums: boolean, sink: PageSink): Promise<void> {
  try {
    if (isPacked(file)) {
      unpackPages(await readPacked(store, file, checksums), sink)
      return
    }
    // Arrow and parquet-wasm are loaded when they are needed.
    const { PageRebuilder } = await import('../../columnar/rebuild.ts')
    new PageRebuilder(await readObject(store, file)).rebuild(sink)
  } catch (error) {
    throw isPositioned(error) ? error.at({ file: file.key }) : error
  }
}
