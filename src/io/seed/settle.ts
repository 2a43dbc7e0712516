import { rmSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { BLOCK_SIZE, type RelFileLocator, SEGMENT_BLOCKS } from '../../common/rel.ts'
import { type DatabaseDirectory, segmentPath } from '../../common/relpath.ts'
import type { ForkName, RelationFiles } from '../../common/relationfiles.ts'
import { listRelationFiles } from '../datadir/listrelationfiles.ts'
import { fileError, readPart } from '../disk/files.ts'
import { copyFile } from '../disk/create.ts'
import { tellRelationKind } from '../../page/indexpage.ts'

/** How far to look for a page that is not all zero, in a relation whose first ones are. */
const LOOK_BLOCKS = 1024
const SEGMENT_BYTES = SEGMENT_BLOCKS * BLOCK_SIZE

/** Whether a relation is an index, as its pages tell; one whose pages tell nothing is kept. */
export function isIndex(dir: string, { relNumber, forks }: RelationFiles): boolean {
  const page = new Uint8Array(BLOCK_SIZE)
  for (const fork of ['main', 'init'] as const) {
    if (!forks.get(fork)?.includes(0)) continue
    const path = join(dir, fork === 'main' ? String(relNumber) : `${relNumber}_init`)
    for (let block = 0; block < LOOK_BLOCKS; block++) {
      if (readPart(path, page, BLOCK_SIZE, block * BLOCK_SIZE) !== BLOCK_SIZE) break
      const kind = tellRelationKind(page, block)
      if (kind !== 'unknown') return kind === 'index'
      // After a damaged page the search ends, because later pages of a heap may look like an index's.
      if (page.some((byte) => byte !== 0)) return false
    }
  }
  return false
}

/**
 * Makes the copied files of a database directory what recovery would see: no indexes, forks of whole blocks and of segments without a
 * gap (mdnblocks, md.c, does not look behind one that is not full), unlogged relations as their init forks (reinit.c).
 * @returns the relations that are indexes, and how many bytes were left out that no server reads: part of a block at
 * the end of a file, segments behind one that is not full
 * @throws EnvironmentError file.*
 */
export function settleDirectory(dir: string, place: DatabaseDirectory): { indexes: RelFileLocator[]; trailingBytes: number } {
  const indexes: RelFileLocator[] = []
  let trailingBytes = 0
  for (const files of listRelationFiles(dir).relations.values()) {
    if (isIndex(dir, files)) {
      removeForks(dir, files, ['main', 'vm', 'init'])
      indexes.push({ ...place, relNumber: files.relNumber })
      continue
    }
    for (const [fork, segments] of files.forks) trailingBytes += settleFork(forkPath(dir, files, fork), segments)
    if (files.forks.has('init')) {
      removeForks(dir, files, ['main', 'vm'])
      copyFile(forkPath(dir, files, 'init'), forkPath(dir, files, 'main'))
    }
  }
  return { indexes, trailingBytes }
}

function settleFork(path: string, segments: readonly number[]): number {
  let full = true
  let trailingBytes = 0
  for (const segment of [...segments].sort((a, b) => a - b)) {
    const file = segmentPath(path, segment)
    try {
      if (!full || (segment === 0 ? false : !segments.includes(segment - 1))) {
        trailingBytes += statSync(file).size
        rmSync(file)
        continue
      }
      const { size } = statSync(file)
      if (size % BLOCK_SIZE !== 0) truncateSync(file, size - (size % BLOCK_SIZE))
      trailingBytes += size % BLOCK_SIZE
      full = size >= SEGMENT_BYTES
    } catch (error) {
      throw fileError(error, file)
    }
  }
  return trailingBytes
}

function removeForks(dir: string, files: RelationFiles, forks: readonly ForkName[]): void {
  for (const fork of forks) {
    for (const segment of files.forks.get(fork) ?? []) {
      const file = segmentPath(forkPath(dir, files, fork), segment)
      try {
        rmSync(file, { force: true })
      } catch (error) {
        throw fileError(error, file)
      }
    }
  }
}

function forkPath(dir: string, { relNumber }: RelationFiles, fork: ForkName): string {
  return join(dir, fork === 'main' ? String(relNumber) : `${relNumber}_${fork}`)
}
