import type { Piscina } from 'piscina'
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { assert, EnvironmentError } from '../common/errors.ts'
import { stopIfEnding, stopOnEnd } from '../io/process/interruption.ts'
import type { Outcome } from './tasks/remote.ts'
import { valueOf } from './tasks/remote.ts'
import * as worker from './worker.ts'

type Tasks = typeof worker
type TaskName = keyof Tasks
type TaskInput<Name extends TaskName> = Parameters<Tasks[Name]>[0]
type TaskResult<Name extends TaskName> = Awaited<ReturnType<Tasks[Name]>> extends Outcome<infer T> ? T : never

/** Megabytes of JavaScript heap a worker may use; buffers and wasm memory are not counted. */
const WORKER_HEAP_MB = 512

/**
 * Piscina tries `require` first. Node 20 aborts the process when a thread is ended while it requires an ES module ("IsGraphAsync must be used on an
 * instantiated module"), as Ctrl-C does; one that is imported may be ended at any time.
 */
export const THREAD_OPTIONS: NonNullable<ConstructorParameters<typeof Piscina>[0]> = {
  minThreads: 0, idleTimeout: Infinity, atomics: 'disabled', resourceLimits: { maxOldGenerationSizeMb: WORKER_HEAP_MB },
  // Node refuses options of V8 for a thread, so a thread gets no option of the process.
  execArgv: ['--no-experimental-require-module'],
}

/** Runs tasks in order of submission. */
interface Threads {
  run<Name extends TaskName>(name: Name, task: TaskInput<Name>): Promise<TaskResult<Name>>
  close(): Promise<void>
}

/**
 * Worker threads that are kept between jobs. A job that is given a number instead starts threads and stops them at its end. Kept threads have their
 * code optimised, so the second job runs faster than the first. Each job reads the data directory itself; nothing of an earlier job is kept.
 */
export class Workers {
  /** Tasks at a time. */
  readonly count: number
  private readonly threads: Threads

  /** @param count threads; 0 runs tasks on this thread, one by one; default: one for each core */
  constructor(count: number = availableParallelism()) {
    const script = fileURLToPath(new URL('./worker.js', import.meta.url))
    // Run from TypeScript sources there is no worker script: then everything runs on this thread.
    const inline = count === 0 || !existsSync(script)
    this.count = inline ? 1 : count
    this.threads = inline ? new ThisThread() : new WorkerThreads(script, count)
  }

  /** For {@link Pool}. @internal */
  run<Name extends TaskName>(name: Name, task: TaskInput<Name>): Promise<TaskResult<Name>> {
    return this.threads.run(name, task)
  }

  /** Ends the threads, and with them what still runs. */
  close(): Promise<void> {
    return this.threads.close()
  }
}

let jobs = 0

/**
 * The tasks of one job, at most as many at a time as there are workers. After a failure those that wait fail with the same error: on a
 * full disk, or at the first damaged page, hours of queued work would only delay the message.
 */
export class Pool {
  readonly workers: number
  /** Tells what one job knows of a data directory from what another did. */
  readonly job: number = ++jobs
  private readonly threads: Workers
  private readonly owned: boolean
  private readonly waiting: (() => void)[] = []
  private places: number
  private failure: { error: unknown } | undefined

  /** @param workers threads to start for this job alone, or those to use; default: one for each core */
  constructor(workers: number | Workers = availableParallelism()) {
    this.owned = typeof workers === 'number'
    this.threads = typeof workers === 'number' ? new Workers(workers) : workers
    this.workers = this.threads.count
    // One more than can run, so that no worker waits for this thread.
    this.places = this.workers + 1
  }

  async run<Name extends TaskName>(name: Name, task: TaskInput<Name>): Promise<TaskResult<Name>> {
    if (this.places > 0) this.places--
    else await new Promise<void>((resolve) => this.waiting.push(resolve))
    try {
      await stopIfEnding()
      if (this.failure) throw this.failure.error
      return await this.threads.run(name, task)
    } catch (error) {
      this.failure ??= { error }
      throw error
    } finally {
      const next = this.waiting.shift()
      if (next) next()
      else this.places++
    }
  }

  /** Ends the threads that were started for this job. */
  async close(): Promise<void> {
    if (this.owned) await this.threads.close()
  }
}

class ThisThread implements Threads {
  private last: Promise<unknown> = Promise.resolve()

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

class WorkerThreads implements Threads {
  private readonly options: ConstructorParameters<typeof Piscina>[0]
  /** Once there is a task. */
  private piscina: Promise<Piscina> | undefined
  private closed = false
  private readonly forget: () => void

  constructor(script: string, count: number) {
    this.options = { ...THREAD_OPTIONS, filename: script, maxThreads: count }
    this.forget = stopOnEnd(() => this.close())
  }

  async run<Name extends TaskName>(name: Name, task: TaskInput<Name>): Promise<TaskResult<Name>> {
    let outcome: Outcome<TaskResult<Name>>
    try {
      outcome = (await (await this.started()).run(task, { name })) as Outcome<TaskResult<Name>>
    } catch (error) {
      throw threadError(error)
    }
    return valueOf(outcome)
  }

  async close(): Promise<void> {
    this.forget()
    this.closed = true
    await (await this.piscina)?.destroy()
  }

  /** Loads piscina when the first thread starts: a program that imports the library and starts no thread does not load it. */
  private started(): Promise<Piscina> {
    assert(!this.closed, 'a task for threads that were ended')
    return this.piscina ??= import('piscina').then((piscina) => new piscina.Piscina(this.options))
  }
}

/** A thread that ended did so because of what it was given, or of what the machine has: the user can do something about it. */
function threadError(error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ERR_WORKER_OUT_OF_MEMORY') {
    const advice = `of at most ${WORKER_HEAP_MB} MB; allow more with NODE_OPTIONS=--max-old-space-size, or leave the table at hand out`
    return new EnvironmentError('worker.memory', `a worker thread ran out of JavaScript memory ${advice}`)
  }
  const ended = error instanceof Error && /^(?:worker exited with code|Worker terminated)/.test(error.message)
  return ended ? new EnvironmentError('worker.ended', `a worker thread ended by itself (${error.message}); run again with fewer --workers`) : error
}
