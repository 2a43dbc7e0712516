/** Files that take longest go first, so that no worker is left alone with one at the end: those of test/oracle, others with servers, then the rest. */
import { readFileSync } from 'node:fs'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

export class HeaviestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const rank = new Map(sorted.map((file) => [file, rankOf(file.moduleId)]))
    return sorted.sort((a, b) => rank.get(a)! - rank.get(b)!)
  }
}

function rankOf(path: string): number {
  if (path.includes('/test/oracle/')) return 0
  return readFileSync(path, 'utf8').includes('majors()') ? 1 : 2
}
