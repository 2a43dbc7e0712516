/**
 * The part of piscina 5.3.2 that is used here. Its own declarations do not compile with `exactOptionalPropertyTypes` (FilledOptions makes `atomics`
 * undefined, which Options does not allow), so `paths` of tsconfig.json has the compiler read this file in their place.
 */
import type { EventEmitter } from 'node:events'
import type { ResourceLimits, Transferable } from 'node:worker_threads'

export interface Options {
  filename?: string | null
  minThreads?: number
  maxThreads?: number
  /** Milliseconds. */
  idleTimeout?: number
  concurrentTasksPerWorker?: number
  atomics?: 'sync' | 'async' | 'disabled'
  resourceLimits?: ResourceLimits
  execArgv?: string[]
}

export class Piscina extends EventEmitter {
  constructor(options?: Options)
  /** @param options.name of the function that the worker's file exports */
  run(task: unknown, options?: { name?: string; transferList?: readonly Transferable[] }): Promise<unknown>
  destroy(): Promise<void>
}
