import type { Piscina } from 'piscina'
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { ResourceLimits } from 'node:worker_threads'
import { assert, EnvironmentError } from '../common/errors.ts'
import { stopIfEnding, stopOnEnd } from '../io/process/interruption.ts'
import type { WantedOverflow } from '../columnar/wantedoverflow.ts'
import type { Outcome } from './tasks/remote.ts'
import { valueOf } from './tasks/remote.ts'
import type { TranscodedPages, TranscodePagesTask } from './tasks/transcodepagestask.ts'

type Tasks = typeof import('./worker.ts')
type TaskName = keyof Tasks
type TaskInput<Name extends TaskName> = Parameters<Tasks[Name]>[0]
type TaskResult<Name extends TaskName> = Awaited<ReturnType<Tasks[Name]>> extends Outcome<infer T> ? T : never

/** Megabytes of JavaScript heap a worker may use; buffers and wasm memory are not counted. */
const WORKER_HEAP_MB = 512

/** Options of piscina that do not change. Its own type is not named here, because its declarations do not compile with `exactOptionalPropertyTypes`. */
interface ThreadOptions {
  minThreads: number
  idleTimeout: number
  atomics: 'disabled'
  resourceLimits: ResourceLimits
  execArgv: string[]
}

/**
 * Piscina tries `require` first. Node 20 aborts the process when a thread is ended while it requires an ES module ("IsGraphAsync must be used on an
 * instantiated module"), as Ctrl-C does; one that is imported may be ended at any time.
 */
export const THREAD_OPTIONS: ThreadOptions = {
  minThreads: 0, idleTimeout: Infinity, atomics: 'disabled', resourceLimits: { maxOldGenerationSizeMb: WORKER_HEAP_MB },
  // Node refuses V8's options for a thread, so a thread does not inherit the options of the process.
  execArgv: ['--no-experimental-require-module'],
}

/**
 * Where tasks run: a port. {@link Workers} are worker threads; a service that has threads, processes or machines of its own gives those, and
 * they call {@link runTask}.
 */
export interface Pool {
  /** Tasks at a time. */
  readonly count: number
  /**
   * Begins tasks in order of submission.
   * @param name of the task @param input what structured cloning takes @param transfer buffers in it that may move to where the task runs
   * @returns what {@link runTask} returns there; it rejects with an error with a position if the task could not run to its end
   */
  run(name: string, input: unknown, transfer?: readonly ArrayBuffer[]): Promise<unknown>
}

/** Runs one task of a {@link Pool} in this thread. Errors of the task are in what it returns, as structured cloning keeps them. */
export async function runTask(name: string, input: unknown): Promise<unknown> {
  // Loaded with the first task: tasks need Arrow and parquet-wasm.
  const worker = await import('./worker.ts')
  assert(Object.hasOwn(worker, name), `no task is called ${name}`)
  return (worker[name as TaskName] as (input: unknown) => Promise<unknown>)(input)
}

interface Threads extends Omit<Pool, 'count'> {
  close(): Promise<void>
}

/**
 * Worker threads that are kept between jobs. A job that is given a number instead starts threads and stops them at its end. Kept threads have their
 * code optimised, so the second job runs faster than the first. Each job reads the data directory itself; nothing of an earlier job is kept.
 */
export class Workers implements Pool {
  readonly count: number
  private readonly threads: Threads

  /** @param count threads; 0 runs tasks on this thread, one by one; default: one for each core */
  constructor(count: number = availableParallelism()) {
    const script = fileURLToPath(new URL('./worker.js', import.meta.url))
    // There is no worker script when ltap runs from its TypeScript sources: then everything runs on this thread.
    const inline = count === 0 || !existsSync(script)
    this.count = inline ? 1 : count
    this.threads = inline ? new ThisThread() : new WorkerThreads(script, count)
  }

  /** @throws EnvironmentError worker.* for a thread that ended by itself */
  run(name: string, input: unknown, transfer?: readonly ArrayBuffer[]): Promise<unknown> {
    return this.threads.run(name, input, transfer)
  }

