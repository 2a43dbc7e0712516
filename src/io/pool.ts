import { Piscina } from 'piscina'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Outcome } from './tasks/remote.ts'
import { valueOf } from './tasks/remote.ts'
import { forgetSnapshots } from './tasks/snapshots.ts'
import * as worker from './worker.ts'

type Tasks = typeof worker
export type TaskName = keyof Tasks
export type TaskInput<Name extends TaskName> = Parameters<Tasks[Name]>[0]
export type TaskResult<Name extends TaskName> = Awaited<ReturnType<Tasks[Name]>> extends Outcome<infer T> ? T : never

/** Runs tasks, in order of submission, at most `workers` at a time. After a failure those that wait fail with the same error. */
export interface Pool {
  readonly workers: number
  run<Name extends TaskName>(name: Name, task: TaskInput<Name>): Promise<TaskResult<Name>>
  close(): Promise<void>
}

/** Megabytes of JavaScript heap a worker may use; buffers and wasm memory are not counted. */
const WORKER_HEAP_MB = 512

/** @param workers threads; 0 runs tasks on this thread, one by one */
export function openPool(workers: number): Pool {
  const script = fileURLToPath(new URL('./worker.js', import.meta.url))
  // Run from TypeScript sources there is no worker script: then everything runs on this thread.
  return new FailFastPool(workers === 0 || !existsSync(script) ? new InlinePool() : new ThreadPool(script, workers))
}

/** On a full disk, or at the first damaged page, hours of queued work would only delay the message. */
class FailFastPool implements Pool {
  readonly workers: number
  private readonly pool: Pool
  private readonly waiting: (() => void)[] = []
  private places: number
  private failure: { error: unknown } | undefined

  constructor(pool: Pool) {
    this.pool = pool
    this.workers = pool.workers
    // One more than can run, so that no worker waits for this thread.
    this.places = pool.workers + 1
  }

  async run<Name extends TaskName>(name: Name, task: TaskInput<Name>): Promise<TaskResult<Name>> {
    if (this.places > 0) this.places--
    else await new Promise<void>((resolve) => this.waiting.push(resolve))
    try {
      if (this.failure) throw this.failure.error
      return await this.pool.run(name, task)
    } catch (error) {
      this.failure ??= { error }
      throw error
    } finally {
      const next = this.waiting.shift()
      if (next) next()
      else this.places++
    }
  }

  close(): Promise<void> {
    return this.pool.close()
  }
}

class InlinePool implements Pool {
  readonly workers = 1
  private last: Promise<unknown> = Promise.resolve()

  constructor() {
    // A new worker thread knows no snapshot; this thread may.
    forgetSnapshots()
  }

  run<Name extends TaskName>(name: Name, task: TaskInput<Name>): Promise<TaskResult<Name>> {
    const run = worker[name] as (input: TaskInput<Name>) => Promise<Outcome<TaskResult<Name>>>
    const result = this.last.then(() => run(task)).then(valueOf)
    this.last = result.catch(() => {})
    return result
  }

  async close(): Promise<void> {
    await this.last
  }
}

class ThreadPool implements Pool {
  readonly workers: number
  private readonly piscina: Piscina

  constructor(script: string, workers: number) {
    this.workers = workers
    this.piscina = new Piscina({
      filename: script, minThreads: workers, maxThreads: workers, atomics: 'disabled', resourceLimits: { maxOldGenerationSizeMb: WORKER_HEAP_MB },
    })
  }

  async run<Name extends TaskName>(name: Name, task: TaskInput<Name>): Promise<TaskResult<Name>> {
    return valueOf((await this.piscina.run(task, { name })) as Outcome<TaskResult<Name>>)
  }

  async close(): Promise<void> {
    await this.piscina.destroy()
  }
}
