import { build, type Plugin } from 'esbuild'
import { createRequire } from 'node:module'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type * as Simulator from './simulate.ts'

const ROOT = resolve(import.meta.dirname, '../..')

/** A fault in a source file: each text must be in it exactly once. */
export interface Mutation {
  readonly file: string
  readonly replace: readonly (readonly [text: string, by: string])[]
}

/** The simulator with everything it runs, as one module. @param mutations in the sources that it is made of */
export async function bundleSimulator(mutations: readonly Mutation[] = []): Promise<{ code: string; load: () => Promise<typeof Simulator> }> {
  const done = new Set<string>()
  const plant: Plugin = {
    name: 'mutations',
    setup: ({ onLoad, onResolve }) => {
      // It finds its WebAssembly beside itself.
      onResolve({ filter: /^parquet-wasm/ }, ({ path }) => ({ path: pathToFileURL(createRequire(import.meta.url).resolve(path)).href, external: true }))
      // It reads package.json beside the sources.
      onLoad({ filter: /src\/jobs\/version\.ts$/ }, () => ({ contents: "export const LTAP_VERSION = '0.0.0'", loader: 'ts' }))
      for (const { file, replace } of mutations) {
        onLoad({ filter: new RegExp(`${file.replaceAll('.', '\\.')}$`) }, ({ path }) => {
          let contents = readFileSync(path, 'utf8')
          for (const [text, by] of replace) {
            if (contents.split(text).length !== 2) throw new Error(`${file} has ${contents.split(text).length - 1} times: ${text}`)
            contents = contents.replace(text, () => by)
          }
          done.add(file)
          return { contents, loader: 'ts' }
        })
      }
    },
  }
  const { outputFiles } = await build({
    entryPoints: [join(ROOT, 'test/sim/simulate.ts')], bundle: true, platform: 'node', format: 'esm', write: false, absWorkingDir: ROOT, plugins: [plant], logLevel: 'silent',
  })
  const missed = mutations.find(({ file }) => !done.has(file))
  if (missed) throw new Error(`${missed.file} is no part of the simulator`)
  const code = outputFiles[0]!.text
  return {
    code,
    load: async () => {
      const folder = mkdtempSync(join(tmpdir(), 'ltap-sim-'))
      try {
        writeFileSync(join(folder, 'simulator.mjs'), code)
        return await import(pathToFileURL(join(folder, 'simulator.mjs')).href) as typeof Simulator
      } finally {
        rmSync(folder, { recursive: true })
      }
    },
  }
}
