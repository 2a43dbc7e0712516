import { BLOCK_SIZE } from '../common/rel.ts'
import { stopOnEnd } from '../io/process/interruption.ts'
import type { OnProgress } from '../jobs/jobprogress.ts'
import type { Output } from './output.ts'
import { type Progress, startProgress } from './progress.ts'

type Job<T> = (onProgress: OnProgress) => Promise<T>

/** Runs a job over heap pages and shows how far it is. */
export function withProgress<T>(output: Output, title: string, job: Job<T>): Promise<T> {
  return showing(output, title, 'pages', BLOCK_SIZE, job)
}

/** Runs a job over WAL and shows how far it is. */
export function withWalProgress<T>(output: Output, title: string, job: Job<T>): Promise<T> {
  return showing(output, title, 'MB', 1_000_000, job)
}

async function showing<T>(output: Output, title: string, unit: string, unitBytes: number, job: Job<T>): Promise<T> {
  let progress: Progress | undefined
  let forget = (): void => {}
  const end = (): void => {
    progress?.stop()
    forget()
    progress = undefined
  }
  try {
    return await job((doneBytes, totalBytes, what) => {
      if (progress === undefined) {
        const started = progress = startProgress(output, { title, total: Math.ceil(totalBytes / unitBytes), unit })
        forget = stopOnEnd(() => started.stop())
      }
      progress.update(Math.floor(doneBytes / unitBytes), what)
      // A job may have a part behind this one that shows itself.
      if (doneBytes >= totalBytes) end()
    })
  } finally {
    end()
  }
}