  /** Ends the threads, and with them what still runs. */
  close(): Promise<void> {
    return this.threads.close()
  }
}

let jobs = 0

/**
 * Pages in memory → the bytes of a lake file, in a pool. The task's pages move there.
 * @returns the file, or which attnums its relation's descriptor needs in `overflow`: begin again then, with the pages, as {@link withOverflow} says
 * @throws CorruptionError with relation, block, offset and attribute; EnvironmentError worker.*
 */
export async function transcodeInPool(pool: Pool, task: TranscodePagesTask): Promise<TranscodedPages | WantedOverflow> {
  const transfer = task.toast === undefined ? [task.pages] : [task.pages, task.toast.pages]
  return valueOf(await pool.run('transcodePages', task, transfer) as Outcome<TranscodedPages | WantedOverflow>)
}

/**
 * The tasks of one job, at most as many at a time as there are workers. After a failure the tasks that wait fail with the same error: on a full disk,
 * or at the first damaged page, hours of queued work would only delay the message.
 */
export class JobTasks {
  readonly workers: number
  /** Number of the job: a thread keeps what it knows of a data directory for one job. */
  readonly job: number = ++jobs
  private readonly pool: Pool
  private readonly owned: Workers | undefined
  private readonly waiting: (() => void)[] = []
  private places: number
  private failure: { error: unknown } | undefined

  /** @param workers threads to start for this job alone, or where its tasks run; default: one thread for each core */
  constructor(workers: number | Pool = availableParallelism()) {
    this.owned = typeof workers === 'number' ? new Workers(workers) : undefined
    this.pool = typeof workers === 'number' ? this.owned! : workers
    this.workers = this.pool.count
    // One more than can run, so that no worker waits for this thread.
    this.places = this.workers + 1
  }

  async run<Name extends TaskName>(name: Name, task: TaskInput<Name>): Promise<TaskResult<Name>> {
    if (this.places > 0) this.places--
    else await new Promise<void>((resolve) => this.waiting.push(resolve))
    try {
      await stopIfEnding()
      if (this.failure) throw this.failure.error
      return valueOf(await this.pool.run(name, task) as Outcome<TaskResult<Name>>)
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
    await this.owned?.close()
  }
}

class ThisThread implements Threads {
  private last: Promise<unknown> = Promise.resolve()

  run(name: string, input: unknown): Promise<unknown> {
    const result = this.last.then(() => runTask(name, input))
    this.last = result.catch(() => {})
    return result
  }

  async close(): Promise<void> {
    await this.last
  }
}

class WorkerThreads implements Threads {
  private readonly options: ConstructorParameters<typeof Piscina>[0]
  /** Undefined before the first task. */
  private piscina: Promise<Piscina> | undefined
  private closed = false
  private readonly forget: () => void

  constructor(script: string, count: number) {
    this.options = { ...THREAD_OPTIONS, filename: script, maxThreads: count }
    this.forget = stopOnEnd(() => this.close())
  }

  async run(name: string, input: unknown, transfer: readonly ArrayBuffer[] = []): Promise<unknown> {
    try {
      return await (await this.started()).run(input, { name, transferList: [...transfer] })
    } catch (error) {
      throw threadError(error)
    }
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

/** The error for a thread that ended by itself. The cause is the task's input or the machine's memory, and the user can change both. */
function threadError(error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ERR_WORKER_OUT_OF_MEMORY') {
    const advice = `of at most ${WORKER_HEAP_MB} MB; allow more with NODE_OPTIONS=--max-old-space-size, or leave out the table that was being read`
    return new EnvironmentError('worker.memory', `a worker thread ran out of JavaScript memory ${advice}`)
  }
  const ended = error instanceof Error && /^(?:worker exited with code|Worker terminated)/.test(error.message)
  return ended ? new EnvironmentError('worker.ended', `a worker thread ended by itself (${error.message}); run again with fewer --workers`) : error
}
