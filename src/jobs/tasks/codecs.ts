import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { EnvironmentError } from '../../common/errors.ts'
import type { CodecFactory } from '../../datum/typedef.ts'

/**
 * A module with codecs from outside: `export const codecs = { typname: factory }`. A function cannot go to a worker thread, so tasks carry the address
 * of the module, and each thread imports it. The module is the user's own choice of code to run; no file of a lake ever names one.
 */
export type CodecModules = readonly string[]

/** Addresses that every thread understands: a path, relative to the working directory, becomes a URL. */
export function codecModules(modules: readonly string[]): CodecModules {
  return modules.map((module) => (/^(?:file|data):/.test(module) ? module : pathToFileURL(resolve(module)).href))
}

/**
 * The codecs of some modules, by typname.
 * @throws EnvironmentError codecs.module for a module that does not load, or has no codecs; codecs.twice for a type that two of them have
 */
export async function loadCodecs(modules: CodecModules = []): Promise<ReadonlyMap<string, CodecFactory>> {
  const codecs = new Map<string, CodecFactory>()
  for (const module of modules) {
    for (const [name, factory] of Object.entries(await codecsOf(module))) {
      if (typeof factory !== 'function') throw new EnvironmentError('codecs.module', `its codec of '${name}' is no function`, { file: module })
      if (codecs.has(name)) throw new EnvironmentError('codecs.twice', `the type '${name}' has a codec in another module, too`, { file: module })
      codecs.set(name, factory as CodecFactory)
    }
  }
  return codecs
}

async function codecsOf(module: string): Promise<object> {
  let loaded: { codecs?: unknown }
  try {
    loaded = await import(module) as { codecs?: unknown }
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error)
    throw new EnvironmentError('codecs.module', `the module of codecs does not load: ${reason}`, { file: module })
  }
  const { codecs } = loaded
  if (typeof codecs === 'object' && codecs !== null) return codecs
  throw new EnvironmentError('codecs.module', 'the module does not export an object `codecs` with a factory for each type', { file: module })
}
