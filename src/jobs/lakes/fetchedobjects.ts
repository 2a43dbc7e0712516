import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ObjectStore } from '../../engine/objectstore.ts'
import { ScratchFolder } from '../../io/disk/scratchfolder.ts'
import { ObjectFiles } from '../../io/objectstore/objectfiles.ts'

/** Bytes of objects that a job fetches and keeps, unless it is told otherwise. */
export const CACHE_BYTES: number = 4 * 1024 ** 3
const CACHE_PREFIX = 'ltap-cache-'

export interface OpenLakeOptions {
  /** Branch of a lake of format 2; default: `main`. */
  branch?: string
  /** Bytes of fetched objects that are kept at the same time; default: 4 GiB. */
  cacheBytes?: number
  /** Told what the user should know, as a sentence. */
  onNotice?: (text: string) => void
}

/** What is fetched lies in a folder of its own, which goes with the job. */
export class FetchedObjects extends ObjectFiles {
  private readonly scratch: ScratchFolder

  constructor(store: ObjectStore, { cacheBytes = CACHE_BYTES, onNotice }: OpenLakeOptions) {
    const scratch = new ScratchFolder(join(tmpdir(), CACHE_PREFIX), onNotice)
    super(store, join(scratch.path, 'objects'), cacheBytes)
    this.scratch = scratch
  }

  close(): void {
    this.scratch.remove()
  }
}
