import { BLOCK_SIZE } from '../common/rel.ts'
import type { OnProgress } from '../io/jobprogress.ts'
import type { Output } from './output.ts'
import { type Progress, startProgress } from './progress.ts'

/** Runs a job over heap pages and shows how far it is. */
export async function withProgress<T>(output: Output, title: string, job: (onProgress: OnProgress) => Promise<T>): Promise<T> {
  let progress: Progress | undefined
  try {
    return await job((doneBytes, totalBytes, relation) => {
      progress ??= startProgress(output, { title, total: totalBytes / BLOCK_SIZE, unit: 'pages' })
      progress.update(doneBytes / BLOCK_SIZE, relation)
    })
  } finally {
    progress?.stop()
  }
}
