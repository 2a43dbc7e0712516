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

/** Runs tasks, in order of submission, at most `workers` at a time. */
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
  return workers === 0 || !existsSync(script) ? new InlinePool() : new ThreadPool(script, workers)
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
