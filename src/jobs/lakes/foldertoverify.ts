import { statSync } from 'node:fs'
import { join } from 'node:path'
import { fileError } from '../../io/disk/files.ts'
import type { LakeFile, LakeRelation, Manifest } from '../../lake/manifest.ts'
import { expectedFile, readManifest } from '../lake.ts'
import type { LakeDifference } from '../lakereport.ts'
import { failedResult } from '../tasks/verifyresult.ts'
import type { FileToVerify, LakeToVerify } from './laketoverify.ts'

/** A lake of format 1. */
export class FolderToVerify implements LakeToVerify {
  readonly manifest: Manifest
  private readonly folder: string

  constructor(folder: string) {
    this.folder = folder
    this.manifest = readManifest(folder)
  }

  async relation(relation: LakeRelation): ReturnType<LakeToVerify['relation']> {
    const problems: LakeDifference[] = []
    let next = 0
    for (const { firstBlock, blockCount } of relation.files) {
      if (firstBlock !== next) problems.push({ block: next, reason: `no file holds block ${next}` })
      next = firstBlock + blockCount
    }
    if (next !== (relation.forks.main ?? 0)) problems.push({ reason: `the files end at block ${next}, the relation at ${relation.forks.main}` })
    return { problems, files: relation.files.map((file) => this.file(relation, file)) }
  }

  close(): void {}

  private file(relation: LakeRelation, file: LakeFile): FileToVerify {
    const { folder: lake, manifest } = this
    const run: FileToVerify['run'] = async (pool, source, codecs) => {
      const damaged = file.damaged.length
      const missing = [file.path, ...(file.hidden ? [file.hidden.path] : [])].find((path) => !isThere(join(lake, path)))
      if (missing !== undefined) return { damaged, result: failedResult({ file: missing, reason: 'the file is missing' }) }
      const expected = expectedFile(manifest, relation, file)
      const task = { lake, file, expected, checksums: manifest.checksums, visible: relation.visible, source, codecs }
      return { damaged, result: await pool.run('verify', task) }
    }
    return { name: file.path, blocks: file.blockCount, run }
  }
}

function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined
  } catch (error) {
    throw fileError(error, path)
  }
}
